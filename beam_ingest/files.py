"""Reading and writing input files by URL.

Local files are opened directly: cloud-files takes half a second to import and more for a small
local file than parsing it does. Every other protocol goes through cloud-files, many files at once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from beam_ingest import halt
from beam_ingest.errors import BeamIngestError


class FileError(BeamIngestError):
    """A file is there but could not be read or written."""


Content: TypeAlias = bytes | FileError | None
"""Of a file: what is in it; None if it is not there; why it can never be read."""


class Folder:
    """A folder of files.

    Args:
      url: ``file://`` or any protocol that cloud-files knows (gs, s3, https, mem, …).
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(url)
        self._local = Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return self._local is not None

    def may_exist(self) -> bool:
        """Whether the folder is there; elsewhere than on this machine nobody can tell from an empty one."""
        return self._local is None or self._local.is_dir()

    def path(self, name: str) -> str:
        """URL (local files: path) of the file `name`, for messages."""
        return f"{self._local or self.url}/{name}"

    def read(self, names: Sequence[str]) -> list[bytes | None]:
        """The content of each file, None for one that is not there.

        Raises:
          FileError: when a file is there but cannot be read; it is never taken as absent.
        """
        contents: list[bytes | None] = []
        for content in self.read_each(names):
            if isinstance(content, FileError):
                raise content
            contents.append(content)
        return contents

    def read_each(self, names: Sequence[str]) -> list[Content]:
        """As `read`, but a file that nobody lets us read is an error in its place, and the others are read.

        Raises:
          FileError: when a file cannot be read for a reason that may pass.
        """
        halt.check()
        if self._local is not None:
            return [self._read_local(name) for name in names]
        try:
            answers = _cloud_files(self.url).get(list(names), raw=True, raise_errors=False)
        except Exception as error:  # every protocol has its own
            raise FileError(f"{self.url}: cannot be read: {_first_line(error)}") from error
        contents: dict[str, Content] = {}
        for answer in answers:
            name, reason = answer["path"], answer["error"]
            if reason and not _is_denied(reason):
                raise FileError(f"{self.path(name)}: cannot be read: {_first_line(reason)}")
            contents[name] = self._unreadable(name, reason) if reason else answer["content"]
        return [contents[name] for name in names]

    def names(self, prefix: str) -> Iterator[str]:
        """Names that begin with `prefix`, in no order; one after the other, so that millions take no room.

        A name may have one folder in it, as ``remap/done_0_0_0_0.data`` has.

        Raises:
          FileError: when they cannot be listed. A folder that is not there is an error on this machine;
            elsewhere nobody can tell it from an empty one.
        """
        if self._local is not None:
            yield from self._list_local(prefix)
            return
        try:
            yield from _cloud_files(self.url).list(prefix, flat=True)
        except Exception as error:
            raise FileError(f"{self.path(prefix)}: cannot be listed: {_first_line(error)}") from error

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write each file whole: a reader sees all of it or none.

        Raises:
          FileError: when a file cannot be written.
        """
        halt.check()
        if self._local is not None:
            for name, content in contents.items():
                self._write_local(self._local / name, content)
            return
        try:
            _cloud_files(self.url).puts(contents.items(), compress=None, raw=True)
        except Exception as error:
            raise FileError(f"{self.url}: cannot be written: {_first_line(error)}") from error

    def _read_local(self, name: str) -> Content:
        assert self._local is not None
        try:
            with open(self._local / name, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unreadable(name, error.strerror)

    def _unreadable(self, name: str, reason: object) -> FileError:
        return FileError(
            f"{self.path(name)}: expected a file that can be read, found an error: {_first_line(reason)}"
        )

    def _list_local(self, prefix: str) -> Iterator[str]:
        assert self._local is not None
        below, slash, start = prefix.rpartition("/")
        try:
            with os.scandir(self._local / below) as entries:
                for entry in entries:
                    if entry.name.startswith(start):
                        yield f"{below}{slash}{entry.name}"
        except OSError as error:
            raise FileError(
                f"{self._local / below}: expected a folder to list, found an error: {error.strerror}"
            ) from error

    def _write_local(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from error


def silence_cloud_files() -> None:
    """Keep cloud-files from telling on stdout of credentials and errors, amid what programs read there."""
    import cloudfiles.compression  # slow
    import cloudfiles.secrets

    cloudfiles.secrets.print = cloudfiles.compression.print = lambda *_: None


def _cloud_files(url: str) -> Any:
    silence_cloud_files()
    from cloudfiles import CloudFiles

    return CloudFiles(url, progress=False)


def _is_denied(error: object) -> bool:
    """Whether a server will never let us read a file, however often we ask."""
    response = getattr(error, "response", None)
    codes = (getattr(error, "code", None), getattr(response, "status_code", None))
    return any(code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) for code in codes)


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
