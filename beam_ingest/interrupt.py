"""Ctrl-C while modules are imported: it ends the program at once.

An import that is interrupted may be reported as another error, or as a traceback of compiled code, and
there is nothing yet to tidy up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STATUS = 130
"""Exit status of a program that Ctrl-C ended."""


def ends_at_once() -> None:
    """Let Ctrl-C end the program without a traceback, until `during_imports` has passed."""
    if threading.current_thread() is threading.main_thread() and _is_free():
        signal.signal(signal.SIGINT, _end)


@contextmanager
def during_imports() -> Iterator[None]:
    """Let Ctrl-C end the program at once, and afterwards raise KeyboardInterrupt again."""
    ends_at_once()
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_free() -> bool:
    """Whether it is Python's own handler: one of somebody else's, and an ignored signal, stay."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _end(number: int, frame: object) -> None:
    with suppress(OSError):
        os.write(2, b"beam-ingest: interrupted\n")
    os._exit(STATUS)
