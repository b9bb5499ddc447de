"""Asking the pipeline that runs in this process to end: Apache Beam's runners cannot be asked.

What reads or writes calls `check` first. Worker processes halt when the process that started them does.
"""

from __future__ import annotations

import threading

from beam_ingest.errors import StoppedError

_halted = threading.Event()


def halt() -> None:
    """Let everything that runs end as soon as it reads or writes the next thing."""
    _halted.set()


def clear() -> None:
    """Let the next run go ahead."""
    _halted.clear()


def check() -> None:
    """Raise a `StoppedError` when the run is to end."""
    if _halted.is_set():
        raise StoppedError("the run was interrupted")
