"""Numbers for people."""

from __future__ import annotations


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def count_of(count: int, what: str) -> str:
    """A number of things for people, in the plural unless there is one."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
