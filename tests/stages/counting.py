"""A stage for tests: it counts the supervoxels of every chunk, in a table of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import apache_beam as beam
import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import InputError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, chunk_name
from beam_ingest.inputs.edges import decode_chunk_edges, edges_file_name, edges_folder
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.runners.run import run_job
from beam_ingest.stages import sink
from beam_ingest.stages.coding import WriteUnit, decode_key
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import OptionTypes
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.progress import Counts, chunk_key
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.start import start_job
from beam_ingest.stages.stop import StopIfFailed, forget_failures

COUNT = table.ColumnName("0", b"count")


@dataclass(frozen=True)
class CountJob(StageJob):
    """Counts the supervoxels that the edges files name.

    Attributes:
      least: a chunk with fewer fails.
    """

    stage: ClassVar[str] = "count"
    option_types: ClassVar[OptionTypes] = {**StageJob.option_types, "least": int}

    least: int = 0

    @property
    def top(self) -> int:
        return ATOMIC_LAYER

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        planned = begin | "Plan" >> PlanBlocks(self.scope) | "Count" >> beam.ParDo(CountSupervoxels(self))
        written = all_written(planned | "Write" >> Write(self, ATOMIC_LAYER))
        finish = partial(_finish, job=self, stop=StopIfFailed(self, ATOMIC_LAYER))
        return begin | "End" >> beam.Impulse() | "Finish" >> beam.Map(finish, written)


def _finish(_: bytes, counts: Counts, job: CountJob, stop: StopIfFailed) -> Counts:
    stop(counts)
    forget_failures(job)
    return counts


@beam.typehints.with_output_types(WriteUnit)
class CountSupervoxels(beam.DoFn):  # type: ignore[misc]
    """Counts the supervoxels of the chunks of a block."""

    def __init__(self, job: CountJob) -> None:
        self._job = job

    def process(self, key: bytes) -> Iterator[WriteUnit]:
        grid, scope = self._job.grid, self._job.scope
        for coords in scope.chunks(grid.chunk_coords(decode_key(key))):
            chunk = grid.chunk_id(ATOMIC_LAYER, coords)
            if not scope.writes(chunk):
                continue
            try:
                count = self._count(coords)
            except InputError as error:
                yield failed_unit(grid, chunk, [error])
                continue
            cells = [table.single(COUNT, table.node_key(chunk), count.to_bytes(8, "little"))]
            yield WriteUnit(chunk_key(chunk), Counts(supervoxels=count, cells=1), 0, cells)

    def _count(self, coords: tuple[int, int, int]) -> int:
        folder, name = edges_folder(str(self._job.dataset.edges)), edges_file_name(coords)
        (content,) = folder.read([name])
        edges = decode_chunk_edges(content or b"", folder.path(name), chunk_name(coords))
        groups = (edges.in_chunk, edges.cross_chunk, edges.between_chunk)
        ids = np.concatenate([ids for group in groups for ids in (group.node_ids1, group.node_ids2)])
        first = self._job.grid.chunk_id(SUPERVOXEL_LAYER, coords)
        own = np.unique(ids[ids >> self._job.grid.segment_bits(1) == first >> self._job.grid.segment_bits(1)])
        if own.size < self._job.least:
            file = folder.path(name)
            raise InputError(file, chunk_name(coords), f"{self._job.least} supervoxels", f"{own.size}")
        return int(own.size)


def count_job(dataset: str, store: str, test: bool = False, least: int = 0) -> CountJob:
    """A job of the stage, not started."""
    source = Dataset.from_file(dataset)
    watershed = read_watershed(source.watershed)
    grid = chunk_grid(source, watershed)
    return CountJob("counts", source, grid, watershed.resolution, store, test=test, least=least)


if __name__ == "__main__":
    sink.FLUSH_BYTES, sink.FLUSH_SECONDS = 1, 0  # a transaction a chunk
    run_job(start_job(count_job(*sys.argv[1:])), {"direct_num_workers": 1})
