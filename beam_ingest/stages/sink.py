"""Writing cells, and counting what was written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import apache_beam as beam
from apache_beam.io.components.adaptive_throttler import ThrottlingSignaler
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_ingest import halt
from beam_ingest.errors import HopelessError, InputChangedError, InputError
from beam_ingest.format.grid import ChunkGrid, chunk_name
from beam_ingest.stages import progress
from beam_ingest.stages.coding import WriteUnit
from beam_ingest.stages.failures import Failure
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.meter import Meter
from beam_ingest.stages.process import PerProcess, Tally
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.typed import merging
from beam_ingest.stores import Store, WriteReport

FLUSH_BYTES = 4 << 20
"""A worker holds about so many bytes of cells before it sends them off,"""
FLUSH_SECONDS = 2.0
"""and for about so long, so that `status` moves also where chunks are slow."""
IN_FLIGHT = 2
"""So many sendings may be under way while the next chunks are built."""
HOPELESS_CHUNKS = 1000
"""A worker process whose first so many chunks all failed ends the job: the others will fail as well."""


@beam.typehints.with_input_types(WriteUnit)
@beam.typehints.with_output_types(Counts)
class Write(beam.PTransform):  # type: ignore[misc]
    """Write units to the job's store.

    The output is one element, or none when there are no units: the sum of the counts of all, there when
    all are written. A transform that takes it as a side input (`all_written`) begins after the last write.

    Args:
      job: the job.
      layer: for the counters' name.
    """

    def __init__(self, job: StageJob, layer: int) -> None:
        super().__init__()
        self._job = job
        self._layer = layer

    def expand(self, units: beam.PCollection) -> beam.PCollection:
        """Apply the transform to a PCollection of `WriteUnit`."""
        return (
            units
            | "Cells" >> beam.ParDo(_WriteUnits(self._job, self._layer))
            # A default for no units at all would take five more transforms and two more stages.
            | "Total" >> merging(_sum, Counts)
        )


def failed_unit(grid: ChunkGrid, chunk_id: int, errors: list[InputError]) -> WriteUnit:
    """What is written of a chunk that cannot be built."""
    layer, name = grid.layer_of(chunk_id), chunk_name(grid.chunk_coords(chunk_id))
    found = [Failure.now(layer, name, error.file, str(error)) for error in errors]
    cells = [column for number, each in enumerate(found) for column in each.cells(chunk_id, number)]
    return WriteUnit(b"", Counts(failed=1), 0, cells)


def all_written(written: beam.PCollection) -> beam.pvalue.AsSingleton:
    """What `Write` gave, as a side input: the sum of the counts."""
    return beam.pvalue.AsSingleton(written, default_value=Counts())


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, Counts())


@beam.typehints.with_input_types(WriteUnit)
@beam.typehints.with_output_types(Counts)
class _WriteUnits(beam.DoFn):  # type: ignore[misc]
    def __init__(self, job: StageJob, layer: int) -> None:
        self._job = job
        self._namespace = namespace = f"Layer {layer}"
        self._counters = {
            name: beam.metrics.Metrics.counter(namespace, name)
            for name in (
                "supervoxels",
                "nodes",
                "edges",
                "rows",
                "cells",
                "nbytes",
                "missing",
                "failed",
                "empty",
            )
        }
        self._requests = beam.metrics.Metrics.counter(namespace, "requests")
        self._latency_ms = beam.metrics.Metrics.distribution(namespace, "request_ms")
        self._throttled_ms = beam.metrics.Metrics.counter(namespace, "throttled_ms")
        # Dataflow reads this one, and does not scale up against a table that asks us to wait.
        self._throttling = ThrottlingSignaler(namespace)
        self._tally = PerProcess(partial(Tally, HOPELESS_CHUNKS))
        self._meter = Meter(namespace)
        self._build_ms = beam.metrics.Metrics.distribution(namespace, "build_ms")
        self._store: Store
        self._ownership: Ownership
        self._sender: ThreadPoolExecutor
        self._units: list[WriteUnit]
        self._sent: deque[Future[tuple[Counts, list[WriteReport]]]]
        self._bytes = 0

    def setup(self) -> None:
        self._store = self._job.open_store()
        self._ownership = Ownership(self._store, self._job.timestamp)
        # Sends while the bundle's thread builds: a store is mostly waited for.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._sent = deque()
        self._untold_ms = 0.0
        # At first less, then twice as much each time: so that the store has something to do from the start.
        self._full = FLUSH_BYTES >> 4

    def start_bundle(self) -> None:
        self._meter.begin()
        self._sending = 0
        self._units = []
        self._bytes = 0
        self._sent = deque()
        self._flushed = time.monotonic()

    def process(self, unit: WriteUnit) -> Iterator[Counts]:
        halt.check()
        self._units.append(unit)
        self._bytes += unit.nbytes
        self._build_ms.update(unit.milliseconds)
        # The failure's row tells the chunk apart, should its bundle be tried again.
        self._tally.get().add(bytes(unit.cells[0].keys[0]) if unit.counts.failed and unit.cells else None)
        full = self._bytes >= self._full or time.monotonic() - self._flushed >= FLUSH_SECONDS
        if full or self._hopeless:
            yield from self._send(IN_FLIGHT)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for counts in self._send(0):
            yield GlobalWindows.windowed_value(counts)
        self._meter.end(self._sending)

    def teardown(self) -> None:
        for sent in self._sent:
            sent.cancel()
        if all(sent.done() for sent in self._sent):
            self._sender.shutdown()
            self._store.close()
        else:  # the bundle failed: what is under way is written again when it is tried again
            self._store.give_up()
            self._sender.submit(self._store.close)
            self._sender.shutdown(wait=False)

    @property
    def _hopeless(self) -> bool:
        return self._tally.get().hopeless

    def _send(self, in_flight: int) -> Iterator[Counts]:
        """Send what was held back; gives the counts of what is written, until `in_flight` are under way."""
        if self._units:
            self._sent.append(self._sender.submit(self._write, self._units))
            self._full = min(2 * self._full, FLUSH_BYTES)
        self._units, self._bytes, self._flushed = [], 0, time.monotonic()
        if self._hopeless:
            in_flight = 0
        while len(self._sent) > in_flight:
            total, reports = self._sent.popleft().result()
            for report in reports:
                self._report(report)
            for name, counter in self._counters.items():
                counter.inc(getattr(total, name))
            yield total
        if self._hopeless:
            raise HopelessError(f"graph {self._job.graph_id}: the first {HOPELESS_CHUNKS} chunks all failed")

    def _write(self, units: list[WriteUnit]) -> tuple[Counts, list[WriteReport]]:
        """Write the units' cells, and when those are there, their progress rows."""
        halt.check()
        begun = time.thread_time_ns()
        timestamp = self._job.timestamp
        fresh = units
        self._ownership.check()
        checksums = {unit.mark: progress.checksum(unit.cells) for unit in units if unit.mark}
        if self._job.resume:
            done = progress.read_done(self._store, list(checksums))
            if any(checksums[mark] != checksum for mark, checksum in done.items()):
                # Rows of the old input would stay among those of the new.
                raise InputChangedError(
                    f"{self._store.place}: graph {self._job.graph_id} was begun with other input files than "
                    "are there now, so --resume cannot finish it; --overwrite builds it from scratch"
                )
            fresh = [unit for unit in units if unit.mark not in done]
        cells = self._store.write([column for unit in fresh for column in unit.cells], timestamp)
        marks = self._store.write(
            [
                column
                for unit in fresh
                if unit.mark
                for column in progress.done_cells(
                    unit.mark, unit.counts, checksums[unit.mark], unit.milliseconds
                )
            ]
            + [column for unit in units for column in unit.after],
            timestamp,
        )
        self._sending += time.thread_time_ns() - begun  # one thread sends
        return _sum(unit.counts for unit in units), [cells, marks]

    def _report(self, report: WriteReport) -> None:
        self._requests.inc(report.requests)
        for latency in report.latencies_ms:
            self._latency_ms.update(latency)
        for cause, count in report.retries.items():
            beam.metrics.Metrics.counter(self._namespace, f"retries_{cause}").inc(count)
        if report.throttled_ms:
            self._throttled_ms.inc(round(report.throttled_ms))
            # Dataflow is told whole seconds: what is left of one is told with the next.
            seconds, self._untold_ms = divmod(self._untold_ms + report.throttled_ms, 1000)
            if seconds:
                self._throttling.signal_throttled(int(seconds))
