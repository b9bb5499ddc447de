"""Colours of verdicts."""

from __future__ import annotations

import os
import sys

_GREEN, _RED, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[0m"


def coloured(verdict: str, good: bool) -> str:
    """The verdict in green or red; as it is where stdout is no terminal, or NO_COLOR is set."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return verdict
    return f"{_GREEN if good else _RED}{verdict}{_RESET}"
