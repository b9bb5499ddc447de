"""``l2cache`` as a pipeline: read chunks, compute, write."""

from __future__ import annotations

import time
from collections.abc import Iterator

import apache_beam as beam

from beam_ingest import halt
from beam_ingest.errors import InputError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.l2cache.build import cache_chunk
from beam_ingest.l2cache.job import L2CacheJob
from beam_ingest.stages import progress
from beam_ingest.stages.coding import WriteUnit, decode_key
from beam_ingest.stages.hints import with_memory, worker_bytes, workers_to_tell
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.stop import StopIfFailed, forget_failures
from beam_ingest.stores import Store, open_store


def build_l2cache(begin: beam.Pipeline | beam.pvalue.PBegin, job: L2CacheJob) -> beam.PCollection:
    """The stages of `FillL2Cache` without a name around them.

    Args:
      begin: where the stages go.
      job: a job that was started.

    Returns:
      The `Counts` of all chunks.
    """
    stop_if_failed = StopIfFailed(job, ATOMIC_LAYER)

    def finish(_: bytes, counts: Counts) -> Counts:
        stop_if_failed(counts)
        forget_failures(job)
        return counts

    compute = beam.ParDo(_CacheBlock(job)).with_output_types(WriteUnit)
    workers = workers_to_tell(begin)
    if workers:
        needed = worker_bytes(job.chunk_bytes, job.written(ATOMIC_LAYER), workers)
        compute = with_memory(compute, needed, workers)
    units = begin | "Plan" >> PlanBlocks(job.scope) | "Compute" >> compute
    written = units | "Write" >> Write(job, ATOMIC_LAYER)
    end = begin | "End" >> beam.Impulse()
    return end | "Finish" >> beam.Map(finish, all_written(written)).with_output_types(Counts)


class FillL2Cache(beam.PTransform):  # type: ignore[misc]
    """Compute the L2 cache of a finished graph.

    Args:
      job: a job that was started (`beam_ingest.stages.start.start_job`): its table is there.
    """

    def __init__(self, job: L2CacheJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the `Counts` of all chunks."""
        return build_l2cache(begin, self._job)


class _CacheBlock(beam.DoFn):  # type: ignore[misc]
    """Computes the rows of the chunks of a block, those alone that are to be written and are not yet."""

    def __init__(self, job: L2CacheJob) -> None:
        self._job = job
        self._graph: Store
        self._store: Store
        self._watershed: WatershedVoxels

    def setup(self) -> None:
        self._graph = open_store(self._job.graph_store)
        self._store = self._job.open_store()
        self._watershed = WatershedVoxels(self._job.dataset.watershed, self._job.dataset.cv_mip)

    def teardown(self) -> None:
        self._graph.close()
        self._store.close()

    def process(self, key: bytes) -> Iterator[WriteUnit]:
        grid, scope = self._job.grid, self._job.scope
        coords = grid.children(BLOCK_LAYER, grid.chunk_coords(decode_key(key)))
        chunks = [chunk for chunk in grid.chunk_ids(ATOMIC_LAYER, coords).tolist() if scope.writes(chunk)]
        done = (
            progress.read_done(self._store, list(map(progress.chunk_key, chunks)))
            if chunks and self._job.resume
            else {}
        )
        for chunk in chunks:
            if progress.chunk_key(chunk) not in done:
                halt.check()
                yield self._unit(chunk)

    def _unit(self, chunk: int) -> WriteUnit:
        job, begun = self._job, time.perf_counter_ns()
        try:
            cached = cache_chunk(job, self._graph, self._watershed, job.grid.chunk_coords(chunk))
        except InputError as error:
            return failed_unit(job.grid, chunk, [error])
        milliseconds = (time.perf_counter_ns() - begun) // 1_000_000
        return WriteUnit(progress.chunk_key(chunk), cached.counts, milliseconds, cached.cells)
