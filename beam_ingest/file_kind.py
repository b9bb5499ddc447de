"""Regular files, and what may stand in their place: opening a pipe would wait for its other end."""

from __future__ import annotations

import errno
import os
import stat

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str:
    """What a mode of `os.stat` says that there is."""
    return _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def open_regular(path: str, flags: int) -> int:
    """An `opener` for the built-in ``open`` that opens regular files alone, and never waits.

    Raises:
      OSError: when it cannot be opened, or is something else.
    """
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, f"it is {kind_of(mode)}", path)
