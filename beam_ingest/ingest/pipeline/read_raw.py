"""Raw agglomeration, read file by file and regrouped by block of chunks.

Every shard file is opened once; its payloads go to the blocks that need them. There each chunk's
edges and mapping are put together, written to EDGES and COMPONENTS when those are named, and handed
on as the very bytes that `beam_ingest.ingest.pipeline.layers.ReadBlocks` would have read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np

from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates, as_coordinates
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.pipeline.layers import pack_contents
from beam_ingest.ingest.pipeline.stop import StopIfFailed
from beam_ingest.inputs.agglomeration import Payload, assemble_chunk, shard_files
from beam_ingest.inputs.components import encode_components
from beam_ingest.inputs.edges import encode_chunk_edges
from beam_ingest.inputs.reading import read_shards
from beam_ingest.inputs.server_files import ServerFiles
from beam_ingest.stages.coding import KEYED_BYTES, WriteUnit, decode_key, encode_key
from beam_ingest.stages.payloads import address_payloads, pack_payloads, unpack_payloads
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.typed import typed

_PAYLOADS, _FAILURES = "payloads", "failures"
_ABSENT = "absent"
"""In place of the kind of a file: the payload is the number of a block's files that were not there."""


class ReadRaw(beam.PTransform):  # type: ignore[misc]
    """From block keys to (block key, blobs) as `ReadBlocks` makes them.

    Args:
      job: a job with raw input.
    """

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        """Apply the transform to the keys of `PlanBlocks`."""
        job = self._job
        opened = blocks | "Open" >> beam.ParDo(_OpenShards(job)).with_outputs(_PAYLOADS, _FAILURES)
        typed(opened, {_PAYLOADS: KEYED_BYTES, _FAILURES: WriteUnit})
        failed = opened[_FAILURES] | "Write failures" >> Write(job, ATOMIC_LAYER)
        return (
            opened[_PAYLOADS]
            | "Group" >> beam.GroupByKey()
            | "Assemble" >> beam.ParDo(_Assemble(job), all_written(failed))
        )


class _OpenShards(beam.DoFn):  # type: ignore[misc]
    """Opens the shard files of a block and sends every payload to the blocks that need it."""

    def __init__(self, job: IngestJob) -> None:
        assert job.dataset.agglomeration is not None
        assert job.dataset.data_version is not None
        self._job = job
        self._scope = job.scope
        self._folder = Folder(job.dataset.agglomeration)
        self._data_version = job.dataset.data_version

    def process(self, key: bytes) -> Iterator[beam.pvalue.TaggedOutput]:
        grid = self._job.grid
        block = grid.chunk_coords(decode_key(key))
        chunks = as_coordinates(grid.children(BLOCK_LAYER, block))
        shards = shard_files(grid, chunks, partial=self._job.test)
        absent = 0
        payloads: list[Payload] = []
        for opened in read_shards(
            grid, self._folder, shards, self._data_version, required=self._job.require_files
        ):
            absent += opened.absent and opened.shard.expected
            payloads += opened.payloads
            if opened.fault:
                chunk_id = grid.chunk_id(ATOMIC_LAYER, opened.shard.first_chunk)
                unit = failed_unit(grid, chunk_id, [opened.fault.error])
                yield beam.pvalue.TaggedOutput(_FAILURES, unit)
        for target, packed in address_payloads(grid, payloads):
            yield beam.pvalue.TaggedOutput(_PAYLOADS, (encode_key(target), packed))
        if payloads:  # told to where failures are counted
            yield beam.pvalue.TaggedOutput(_FAILURES, WriteUnit(b"", Counts(), 0, []))
        missing = Payload(_ABSENT, "", (), absent.to_bytes(8, "little"))
        yield beam.pvalue.TaggedOutput(_PAYLOADS, (key, pack_payloads([missing])))


@beam.typehints.with_output_types(KEYED_BYTES)
class _Assemble(beam.DoFn):  # type: ignore[misc]
    """Puts the files of a block's chunks together from payloads."""

    def __init__(self, job: IngestJob) -> None:
        source = job.dataset
        assert source.agglomeration is not None
        self._job = job
        self._scope = job.scope
        self._path = Folder(source.agglomeration).path
        self._files = ServerFiles(source.edges, source.components, job.replace_files)
        self._stop_if_failed = StopIfFailed(job, ATOMIC_LAYER)

    def process(self, group: tuple[bytes, Iterable[bytes]], failed: Counts) -> Iterator[tuple[bytes, bytes]]:
        self._stop_if_failed(failed)
        key, values = group
        absent = 0
        payloads: list[Payload] = []
        for payload in unpack_payloads(values):
            if payload.kind == _ABSENT:
                absent += int.from_bytes(payload.data, "little")
            else:
                payloads.append(payload)
        chunks = self._scope.chunks(self._job.grid.chunk_coords(decode_key(key)))
        counts = np.zeros(len(chunks), "<i8")
        counts[:1] = absent
        yield key, pack_contents(counts, self._made(chunks, payloads))

    def _made(self, chunks: list[Coordinates], payloads: list[Payload]) -> list[bytes | InputError | None]:
        """Edges and components files of a block's chunks, which are now where servers look for them.

        None where nothing would be in a file; an error where it cannot be made, or another one is there.
        """
        job = self._job
        assert job.dataset.data_version is not None
        edges_files: dict[Coordinates, bytes | None] = {}
        components_files: dict[Coordinates, bytes | None] = {}
        errors: dict[Coordinates, list[InputError]] = {}
        for coords in chunks:
            try:
                edges, mapping = assemble_chunk(
                    job.grid, coords, payloads, job.dataset.data_version, job.resolution, self._path
                )
            except InputError as error:
                errors[coords] = [error]
                continue
            edges_files[coords] = encode_chunk_edges(edges) if len(edges) else None
            components_files[coords] = encode_components(mapping) if mapping.ids.size else None
        if not errors:
            own = [c for c in chunks if self._scope.writes(job.grid.chunk_id(ATOMIC_LAYER, c))]
            errors = self._files.write(
                {c: edges_files[c] for c in own}, {c: components_files[c] for c in own}
            )
        made: list[bytes | InputError | None] = []
        for coords in chunks:
            wrong = errors.get(coords)
            files = (edges_files.get(coords), components_files.get(coords))
            made += [*wrong, None][:2] if wrong else files
        return made
