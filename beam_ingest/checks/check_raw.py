"""Raw agglomeration: opening the shard files of the chunks of a check, each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np

from beam_ingest.checks.check_job import CheckJob
from beam_ingest.checks.findings import Case, Findings
from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import Coordinates, as_coordinates
from beam_ingest.inputs.agglomeration import (
    EDGE_KINDS,
    REMAP,
    Payload,
    ShardFile,
    assemble_chunk,
    shard_files,
)
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.inputs.reading import read_shards
from beam_ingest.stages.coding import decode_key, encode_key
from beam_ingest.stages.payloads import address_payloads
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.typed import Once

PAYLOADS, FINDINGS, BROKEN = "payloads", "findings", "broken"
TOO_MANY = "*"
_MOST_BROKEN = 10_000
"""Broken files whose names travel to all workers; with more, no chunk is put together."""
_PER_SLAB = 64


class PlanShards(beam.PTransform):  # type: ignore[misc]
    """Names of the shard files to open, several in an element, each name once.

    Args:
      job: the check.
    """

    def __init__(self, job: CheckJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        """Apply the transform to the keys of all blocks that are opened."""
        if self._job.selection.is_all:
            return blocks | "Files" >> beam.FlatMap(_files_of_block, self._job).with_output_types(bytes)
        return (
            blocks
            | "Files" >> beam.FlatMap(_files_of_chunks, self._job).with_output_types(bytes)
            | "Once" >> Once()
        )


def _files_of_block(key: bytes, job: CheckJob) -> Iterator[bytes]:
    """What chunks of a block are the first of: all blocks together give every file once."""
    files = shard_files(job.grid, opened_chunks(job, key), partial=False)
    yield "\n".join(map(_encode, files)).encode()


def _files_of_chunks(key: bytes, job: CheckJob) -> Iterator[bytes]:
    """What the opened chunks of a block are put together from."""
    yield from {_encode(shard).encode() for c in opened_chunks(job, key) for shard in _needed(job, c)}


def opened_chunks(job: CheckJob, key: bytes) -> list[Coordinates]:
    """Coordinates of the chunks of a block that are opened."""
    coords = job.grid.children(BLOCK_LAYER, job.grid.chunk_coords(decode_key(key)))
    return as_coordinates(coords[job.selection.opened(coords)])


@beam.typehints.with_input_types(bytes)
class OpenShards(beam.DoFn):  # type: ignore[misc]
    """Opens shard files; sends their payloads to the blocks that need them.

    The outputs are PAYLOADS, as (block key, payload); FINDINGS; and BROKEN, names of files at fault.

    Args:
      job: the check.
    """

    def __init__(self, job: CheckJob) -> None:
        dataset = job.ingest.dataset
        assert dataset.agglomeration is not None
        assert dataset.data_version is not None
        self._job = job
        self._folder = Folder(dataset.agglomeration)
        self._data_version = dataset.data_version

    def process(self, names: bytes) -> Iterator[beam.pvalue.TaggedOutput]:
        """Open some files."""
        findings = Findings()
        shards = [_decode(name) for name in names.decode().split("\n")]
        payloads: list[Payload] = []
        for opened in read_shards(self._job.grid, self._folder, shards, self._data_version):
            if not opened.absent:
                findings.counts["shard files opened"] += 1
            payloads += opened.payloads
            if opened.fault:
                findings.fault(opened.fault)
                yield beam.pvalue.TaggedOutput(BROKEN, _encode(opened.shard))
        for block, packed in address_payloads(self._job.grid, payloads):
            key = encode_key(block)
            if self._job.selection.is_all or opened_chunks(self._job, key):
                yield beam.pvalue.TaggedOutput(PAYLOADS, (key, packed))
        yield beam.pvalue.TaggedOutput(FINDINGS, findings.encode())


def broken_shards(names: Iterable[str]) -> str:
    """Names of broken files, of which some may be joined already, as one text; TOO_MANY for too many."""
    every = {name for joined in names for name in joined.split("\n") if name}
    return TOO_MANY if TOO_MANY in every or len(every) > _MOST_BROKEN else "\n".join(sorted(every))


def is_whole(job: CheckJob, coords: Coordinates, broken: str) -> bool:
    """Whether no file that the chunk at `coords` is put together from is among `broken`."""
    if not broken or broken == TOO_MANY:
        return not broken
    return set(map(_encode, _needed(job, coords))).isdisjoint(broken.split("\n"))


def assembled_chunk(
    job: CheckJob, coords: Coordinates, payloads: list[Payload], findings: Findings
) -> tuple[ChunkEdges | None, Mapping | None]:
    """A chunk's edges and mapping out of payloads; None, and a problem, if they cannot be right."""
    dataset = job.ingest.dataset
    assert dataset.agglomeration is not None
    assert dataset.data_version is not None
    path = Folder(dataset.agglomeration).path
    try:
        return assemble_chunk(job.grid, coords, payloads, dataset.data_version, job.ingest.resolution, path)
    except InputError as error:
        findings.problem("edges that do not fit an edges file", Case.of(error))
        return None, None


def _needed(job: CheckJob, coords: Coordinates) -> list[ShardFile]:
    """The files that may hold records of the chunk at `coords`, or pairs of it and its neighbours."""
    grid, here = job.grid, np.array([coords])
    corner = np.stack(np.meshgrid(*3 * [[0, 1]], indexing="ij"), axis=-1).reshape(-1, 3)
    files = [
        ShardFile(kind, 0, coords)
        for coords in as_coordinates(here - corner)
        if min(coords) >= 0
        for kind in EDGE_KINDS
    ]
    around = job.selection.neighbourhood(here)
    for mip in range(grid.layer_count - 1):
        files += [ShardFile(REMAP, mip, block) for block in as_coordinates(np.unique(around >> mip, axis=0))]
    return files


def _encode(shard: ShardFile) -> str:
    return " ".join(map(str, (shard.kind, shard.mip, *shard.coords)))


def _decode(name: str) -> ShardFile:
    kind, mip, x, y, z = name.split()
    return ShardFile(kind, int(mip), (int(x), int(y), int(z)))
