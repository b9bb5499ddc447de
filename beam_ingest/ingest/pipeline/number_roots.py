"""The roots: ranges of ids for every sender, their rows, and the root chunk's progress row."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from beam_ingest.ingest.build import Builder
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.pipeline.root_children import unpack_root_children
from beam_ingest.ingest.pipeline.stop import StopIfFailed
from beam_ingest.kernels.root_ids import shard_of, shard_ranges
from beam_ingest.stages import progress
from beam_ingest.stages.coding import KEYED_BYTES, WriteUnit, decode_key, encode_key
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.sink import Write, all_written
from beam_ingest.stages.stop import forget_failures

_COUNT = struct.Struct("<QQ")
"""Sender and number of its roots."""
_RANGE = struct.Struct("<QQ")
"""What `shard_ranges` tells a sender. Shorter than packed `RootChildren`, which have two sizes and a node."""


class Roots(beam.PTransform):  # type: ignore[misc]
    """Number and write the roots.

    Args:
      job: the job.
      below: the `Counts` of the root layer's own stage.
    """

    def __init__(self, job: IngestJob, below: beam.PCollection) -> None:
        super().__init__()
        self._job = job
        self._below = below

    def expand(self, layers: Sequence[beam.PCollection]) -> beam.PCollection:
        """Apply the transform to (sender key, packed `RootChildren`) of all layers; gives all `Counts`."""
        job, layer = self._job, self._job.grid.root_layer
        root_children = layers | "Every layer" >> beam.Flatten()
        ranges = (
            root_children
            | "Count" >> beam.Map(_count).with_output_types(KEYED_BYTES)
            | "Group shards" >> beam.GroupByKey()
            | "Number" >> beam.FlatMap(_number).with_output_types(KEYED_BYTES)
        )
        written = (
            (root_children, ranges)
            | "Meet" >> beam.Flatten()
            | "Group" >> beam.GroupByKey()
            | "Build" >> beam.ParDo(_BuildRoots(job), all_written(self._below))
            | "Write" >> Write(job, layer)
        )

        stop_if_failed = StopIfFailed(job, layer)

        def done(_: bytes, roots: Counts, below: Counts) -> WriteUnit:
            stop_if_failed(below)
            forget_failures(job)
            key = progress.chunk_key(job.grid.chunk_id(layer, (0, 0, 0)))
            return WriteUnit(key, roots + below, 0, [])

        return (
            written.pipeline
            | "End" >> beam.Impulse()
            | "Done"
            >> beam.Map(done, all_written(written), all_written(self._below)).with_output_types(WriteUnit)
            | "Write progress" >> Write(job, layer)
        )


def _count(element: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    sender = decode_key(element[0])
    count = unpack_root_children(sender, element[1]).root_count
    return bytes([shard_of(sender)]), _COUNT.pack(sender, count)


def _number(group: tuple[bytes, Iterable[bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for sender, (first, highest) in shard_ranges(dict(_COUNT.unpack(data) for data in group[1])).items():
        yield encode_key(sender), _RANGE.pack(first, highest)


@beam.typehints.with_output_types(WriteUnit)
class _BuildRoots(beam.DoFn):  # type: ignore[misc]
    def __init__(self, job: IngestJob) -> None:
        self._job = job
        self._builder = Builder(job)
        self._stop_if_failed = StopIfFailed(job, job.grid.root_layer)

    def process(self, group: tuple[bytes, Iterable[bytes]], below: Counts) -> Iterator[WriteUnit]:
        self._stop_if_failed(below)
        sender = decode_key(group[0])
        packed_range, data = sorted(group[1], key=len)
        built = self._builder.roots(unpack_root_children(sender, data), *_RANGE.unpack(packed_range))
        yield WriteUnit(progress.roots_key(sender), built.counts, 0, built.cells)
