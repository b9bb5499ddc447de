"""Places: paths and URLs of files and folders, resolved and read as cloud-files does it.

What servers open later is what is read here. Local files are opened directly all the same: cloud-files
takes half a second to import and more for a small local file than parsing it does. Every other protocol
goes through cloud-files, many files at once.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeAlias

from beam_ingest import halt
from beam_ingest.errors import ConfigError
from beam_ingest.errors import FileError as FileError
from beam_ingest.file_kind import open_regular

ENCODINGS = {".gz": "gzip", ".br": "br", ".zstd": "zstd", ".xz": "xz", ".bz2": "bzip2"}
"""What cloud-files puts after the names of local files that it compresses, and finds them by."""
_UNKNOWN_SUFFIX = ".zst"
"""What zstd's own tools put there, and cloud-files does not find."""
_LOCAL = "file://"
_REMOTE = ("gs", "s3", "http", "https", "mem")
"""Protocols that are known without asking cloud-files, whose import is slow."""
_PRECOMPUTED = re.compile(
    r"precomputed://(?P<place>.*)|(?P<before>.*)\|(neuroglancer-)?precomputed:", re.DOTALL
)
_OTHER_FORMAT = re.compile(r"(?P<place>.*)\|(?P<format>[\w-]+):", re.DOTALL)


class PlaceError(ConfigError):
    """A text is no place: neither a path nor a URL that cloud-files knows.

    Args:
      place: the text.
      expected: what was expected of it.
    """

    def __init__(self, place: str, expected: str) -> None:
        super().__init__(place, expected)
        self.place = place
        self.expected = expected

    def __str__(self) -> str:
        place = self.place if self.place.isprintable() else repr(self.place)
        return f"{place}: expected {self.expected}"


Content: TypeAlias = bytes | FileError | None
"""Of a file: what is in it; None if it is not there; why it can never be read."""


def resolve(place: str, folder: str = "") -> str:
    """The URL by which any program finds a place, whatever folder it runs in.

    Only what contains ``://`` is a URL, and nothing in it is an escape: ``%20``, ``#`` and ``?`` in a path
    are characters like others, as in cloud-files. A local path, or what follows ``file://``, may begin with
    ``~``, and ``..`` in it is the folder above by name.

    Args:
      place: a path or a URL.
      folder: a resolved URL where relative paths begin; by default the working directory. What follows
        ``file://`` begins in the working directory always.

    Returns:
      ``file://`` and an absolute path, or the URL without slashes at its end.

    Raises:
      PlaceError: when cloud-files does not know the protocol, or no place is named.
    """
    if "\0" in place:
        raise PlaceError(place, "a path or a URL without NUL characters")
    if found := _PRECOMPUTED.fullmatch(place):
        return resolve(found["place"] if found["place"] is not None else found["before"], folder)
    if found := _OTHER_FORMAT.fullmatch(place):
        return _resolve_slowly(f"{found['format']}://{resolve(found['place'], folder)}")
    protocol, is_url, path = place.partition("://")
    if not is_url:
        base = local_path(folder)
        if base is None and folder and not os.path.isabs(os.path.expanduser(place)):
            return _below(folder, place)
        return _LOCAL + _absolute(place, base)
    if protocol == "file":
        return _LOCAL + _absolute(path)
    if protocol not in _REMOTE:
        return _resolve_slowly(place)
    if not path.strip("/"):
        raise PlaceError(place, f"a bucket or a host after {protocol}://")
    return place.rstrip("/")


def local_path(url: str) -> str | None:
    """The path of a resolved URL; None if it is not on this machine."""
    return url.removeprefix(_LOCAL) if url.startswith(_LOCAL) else None


def resolve_local(path: str, folder: str = "") -> str:
    """The absolute path of a file that only this machine has.

    Args:
      path: a path, taken as it is but for ``~`` at its beginning, or a ``file://`` URL.
      folder: a resolved URL where a relative path begins; by default the working directory.

    Raises:
      PlaceError: when it is not on this machine.
    """
    if "\0" in path or ("://" in path and not path.startswith(_LOCAL)):
        raise PlaceError(path, "a path on this machine")
    if path.startswith(_LOCAL):
        return _absolute(path.removeprefix(_LOCAL))
    base = local_path(folder)
    if base is None and folder and not os.path.isabs(os.path.expanduser(path)):
        raise PlaceError(path, "an absolute path on this machine")
    return _absolute(path, base)


def folder_of(file: str) -> str:
    """The resolved URL of the folder that a file is in; links in a local one are followed.

    Args:
      file: a path, taken as it is, or a URL.
    """
    if "://" not in file:
        return _LOCAL + os.path.realpath(os.path.dirname(file))
    url = resolve(file)
    path = local_path(url)
    return url.rpartition("/")[0] if path is None else _LOCAL + os.path.dirname(path)


def _absolute(path: str, folder: str | None = None) -> str:
    return os.path.abspath(os.path.join(folder or "", os.path.expanduser(path)))


def _below(folder: str, path: str) -> str:
    """A relative path from a folder that is not on this machine: no server knows what ``..`` is."""
    protocol, _, there = folder.partition("://")
    parts = there.split("/")
    for part in path.split("/"):
        if part == "..":
            if len(parts) == 1:
                raise PlaceError(path, f"a path within {protocol}://{parts[0]}")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return f"{protocol}://{'/'.join(parts)}"


def _resolve_slowly(place: str) -> str:
    """A place of other formats than precomputed, or whose protocol is an alias: cloud-files knows them."""
    from cloudfiles import exceptions, paths  # slow

    known = "a path or a URL of a protocol that cloud-files knows, such as gs:// or s3://"
    try:
        named_format, protocol, *_ = paths.extract_format_protocol(place, allow_defaults=False)
        if protocol is None and named_format is None:  # cloud-files takes it for a path then
            raise PlaceError(place, known)
        found = paths.extract(paths.normalize(place))
    except exceptions.UnsupportedProtocolError:
        raise PlaceError(place, known) from None
    if found.protocol != "file":
        return place.rstrip("/")
    prefix = "" if found.format == "precomputed" else f"{found.format}://"
    return f"{prefix}{_LOCAL}{found.path}"


class Folder:
    """A folder of files.

    Args:
      url: a place, as `resolve` takes it.
      as_stored: whether servers read the files as they are stored, so that compression around them (other
        than zstd, whose frames such files are) makes them unreadable.
    """

    def __init__(self, url: str, *, as_stored: bool = False) -> None:
        self.url = resolve(url)
        self._as_stored = as_stored
        path = local_path(self.url)
        self._local = None if path is None else Path(path)

    @property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return self._local is not None

    def may_exist(self) -> bool:
        """Whether the folder may exist: in a bucket, an absent folder looks like an empty one."""
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
        """As `read`, but an unreadable file gives an error in its place, and the others are read.

        Raises:
          FileError: when a file cannot be read for a reason that may pass.
        """
        halt.check()
        if self._local is not None:
            return [self._read_local(name) for name in names]
        try:
            answers = _cloud_files(self.url).get(list(names), raw=True, raise_errors=False)
        except Exception as error:  # every protocol has its own
            raise FileError(f"{self.url}: cannot be read: {first_line(error)}") from error
        contents: dict[str, Content] = {}
        for answer in answers:
            name, reason = answer["path"], answer["error"]
            if reason and not _is_denied(reason):
                raise FileError(f"{self.path(name)}: cannot be read: {first_line(reason)}")
            if reason:
                contents[name] = self._unreadable(name, reason)
            else:
                contents[name] = self._decoded(name, answer["content"], answer["compress"])
        return [contents[name] for name in names]

    def names(self, prefix: str) -> Iterator[str]:
        """Names that begin with `prefix`, in no order; one after the other, so that millions take no room.

        A name may have one folder in it, as ``remap/done_0_0_0_0.data`` has. What cloud-files puts after the
        names of compressed local files is left out.

        Raises:
          FileError: when they cannot be listed. A folder that is not there is an error on this machine;
            elsewhere it looks like an empty one.
        """
        if self._local is not None:
            yield from self._list_local(prefix)
            return
        try:
            yield from _cloud_files(self.url).list(prefix, flat=True)
        except Exception as error:
            raise FileError(f"{self.path(prefix)}: cannot be listed: {first_line(error)}") from error

    def write(self, contents: Mapping[str, bytes], gzipped: bool = False) -> None:
        """Write each file whole: a reader sees all of it or none.

        Args:
          contents: what is in each file, by name.
          gzipped: whether it is compressed with gzip, as cloud-files undoes it.

        Raises:
          FileError: when a file cannot be written.
        """
        halt.check()
        if self._local is not None:
            for name, content in contents.items():
                self._write_local(self._local / (f"{name}.gz" if gzipped else name), content)
            return
        try:
            compress = "gzip" if gzipped else None
            _cloud_files(self.url).puts(contents.items(), compress=compress, raw=True)
        except Exception as error:
            raise FileError(f"{self.url}: cannot be written: {first_line(error)}") from error

    def _read_local(self, name: str) -> Content:
        assert self._local is not None
        found: dict[str, Content] = {}
        for suffix in ("", *ENCODINGS):
            try:
                with open(self._local / f"{name}{suffix}", "rb", opener=open_regular) as file:
                    content = file.read()
            except FileNotFoundError:
                continue
            except OSError as error:
                return self._unreadable(f"{name}{suffix}", error.strerror)
            found[name + suffix] = self._decoded(f"{name}{suffix}", content, ENCODINGS.get(suffix))
        if not found:
            return self._absent(name)
        first, *others = found.values()
        if isinstance(first, bytes) and any(other != first for other in others):
            return FileError(
                f"{self.path(name)}: expected one file, or copies of it, found {' and '.join(found)}, which "
                "differ, and cloud-files reads any of them: remove the wrong ones"
            )
        return first

    def _absent(self, name: str) -> FileError | None:
        """None for a file that is absent; an error for what exists and is no file."""
        assert self._local is not None
        if os.path.lexists(self._local / name):
            return self._unreadable(name, "a link to nothing")
        if os.path.lexists(self._local / f"{name}{_UNKNOWN_SUFFIX}"):
            return FileError(
                f"{self.path(name)}{_UNKNOWN_SUFFIX}: expected {name}, or that and {', '.join(ENCODINGS)}, "
                "as cloud-files compresses it: rename the file, or servers do not find it"
            )
        return None

    def _decoded(self, name: str, content: bytes | None, encoding: str | None) -> Content:
        """The content of a file that was compressed as a whole, by its name or by what a server says."""
        if content is None or not encoding or (self._as_stored and encoding == "zstd"):
            return content
        if self._as_stored:
            return FileError(
                f"{self.path(name)}: expected an uncompressed file, found one compressed with {encoding}, "
                "which servers do not decompress: decompress it"
            )
        from cloudfiles import compression  # slow

        try:
            unpacked = compression.decompress(content, encoding, name)
        except Exception as error:  # every encoding has its own
            return self._unreadable(name, f"{encoding}: {first_line(error)}")
        return bytes(unpacked)

    def _unreadable(self, name: str, reason: object) -> FileError:
        cause = first_line(reason)
        return FileError(
            f"{self.path(name)}: expected a file that can be read, found an error: {cause}", cause
        )

    def _list_local(self, prefix: str) -> Iterator[str]:
        assert self._local is not None
        below, slash, start = prefix.rpartition("/")
        try:
            with os.scandir(self._local / below) as entries:
                for entry in entries:
                    if entry.name.startswith(start):
                        yield f"{below}{slash}{self._plain(entry.name)}"
        except OSError as error:
            raise FileError(
                f"{self._local / below}: expected a folder to list, found an error: {error.strerror}"
            ) from error

    def _plain(self, name: str) -> str:
        base, suffix = os.path.splitext(name)
        encoding = ENCODINGS.get(suffix)
        return base if encoding == "zstd" or (encoding and not self._as_stored) else name

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
            for suffix in ENCODINGS:  # where cloud-files would go on to find the former content
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{path}: cannot be written: {error.strerror}") from error


def _cloud_files(url: str) -> Any:
    from cloudfiles import CloudFiles  # slow

    return CloudFiles(url, progress=False)


def _is_denied(error: object) -> bool:
    """Whether a server will never let us read a file, however often we ask."""
    response = getattr(error, "response", None)
    codes = (getattr(error, "code", None), getattr(response, "status_code", None))
    return any(code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) for code in codes)


def first_line(error: object) -> str:
    """What an error says first, in one line."""
    return str(error).partition("\n")[0] or type(error).__name__
