"""Standard output and standard error of a command: it goes on when their reader is gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class _Descriptor(io.FileIO):
    """A descriptor whose loss ends nothing: what cannot be written any longer is dropped.

    Attributes:
      lost: why, from the first time on.
    """

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        if self.lost is None:
            try:
                return super().write(data)
            except OSError as error:
                self.lost = error
        return memoryview(data).nbytes


@contextmanager
def lasting() -> Iterator[None]:
    """Let the streams outlast their readers, such as ``head``, and restore them at the end."""
    _open_missing()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_lasting, streams)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = streams


def reader_left() -> bool:
    """Whether stdout was a pipe that was closed: then a command that does nothing but print may end."""
    lost = _loss(sys.stdout)
    return lost is not None and lost.errno == errno.EPIPE


def output_lost() -> OSError | None:
    """Why some of stdout could not be written, if for another reason than that its reader has left."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    return None if reader_left() else _loss(sys.stdout)


def _loss(stream: object) -> OSError | None:
    return getattr(_raw(stream), "lost", None)


def _raw(stream: object) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _lasting(stream: Any) -> Any:
    """The same stream over a descriptor of its own; what is no descriptor, as in tests, as it is."""
    if type(_raw(stream)) is not io.FileIO:
        return stream
    stream.flush()
    raw = _Descriptor(os.dup(stream.fileno()), "wb")
    unbuffered = stream.buffer is _raw(stream)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",  # rather than end on a name that the terminal's encoding does not have
        newline=None,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_missing() -> None:
    """Open what the shell has closed (``>&-``), or the next file that is opened takes its place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - stays open as they do
