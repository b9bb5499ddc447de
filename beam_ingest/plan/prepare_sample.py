"""The sample of ``prepare``: chunks of the volumes are cut, and their files made, but not written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates
from beam_ingest.plan.amounts import Amounts, StageSample
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region
from beam_ingest.plan.samplers import VoxelSampler, affordable, spread_chunks
from beam_ingest.stages.coding import compress, pack_blobs
from beam_ingest.volumes.agglomerate import LabelTable, most_frequent
from beam_ingest.volumes.chunk_files import chunk_files
from beam_ingest.volumes.contacts import find_pieces
from beam_ingest.volumes.cut import CutChunk, Cutter
from beam_ingest.volumes.faces import Crossings, Plane, crossings
from beam_ingest.volumes.job import PrepareJob, make_prepare_job
from beam_ingest.volumes.source import VolumeReader, volumes_of
from beam_ingest.volumes.tables import read_table
from beam_ingest.volumes.watershed import encode_chunk

MOST_VOXELS = 300_000_000
"""Voxels of a sample: half a minute of one core, with what is read of the chunks around."""
_BYTES_PER_VOXEL, _WITH_ALL = 17, 26
"""Memory of a chunk, with labels alone and with affinities (docs/volumes.md)."""
_KEY_BYTES = 9


@dataclass(frozen=True)
class PrepareSampler(VoxelSampler):
    """The sample of ``prepare``; further attributes as of `VoxelSampler`.

    Attributes:
      count: how many chunks are cut.
    """

    job: PrepareJob
    count: int

    inputs: ClassVar[None] = None
    per_chunk: ClassVar[frozenset[str]] = frozenset({"rows", "cells"})
    nodes_are: ClassVar[str] = "pieces"
    memory_source: ClassVar[str] = (
        f"{_BYTES_PER_VOXEL} bytes a voxel, {_WITH_ALL} with affinities (docs/volumes.md)"
    )

    @classmethod
    def of(cls, job: PrepareJob, blocks: int, most: int = MOST_VOXELS) -> PrepareSampler:
        """A sample of as many chunks as so many blocks have, or of about `most` voxels if these are fewer."""
        size = job.dataset.chunk_size
        count = affordable(int(np.prod(size)), most, 8 * blocks)
        return cls(job, job.extent.size, size, count)

    @classmethod
    def of_dataset(cls, dataset: Dataset, store: str | None, blocks: int) -> PrepareSampler:
        """The sample for a dataset file.

        Raises:
          ConfigError: when volumes cannot be prepared as it says.
        """
        return cls.of(make_prepare_job(dataset, store), blocks)

    @property
    def most_voxels(self) -> int:
        """Voxels of the sample, if the volume has more."""
        return self.count * int(np.prod(self.block))

    def choose(self, presence: Presence) -> list[Region]:
        """Chunks, spread over the grid."""
        return list(spread_chunks(presence, self.count))

    def measure(self, region: Region, findings: PlanFindings) -> int:
        """Cut a chunk, and make its files."""
        job, coords = self.job, region.coords
        reader = VolumeReader(job.dataset, job.extent)
        table = read_table(job.dataset)
        cutter, found = Cutter(job, reader, table), Amounts(chunks=1, voxels=self.chunk_voxels(coords))
        with found.timed():
            pieces, ids, agglomerated, mixed, affinities = cutter.read(coords)
            planes = cutter.planes(coords, pieces, ids, agglomerated, affinities)
            sides = [(axis, upper, plane, _sent(plane.encode())) for axis, upper, plane in planes]
            inside = cutter.contacts(pieces, affinities)
        across: list[Crossings] = []
        for axis, upper, plane, sent in sides:
            other = self._beside(reader, table, coords, axis, upper, ids.size)
            with found.timed():
                low, high = crossings(other, plane) if upper else crossings(plane, other)
                own = high if upper else low
                across.append(own)
                found.shuffled += sent + _sent(own.encode())
        with found.timed():
            blocks: dict[str, bytes] = {}
            if not job.chunked:
                begin, _ = reader.box(coords)
                known = np.append(np.uint64(0), ids)
                blocks = encode_chunk(job.extent, job.block, begin, pieces.numbers, known)
            written = sum(map(len, blocks.values()))
            cut = CutChunk(ids, pieces.labels, agglomerated, inside, mixed, written)
            found.shuffled += _sent(cut.encode())
            files = chunk_files(job, coords, cut, across)
        for stored in reader.stored(coords):
            found.take(stored)
        found.nodes, found.nbytes = files.counts.supervoxels, files.counts.nbytes
        found.rows, found.cells = files.counts.rows, files.counts.cells
        found.files = 2 + len(blocks)
        findings.parts.append(StageSample(region, layers={ATOMIC_LAYER: found}))
        return 1

    def _beside(
        self,
        reader: VolumeReader,
        table: LabelTable | None,
        coords: Coordinates,
        axis: int,
        upper: bool,
        pieces_here: int,
    ) -> Plane:
        """The face of a neighbour, of which that plane alone is read; ids are spread as those of a chunk."""
        job = self.job
        x, y, z = (c + (-1 if upper else 1) * (i == axis) for i, c in enumerate(coords))
        low, high = (list(corner) for corner in reader.box((x, y, z)))
        if upper:
            low[axis] = high[axis] - 1
        else:
            high[axis] = low[axis] + 1
        box = ((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        pieces = find_pieces(reader.supervoxels((x, y, z), box))
        count = pieces.labels.size
        segments = 1 + np.arange(count) * max(count, pieces_here) // max(1, count)
        ids: Ids = np.uint64(job.grid.chunk_id(SUPERVOXEL_LAYER, (x, y, z))) + segments.astype(np.uint64)
        segmentation = reader.segmentation((x, y, z), box)
        agglomerated = pieces.labels if job.chunked else ids
        if segmentation is not None:
            agglomerated, _ = most_frequent(pieces, segmentation)
        elif table is not None:
            agglomerated, _ = table.of(pieces.labels)
        affinities = reader.affinities((x, y, z), box)
        return Plane.of(pieces, ids, agglomerated, axis, not upper, affinities)

    def files(self, layer: int) -> int:
        """Two for a chunk, and the blocks of the watershed."""
        blocks = 0
        if not self.job.chunked:
            whole = [e // b for e, b in zip(self.block, self.job.block, strict=True)]
            last = [int(-(-e[-1] // b)) for e, b in zip(self.extents(), self.job.block, strict=True)]
            along = [n * (c - 1) + m for n, c, m in zip(whole, self.grid.chunks, last, strict=True)]
            blocks = along[0] * along[1] * along[2]
        return 2 * self.grid.chunk_count(ATOMIC_LAYER) + blocks

    def memory(self, layer: int, largest: float) -> float:
        """By the voxels of a chunk."""
        each = _WITH_ALL if volumes_of(self.job.dataset).affinities else _BYTES_PER_VOXEL
        return float(np.prod(self.block)) * each


def _sent(data: bytes) -> int:
    """Bytes of a message, with its key."""
    return len(compress(pack_blobs([b"chunk", data]))) + _KEY_BYTES
