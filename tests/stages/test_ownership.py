"""Whether a table is still a job's own: how often that is asked, and what absence means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beam_ingest.errors import StoreError
from beam_ingest.stages import manifest
from beam_ingest.stages.manifest import Manifest, Ownership
from beam_ingest.stores.bigtable import BigtableStore
from beam_ingest.stores.sqlite import SQLiteStore
from testing.emulator import Emulator
from tests.stores.bigtable.conftest import emulator  # noqa: F401  (a fixture)

OURS, OLDER, NEWER = 2_000_000, 1_000_000, 3_000_000


class Clock:
    """Time that passes when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.on_sleep: Any = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(manifest, "time", clock)
    return clock


class Asked(BigtableStore):
    """Counts how often rows are read."""

    reads = 0

    def read_rows(self, keys: Any) -> Any:
        self.reads += 1
        return super().read_rows(keys)


@pytest.fixture
def store(
    emulator: Emulator,  # noqa: F811
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Asked]:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    opened = Asked("p", "i", request.node.name[:40])
    opened.create()
    yield opened
    opened.close()


def put(store: Any, timestamp: int) -> None:
    store.write(Manifest("g", "", "", (1, 1, 1), {}, "", timestamp).cells(), timestamp)


def test_a_shared_table_is_asked_once_in_seconds(store: Asked, clock: Clock) -> None:
    put(store, OURS)
    ownership = Ownership(store, OURS)
    for _ in range(100):
        ownership.check()
    assert store.reads == 1
    clock.sleep(5.1)
    ownership.check()
    assert store.reads == 2
    put(store, NEWER)
    clock.sleep(5.1)
    with pytest.raises(StoreError, match="another job has begun this graph from scratch"):
        ownership.check()


def test_what_is_not_there_yet_is_waited_for(store: Asked, clock: Clock) -> None:
    """As it is with several clusters, and for a worker that comes before its table."""
    clock.on_sleep = lambda: clock.now > 1010 and put(store, OURS)
    Ownership(store, OURS).check()
    assert store.reads > 2


@pytest.mark.parametrize(
    ("timestamp", "said"),
    [
        (None, r"its manifest is not there after 60 s.*single-cluster routing"),
        (OLDER, "another job has begun this graph from scratch"),
    ],
)
def test_waiting_ends(store: Asked, clock: Clock, timestamp: int | None, said: str) -> None:
    if timestamp:
        put(store, timestamp)
    with pytest.raises(StoreError, match=said):
        Ownership(store, OURS).check()
    assert 1060 <= clock.now < 1070


def test_another_job_is_told_at_once(store: Asked, clock: Clock) -> None:
    put(store, NEWER)
    with pytest.raises(StoreError, match="another job has begun"):
        Ownership(store, OURS).check()
    assert clock.now == 1000


def test_a_file_is_asked_each_time_and_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "graph.sqlite")
    store.create()
    ownership = Ownership(store, OURS)
    with pytest.raises(StoreError, match="its manifest is gone"):
        ownership.check()
    put(store, OURS)
    ownership.check()
    put(store, NEWER)
    with pytest.raises(StoreError, match="another job has begun"):
        ownership.check()
    assert clock.now == 1000
