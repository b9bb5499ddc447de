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


def number_of(value: float) -> str:
    """A number for people."""
    if 0 < value < 0.01:
        return "< 0.01"
    if value < 10 and value != round(value):
        return f"{value:.2g}"
    return f"{value:,.0f}" if value < 1e9 else f"{value:.2e}"


def dollars(value: float) -> str:
    """US dollars for people."""
    return f"${value:,.2f}" if value < 100 else f"${value:,.0f}"
