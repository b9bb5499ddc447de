"""What happens to a bundle that fails: its DoFn is thrown away, and a fresh one tries again.

A runner in one process makes few DoFns, so that what a DoFn remembers seems to last; here it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from apache_beam.internal import pickler

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ChunksFailedError, HopelessError, InputError, StoreError
from beam_ingest.ingest.job import IngestJob, make_job, start_job
from beam_ingest.ingest.pipeline.stop import StopIfFailed
from beam_ingest.stages import failures, sink, stop
from beam_ingest.stages.coding import WriteUnit
from beam_ingest.stages.failures import read_failures, summarise
from beam_ingest.stages.progress import Counts, chunk_key
from beam_ingest.stages.sink import failed_unit
from beam_ingest.stores import WriteReport, store_url
from testing.emulator import Emulator
from testing.faults import Plan
from testing.proxy import FaultyProxy
from tests.stores.bigtable.conftest import emulator  # noqa: F401  (a fixture)

MOST = 10


@pytest.fixture
def job(dataset: Path) -> IngestJob:
    return start_job(make_job("g", Dataset.from_file(dataset), f"sqlite:{dataset.parent}/graph.sqlite"))


@pytest.fixture
def travelling(job: IngestJob, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The DoFn that writes, as it travels to workers."""
    monkeypatch.setattr(sink, "HOPELESS_CHUNKS", MOST)
    return writer(job)


def writer(job: IngestJob) -> bytes:
    return pickler.dumps(sink._WriteUnits(job, 2))


def bad(job: IngestJob, number: int) -> WriteUnit:
    """What is written of a chunk that cannot be built."""
    error = InputError(f"edges_{number}", str(number), "an edge", "none")
    return failed_unit(job.grid, job.grid.chunk_id(2, (number, 0, 0)), [error])


def good(number: int) -> WriteUnit:
    return WriteUnit(chunk_key(number), Counts(nodes=1), 0, [])


@contextmanager
def fresh(travelling: bytes) -> Iterator[sink._WriteUnits]:
    """A DoFn as a worker makes it for a bundle; thrown away with its bundle, but torn down."""
    dofn = pickler.loads(travelling)
    dofn.setup()
    try:
        yield dofn
    finally:
        dofn.teardown()


def run(dofn: sink._WriteUnits, units: Iterable[WriteUnit]) -> Counts:
    """One bundle."""
    dofn.start_bundle()
    counts = [count for unit in units for count in dofn.process(unit)]
    return sum(counts + [value.value for value in dofn.finish_bundle()], Counts())


def test_a_process_remembers_failures_across_bundles_that_fail(travelling: bytes, job: IngestJob) -> None:
    for first in (0, 4):  # each in a DoFn of its own, and none with enough failures by itself
        with fresh(travelling) as dofn:
            assert run(dofn, [bad(job, number) for number in range(first, first + 4)]).failed == 4
    for _ in range(4):  # as often as Dataflow tries a bundle: it never gets past the first chunks
        with fresh(travelling) as dofn, pytest.raises(HopelessError, match="the first 10 chunks all failed"):
            run(dofn, [bad(job, number) for number in range(8, 20)])
        store = job.open_store()
        assert len(list(read_failures(store))) == MOST  # and they are told
        store.close()


def test_a_bundle_that_is_tried_again_counts_once(travelling: bytes, job: IngestJob) -> None:
    for _ in range(4):
        with fresh(travelling) as dofn:
            assert run(dofn, [bad(job, number) for number in range(MOST - 1)]).failed == MOST - 1


def test_one_chunk_that_can_be_built_gives_hope(travelling: bytes, job: IngestJob) -> None:
    with fresh(travelling) as dofn:
        run(dofn, [bad(job, 0), good(1)])
    with fresh(travelling) as dofn:
        assert run(dofn, [bad(job, number) for number in range(3 * MOST)]).failed == 3 * MOST


def test_another_run_in_the_same_process_begins_with_none(travelling: bytes, job: IngestJob) -> None:
    """As in a notebook: the input was corrected, and the graph is resumed."""
    with fresh(travelling) as dofn, pytest.raises(HopelessError):
        run(dofn, [bad(job, number) for number in range(MOST)])
    with fresh(writer(job)) as dofn:
        assert run(dofn, [bad(job, 0), *map(good, range(1, MOST))]).failed == 1


def test_the_counts_of_a_bundle_are_the_same_when_it_is_tried_again(travelling: bytes) -> None:
    units = [good(number) for number in range(5)]
    with fresh(travelling) as dofn:
        first = run(dofn, units)
    with fresh(travelling) as dofn:
        assert run(dofn, units) == first == Counts(nodes=5)


def test_throttled_time_is_told_in_whole_seconds(travelling: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dataflow scales by it: 20 times 50 ms is a second, and not 20."""
    with fresh(travelling) as dofn:
        told: list[int] = []
        monkeypatch.setattr(dofn._throttling, "signal_throttled", told.append)
        for _ in range(20):
            dofn._report(WriteReport(throttled_ms=50.0))
        assert told == [1]
        dofn._report(WriteReport(throttled_ms=2999.0))
        dofn._report(WriteReport(throttled_ms=1.0))
        assert told == [1, 2, 1]


def test_a_failed_bundle_does_not_wait_for_what_it_was_writing(
    job: IngestJob,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server refuses everything for minutes; the bundle's own thread meanwhile meets an error."""
    refuse = Plan(bad_row=lambda key: key.startswith(b"beam_ingest/"), bad_code=grpc.StatusCode.UNAVAILABLE)
    with FaultyProxy(emulator.address) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        job = replace(job, store=store_url(job.dataset, "lifecycle", "bigtable:p/i"))
        job = start_job(job, overwrite=True)
        proxy.plan = refuse
        monkeypatch.setattr(sink, "FLUSH_SECONDS", 0.0)
        with fresh(writer(job)) as dofn:
            dofn.start_bundle()
            assert list(dofn.process(good(1))) == []
            (sent,) = dofn._sent
            sender: ThreadPoolExecutor = dofn._sender
        assert "the write was given up" in str(sent.exception(timeout=60))
        sender.shutdown()
        proxy.plan = Plan()
        with fresh(writer(job)) as dofn:
            assert run(dofn, [good(1)]).nodes == 1


# Before the next layer


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every reading of the failures."""
    times: list[int] = []

    def spy(store: object) -> object:
        times.append(1)
        return summarise(store)  # type: ignore[arg-type]

    monkeypatch.setattr(stop, "summarise", spy)
    return times


def write_failures(job: IngestJob, count: int) -> None:
    with fresh(writer(job)) as dofn:
        run(dofn, [bad(job, number) for number in range(count)])


def test_failures_are_read_once_a_process(job: IngestJob, reads: list[int]) -> None:
    write_failures(job, 3)
    travelling = pickler.dumps(StopIfFailed(job, 2))
    said = set()
    for _ in range(4):
        stop_if_failed: Callable[[Counts], None] = pickler.loads(travelling)
        stop_if_failed(Counts(nodes=3))
        with pytest.raises(ChunksFailedError) as raised:
            stop_if_failed(Counts(failed=3))
        said.add(str(raised.value))
    assert len(reads) == len(said) == 1
    assert "3 of 16 chunks failed at layer 2, all in the same way" in said.pop()


def test_a_store_that_cannot_be_read_is_asked_again(job: IngestJob, monkeypatch: pytest.MonkeyPatch) -> None:
    write_failures(job, 1)
    stop_if_failed = StopIfFailed(job, 2)
    with monkeypatch.context() as broken:

        def fail(_: object) -> None:
            raise StoreError("not now")

        broken.setattr(stop, "summarise", fail)
        with pytest.raises(StoreError):
            stop_if_failed(Counts(failed=1))
    with pytest.raises(ChunksFailedError, match="1 of 16 chunks failed"):
        stop_if_failed(Counts(failed=1))


def test_of_many_failures_the_first_are_read(job: IngestJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST_READ", 7)
    write_failures(job, 9)
    store = job.open_store()
    summary = summarise(store)
    store.close()
    assert summary is not None
    assert (summary.chunks, summary.whole, summary.more) == (7, False, 2)
    *causes, more, last = summary.lines("g d.yml", 16)
    assert len(causes) == failures.SHOWN
    assert more == "... and at least 2 more"
    assert last.startswith("more than 7 of 16 chunks failed at layer 2, the first 7 in the same way; ")
    with pytest.raises(ChunksFailedError, match="\n9 of 16 chunks failed at layer 2, the first 7 in the"):
        StopIfFailed(job, 2)(Counts(failed=9))


def test_counts_without_failures_go_on(job: IngestJob, reads: list[int]) -> None:
    StopIfFailed(job, 2)(Counts(nodes=1))
    assert reads == []
