"""What a worker process remembers while DoFns come and go: a failed bundle's are thrown away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from uuid import uuid4

Kept = TypeVar("Kept")
_lock = threading.Lock()
_kept: dict[str, Any] = {}


class PerProcess(Generic[Kept]):
    """An object that all copies of a DoFn in a process share, also those made for a retry.

    One that is made with the DoFn travels with it: so another pipeline, which makes its own DoFns, begins
    with a fresh object.

    Args:
      make: makes the object, where it is first asked for.
    """

    def __init__(self, make: Callable[[], Kept]) -> None:
        self._make = make
        self._token = uuid4().hex

    def get(self) -> Kept:
        """The object."""
        with _lock:
            if self._token not in _kept:
                _kept[self._token] = self._make()
            kept: Kept = _kept[self._token]
            return kept


class Once(Generic[Kept]):
    """Something that takes long to find out, found out once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[Kept] = []

    def get(self, find: Callable[[], Kept]) -> Kept:
        """What `find` gave; errors it raises are not kept."""
        with self._lock:
            if not self._found:
                self._found.append(find())
            return self._found[0]


class Tally:
    """Chunks that failed, each counted once, however often its bundle is tried."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._failed: set[bytes] = set()
        self._sound = False
        self._lock = threading.Lock()

    def add(self, failed: bytes | None) -> None:
        """Count a chunk: by what tells it apart if it failed, None if it did not."""
        with self._lock:
            if failed is None:
                self._sound = True
                self._failed.clear()
            elif not self._sound and len(self._failed) < self._most:
                self._failed.add(failed)

    @property
    def hopeless(self) -> bool:
        """Whether the first `most` chunks all failed."""
        return len(self._failed) >= self._most
