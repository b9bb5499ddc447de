"""The stages of the layers: read, group, build, write."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_ingest.errors import InputError
from beam_ingest.files import Content, FileError
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates
from beam_ingest.format.table import Cells
from beam_ingest.ingest.build import Builder, BuiltChunk
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.pipeline.root_children import pack_root_children
from beam_ingest.ingest.pipeline.stop import StopIfFailed
from beam_ingest.stages import progress, tallies
from beam_ingest.stages.coding import (
    KEYED_BYTES,
    WriteUnit,
    compress,
    decode_key,
    decompress,
    encode_key,
    pack_blobs,
    unpack_blobs,
)
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.typed import typed

_MESSAGES, _ROOT_CHILDREN, _UNITS = "messages", "root_children", "units"


class LayerOutput(NamedTuple):
    """What a layer hands on.

    Attributes:
      messages: (parent chunk key, compressed message) for the next layer.
      root_children: (sender key, packed nodes) for the roots.
      written: one `Counts`, there when everything is written; none when there was nothing to write.
    """

    messages: beam.PCollection
    root_children: beam.PCollection
    written: beam.PCollection


@beam.typehints.with_input_types(bytes)
@beam.typehints.with_output_types(tuple[bytes, bytes])
class ReadBlocks(beam.DoFn):  # type: ignore[misc]
    """Reads the edges and components files of a block's chunks.

    The output is (block key, blobs): int64 counts of absent files a chunk, why files cannot be read as
    JSON, then edges and components of each.

    Args:
      job: the job.
    """

    def __init__(self, job: IngestJob) -> None:
        self._builder = Builder(job)
        self._scope = job.scope

    def process(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Read one block."""
        chunks = self._scope.chunks(self._scope.grid.chunk_coords(decode_key(key)))
        contents = self._builder.read(chunks)
        absent = np.array([content is None for content in contents]).reshape(-1, 2).sum(axis=1)
        yield key, pack_contents(absent, contents)


class AtomicLayer(beam.PTransform):  # type: ignore[misc]
    """Layer 2: from block keys to nodes.

    Args:
      job: the job.
      read: turns block keys into (block key, blobs), as `ReadBlocks` does.
    """

    def __init__(self, job: IngestJob, read: beam.PTransform) -> None:
        super().__init__()
        self._job = job
        self._read = read

    def expand(self, blocks: beam.PCollection) -> LayerOutput:
        """Apply the transform to the keys of `beam_ingest.stages.planning.PlanBlocks`."""
        contents = blocks | "Read" >> self._read
        return _build_and_write(contents, self._job, ATOMIC_LAYER, _BuildBlock(self._job))


class ParentLayer(beam.PTransform):  # type: ignore[misc]
    """A layer above 2: group messages by parent chunk, build, write.

    Args:
      job: the job.
      layer: the layer to build.
      below: the `Counts` of the layer below; nothing is built when chunks of it failed.
    """

    def __init__(self, job: IngestJob, layer: int, below: beam.PCollection) -> None:
        super().__init__()
        self._job = job
        self._layer = layer
        self._below = below

    def expand(self, messages: beam.PCollection) -> LayerOutput:
        """Apply the transform to (parent chunk key, compressed message)."""
        build = _BuildParent(self._job, self._layer)
        grouped = messages | "Group" >> beam.GroupByKey()
        return _build_and_write(grouped, self._job, self._layer, build, all_written(self._below))


def _build_and_write(
    elements: beam.PCollection, job: IngestJob, layer: int, build: beam.DoFn, *side_inputs: Any
) -> LayerOutput:
    built = elements | "Build" >> beam.ParDo(build, *side_inputs).with_outputs(
        _MESSAGES, _ROOT_CHILDREN, _UNITS
    )
    typed(built, {_MESSAGES: KEYED_BYTES, _ROOT_CHILDREN: KEYED_BYTES, _UNITS: WriteUnit})
    return LayerOutput(built[_MESSAGES], built[_ROOT_CHILDREN], built[_UNITS] | "Write" >> Write(job, layer))


class _BuildChunks(beam.DoFn):  # type: ignore[misc]
    """What both kinds of layers share: time, failures and outputs."""

    def __init__(self, job: IngestJob, layer: int) -> None:
        self._job = job
        self._layer = layer
        self._builder = Builder(job)
        self._scope = job.scope
        self._chunks = beam.metrics.Metrics.counter(f"Layer {layer}", "chunks")
        self._written: list[Counts] = []
        self._group_bytes = beam.metrics.Metrics.distribution(f"Layer {layer}", "group_bytes")

    def _chunk(self, chunk_id: int, build: Callable[[], BuiltChunk]) -> Iterator[beam.pvalue.TaggedOutput]:
        """Build one chunk; bad input becomes a failure and the others go on."""
        start = time.perf_counter_ns()
        try:
            built = build()
        except InputError as error:
            yield beam.pvalue.TaggedOutput(
                _UNITS, failed_unit(self._job.grid, chunk_id, [error, *error.others])
            )
            # The parent has to be there to stop the job, even if every chunk of this layer fails.
            if self._layer == ATOMIC_LAYER:
                yield from self._messages(self._builder.bad(self._job.grid.chunk_coords(chunk_id)))
            elif self._layer < self._job.grid.root_layer:
                yield from self._messages([(self._job.grid.ancestor(chunk_id, self._layer + 1), b"")])
            return
        milliseconds = (time.perf_counter_ns() - start) // 1_000_000
        self._chunks.inc()
        yield from self._messages(built.messages)
        for children in built.root_children:
            element = (encode_key(children.sender), pack_root_children(children))
            yield beam.pvalue.TaggedOutput(_ROOT_CHILDREN, element)
        if self._scope.writes(chunk_id):
            root = self._layer == self._job.grid.root_layer
            mark = progress.ROOT_EDGES_KEY if root else progress.chunk_key(chunk_id)
            self._written.append(built.counts)
            above = self._layer > ATOMIC_LAYER
            after = self._tally(self._job.grid.chunk_coords(chunk_id)) if above else []
            unit = WriteUnit(mark, built.counts, milliseconds, built.cells, after)
            yield beam.pvalue.TaggedOutput(_UNITS, unit)

    def _tally(self, coords: Coordinates) -> Cells:
        """What says that the chunks which were built since the last time are done.

        Args:
          coords: of their block (layer 2), or of the chunk.
        """
        counts, self._written = self._written, []
        return tallies.block_cells(self._job.grid, self._layer, coords, len(counts), sum(counts, Counts()))

    def _messages(self, messages: Iterable[tuple[int, bytes]]) -> Iterator[beam.pvalue.TaggedOutput]:
        for target, data in messages:
            if self._scope.writes(target):
                yield beam.pvalue.TaggedOutput(_MESSAGES, (encode_key(target), compress(data)))


class _BuildBlock(_BuildChunks):
    def __init__(self, job: IngestJob) -> None:
        super().__init__(job, ATOMIC_LAYER)

    def process(self, block: tuple[bytes, bytes]) -> Iterator[beam.pvalue.TaggedOutput]:
        key, data = block
        self._written = []  # of a bundle that failed
        self._group_bytes.update(len(data))
        chunks = self._scope.chunks(self._job.grid.chunk_coords(decode_key(key)))
        absent, contents = unpack_contents(data)
        for coords, missing, edges, components in zip(
            chunks, absent, contents[::2], contents[1::2], strict=True
        ):
            chunk_id = self._job.grid.chunk_id(ATOMIC_LAYER, coords)
            build = partial(self._builder.atomic, coords, edges, components, missing)
            yield from self._chunk(chunk_id, build)
        after = self._tally(self._job.grid.chunk_coords(decode_key(key)))
        if after:
            yield beam.pvalue.TaggedOutput(_UNITS, WriteUnit(b"", Counts(), 0, [], after))


class _BuildParent(_BuildChunks):
    def __init__(self, job: IngestJob, layer: int) -> None:
        super().__init__(job, layer)
        self._stop_if_failed = StopIfFailed(job, layer - 1)
        self._total_below = tallies.LayerTotal(job, layer - 1)

    def process(
        self, group: tuple[bytes, Iterable[bytes]], below: Counts
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        key, values = group
        chunk_id = decode_key(key)
        if self._layer == BLOCK_LAYER and below.failed:
            yield from self._compare(chunk_id, [decompress(data) for data in values])
            return
        self._stop_if_failed(below)
        self._total_below(below)
        self._written = []
        packed = [decompress(data) for data in values]  # what it takes in memory; less was shuffled
        self._group_bytes.update(sum(map(len, packed)))
        yield from self._chunk(chunk_id, partial(self._builder.parent, chunk_id, packed))

    def _compare(self, chunk_id: int, packed: list[bytes]) -> Iterator[beam.pvalue.TaggedOutput]:
        """In place of building: the job fails, and tells in the same run which files disagree besides."""
        errors = self._builder.contradicting(packed)
        unit = (
            failed_unit(self._job.grid, chunk_id, errors)
            if errors
            else WriteUnit(b"", Counts(failed=1), 0, [])
        )
        yield beam.pvalue.TaggedOutput(_UNITS, unit)
        if self._layer < self._job.grid.root_layer:
            yield from self._messages([(self._job.grid.ancestor(chunk_id, self._layer + 1), b"")])


def pack_contents(absent: npt.NDArray[np.int64], contents: Sequence[Content | InputError]) -> bytes:
    """A block's files, in order of its chunks: edges, components, edges, components, …

    Args:
      absent: how many files of each chunk were not there.
      contents: the files, or why they are not taken.
    """
    errors = {at: content.args for at, content in enumerate(contents) if isinstance(content, Exception)}
    files = [None if isinstance(content, Exception) else content for content in contents]
    return pack_blobs([absent.astype("<i8").tobytes(), json.dumps(errors).encode(), *files])


def unpack_contents(data: bytes) -> tuple[list[int], list[Content | InputError]]:
    """The counts and files that `pack_contents` took."""
    absent, errors, *files = unpack_blobs(data)
    contents: list[Content | InputError] = list(files)
    for at, said in json.loads(errors or b"{}").items():
        contents[int(at)] = FileError(*said) if len(said) == 2 else InputError(*said)
    return np.frombuffer(absent or b"", "<i8").tolist(), contents
