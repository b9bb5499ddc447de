"""The last stage of ``prepare``: what the chunks say of labels, from the table, put together.

From the table, and not from the stage before, so that a run that was resumed counts what was written before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import apache_beam as beam

from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.stages.coding import KEYED_BYTES, compress, decode_key, decompress, encode_key
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.stop import StopIfFailed
from beam_ingest.stages.typed import merging
from beam_ingest.stores import Store
from beam_ingest.volumes.coherence import MOST_SHARDS, ChunkLabels, LabelTotals, label_totals
from beam_ingest.volumes.job import PrepareJob
from beam_ingest.volumes.totals import read_chunk_labels, write_label_totals

_CHUNKS_A_SHARD = 64


class CountLabels(beam.PTransform):  # type: ignore[misc]
    """Writes the `LabelTotals` of a job to its table, when all chunks are written.

    Args:
      job: the job.
      written: the `Counts` of the chunks, as a side input.
    """

    def __init__(self, job: PrepareJob, written: beam.pvalue.AsSingleton) -> None:
        super().__init__()
        self._job = job
        self._written = written

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives one element, when it is done."""
        job = self._job
        found = (
            begin
            | "Plan" >> PlanBlocks(job.scope)
            | "Read" >> beam.ParDo(_ReadLabels(job), self._written).with_output_types(KEYED_BYTES)
            | "Group" >> beam.GroupByKey()
            | "Join" >> beam.Map(_joined).with_output_types(bytes)
            | "Total" >> merging(_sum, bytes)
        )
        write = beam.Map(partial(_write, job), beam.pvalue.AsSingleton(found, default_value=b""))
        return begin | "End" >> beam.Impulse() | "Write" >> write.with_output_types(bytes)


class _ReadLabels(beam.DoFn):  # type: ignore[misc]
    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._shards = min(MOST_SHARDS, 1 + job.written(ATOMIC_LAYER) // _CHUNKS_A_SHARD)
        self._stop_if_failed = StopIfFailed(job, ATOMIC_LAYER)
        self._store: Store

    def setup(self) -> None:
        self._store = self._job.open_store()

    def teardown(self) -> None:
        self._store.close()

    def process(self, block: bytes, written: Counts) -> Iterator[tuple[bytes, bytes]]:
        self._stop_if_failed(written)
        job = self._job
        chunks = filter(job.writes, job.chunks(job.grid.chunk_coords(decode_key(block))))
        ids = [job.grid.chunk_id(ATOMIC_LAYER, coords) for coords in chunks]
        for chunk in read_chunk_labels(self._store, ids):
            for shard, labels in chunk.shards(self._shards).items():
                yield encode_key(shard), compress(labels.encode())


def _joined(group: tuple[bytes, Iterable[bytes]]) -> bytes:
    return label_totals(ChunkLabels.decode(decompress(data)) for data in group[1]).encode()


def _sum(parts: Iterable[bytes]) -> bytes:
    return sum(map(LabelTotals.decode, parts), LabelTotals()).encode()


def _write(job: PrepareJob, _: bytes, totals: bytes) -> bytes:
    with job.open_store() as store:
        Ownership(store, job.timestamp).check()
        write_label_totals(store, LabelTotals.decode(totals) if totals else LabelTotals(), job.timestamp)
    return totals
