"""What is made once for all processes that test, such as a graph that many tests only read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A file or folder of that name, which the first process that asks makes and all others find.

    Args:
      factory: of the test session.
      name: the same for the same content.
      make: makes it where it is told; what is half made is not taken for done.
    """
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # each process has a folder of its own below that of the session
    place = folder / "once" / name / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with (folder / "once" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = place.parent / "done"
        if not done.exists():
            make(place)
            done.touch()
    return place
