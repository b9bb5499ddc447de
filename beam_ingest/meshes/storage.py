"""Files of meshes: read by ranges of bytes, and written from a temporary file, wherever they are."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from beam_ingest import halt
from beam_ingest.errors import FileError
from beam_ingest.file_kind import open_regular
from beam_ingest.files import first_line, local_path, resolve
from beam_ingest.meshes.shards import ShardError

_SHARD = re.compile(r"[0-9]+/[0-9]+-0\.shard")
_HALF_WRITTEN = re.compile(r"[0-9]+/\.[0-9]+-0\.shard\..+")


class Range(NamedTuple):
    """Bytes of a file."""

    name: str
    begin: int
    size: int


class MeshFolder:
    """A folder of shard files.

    Args:
      url: a place, as `beam_ingest.files.resolve` takes it.
    """

    def __init__(self, url: str) -> None:
        self.url = resolve(url)
        path = local_path(self.url)
        self._local = None if path is None else Path(path)

    def path(self, name: str) -> str:
        """URL (local files: path) of a file, for messages."""
        return f"{self._local or self.url}/{name}"

    def read(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each range; those of a remote folder are fetched side by side.

        Raises:
          ShardError: when a file is absent or shorter.
          FileError: when one cannot be read.
        """
        halt.check()
        found = self._read_local(ranges) if self._local is not None else self._read_remote(ranges)
        for each, data in zip(ranges, found, strict=True):
            if data is None:
                raise ShardError(self.path(each.name), "no file")
            if len(data) != each.size:
                found_bytes = f"{len(data):,} of {each.size:,} bytes from byte {each.begin:,} on"
                raise ShardError(self.path(each.name), found_bytes)
        return [data or b"" for data in found]

    def _read_local(self, ranges: Sequence[Range]) -> list[bytes | None]:
        assert self._local is not None
        found: list[bytes | None] = [None] * len(ranges)
        opened: tuple[str, BinaryIO] | None = None
        try:
            for at in sorted(range(len(ranges)), key=ranges.__getitem__):  # every file is opened once
                name, begin, size = ranges[at]
                if opened is None or opened[0] != name:
                    if opened is not None:
                        opened[1].close()
                    opened = None
                    opened = name, open(self._local / name, "rb", opener=open_regular)  # noqa: SIM115
                found[at] = os.pread(opened[1].fileno(), size, begin)
        except FileNotFoundError:
            return found
        except OSError as error:
            raise FileError(f"{self.path(name)}: cannot be read: {error.strerror}") from error
        finally:
            if opened is not None:
                opened[1].close()
        return found

    def _read_remote(self, ranges: Sequence[Range]) -> list[bytes | None]:
        asked = sorted(set(ranges))
        requests = [{"path": name, "start": a, "end": a + size} for name, a, size in asked]
        try:
            answers = self._files().get(requests, raw=True)
        except Exception as error:  # every protocol has its own
            raise FileError(f"{self.url}: cannot be read: {first_line(error)}") from error
        contents = {}
        for answer in answers:
            begin, end = answer["byte_range"]
            contents[Range(answer["path"], begin, end - begin)] = answer["content"]
        return [contents.get(each) for each in ranges]

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A temporary file, which becomes the file `name` at the end; readers see all of it or none.

        Raises:
          FileError: when it cannot be written.
        """
        halt.check()
        folder = None if self._local is None else (self._local / name).parent
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name.rpartition('/')[2]}.")
        except OSError as error:
            raise FileError(f"{self.path(name)}: cannot be written: {error.strerror}") from error
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                if self._local is None:
                    file.seek(0)
                    self._upload(name, file)
            if self._local is not None:
                os.chmod(temporary, 0o644)
                os.replace(temporary, self._local / name)
        except OSError as error:
            raise FileError(f"{self.path(name)}: cannot be written: {error.strerror or error}") from error
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _upload(self, name: str, file: BinaryIO) -> None:
        try:
            self._files().put(name, file, raw=True, compress=None)
        except Exception as error:
            raise FileError(f"{self.path(name)}: cannot be written: {first_line(error)}") from error

    def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
          FileError: when it cannot be removed.
        """
        try:
            if self._local is not None:
                (self._local / name).unlink()
            else:
                self._files().delete(name)
        except Exception as error:
            raise FileError(f"{self.path(name)}: cannot be removed: {first_line(error)}") from error

    def names(self) -> Iterator[str]:
        """Files in the folder and in those within it, in no order; none if the folder is not there.

        Raises:
          FileError: when they cannot be listed.
        """
        try:
            if self._local is not None:
                for folder, _, files in os.walk(self._local):
                    within = Path(folder).relative_to(self._local)
                    yield from (str(within / file) for file in files)
            else:
                yield from self._files().list()
        except Exception as error:
            raise FileError(f"{self.url}: cannot be listed: {first_line(error)}") from error

    def remove_shards(self, only_half_written: bool = False) -> None:
        """Remove shard files and what was to become some, and nothing else.

        Args:
          only_half_written: leave the shard files; a run that is killed leaves others on a local disk.

        Raises:
          FileError: when they cannot be removed.
        """
        if only_half_written and self._local is None:
            return
        half, whole = (pattern.fullmatch for pattern in (_HALF_WRITTEN, _SHARD))
        found = (name for name in self.names() if half(name) or (not only_half_written and whole(name)))
        try:
            if self._local is not None:
                for name in found:
                    (self._local / name).unlink(missing_ok=True)
            else:
                self._files().delete(found)
        except Exception as error:
            raise FileError(f"{self.url}: cannot be removed: {first_line(error)}") from error

    def _files(self) -> Any:
        from cloudfiles import CloudFiles  # slow

        return CloudFiles(self.url, progress=False)
