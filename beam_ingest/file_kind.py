"""What stands at a path that is not a regular file, for messages."""

from __future__ import annotations

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
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")
