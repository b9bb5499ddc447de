"""What a plan of a stage samples: the chunks that it chooses, and how each is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np

from beam_ingest.checks.listing import FileKind, file_kinds
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Mask
from beam_ingest.ingest.job import IngestJob
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.measure import measure
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region, choose, spread
from beam_ingest.stages.job import StageJob

Triple: TypeAlias = tuple[int, int, int]


class Sampler(Protocol):
    """What a plan samples; travels to the workers with every transform."""

    @property
    def grid(self) -> ChunkGrid:
        """The chunk grid."""

    @property
    def inputs(self) -> IngestJob | None:
        """Whose input files say which chunks hold anything; None where every chunk is taken."""

    def choose(self, presence: Presence) -> list[Region]:
        """The regions of the sample, always the same ones."""

    def measure(self, region: Region, findings: PlanFindings) -> int:
        """Measure a region and add it to the findings; gives how many layer-2 chunks were read.

        Raises:
          InputError: when input cannot be right.
          FileError: when it cannot be read.
        """


def listed_kind(sampler: Sampler) -> FileKind | None:
    """The kind of files of which each chunk that holds anything has one; None where nothing is listed."""
    inputs = sampler.inputs
    return None if inputs is None else file_kinds(inputs.dataset, inputs.grid, inputs.raw)[0]


def presence_of(sampler: Sampler, findings: PlanFindings) -> Presence:
    """The chunks that hold anything, by what was listed."""
    kind = listed_kind(sampler)
    if kind is None or sampler.inputs is None:
        return Presence.full(sampler.grid)
    return findings.presence(sampler.grid, kind, sampler.inputs.raw)


@dataclass(frozen=True)
class GraphSampler:
    """The sample of a graph.

    Attributes:
      inputs: the job that would build it.
      blocks: how many blocks are built, besides what is around them.
    """

    inputs: IngestJob
    blocks: int

    @property
    def grid(self) -> ChunkGrid:
        """The chunk grid."""
        return self.inputs.grid

    def choose(self, presence: Presence) -> list[Region]:
        """Blocks, and larger chunks."""
        return choose(presence, self.blocks)

    def measure(self, region: Region, findings: PlanFindings) -> int:
        """Build a region."""
        sample = measure(self.inputs, region)
        findings.samples.append(sample)
        return sample.layers[ATOMIC_LAYER].chunks + sample.around.chunks


@dataclass(frozen=True)
class VoxelSampler:
    """The sample of a stage that reads voxels.

    Attributes:
      job: the job of the stage.
      size: voxels of the volume along x, y and z, at the level that is read.
      block: voxels of a chunk.
    """

    job: StageJob
    size: Triple
    block: Triple

    per_chunk: ClassVar[frozenset[str]] = frozenset()
    """Amounts that are the same for every chunk, whatever is in it."""
    writes_cells: ClassVar[bool] = False
    """Whether the stage fills a table of Bigtable; else it writes files."""
    nodes_are: ClassVar[str] = "nodes"
    """What the amount `nodes` is called."""
    memory_source: ClassVar[str] = ""
    """Where the constants of `memory` are from."""

    @property
    def grid(self) -> ChunkGrid:
        """The chunk grid."""
        return self.job.grid

    @property
    def layers(self) -> range:
        """The layers that are made."""
        return range(ATOMIC_LAYER, ATOMIC_LAYER + 1)

    @property
    def volume(self) -> int:
        """Voxels of the whole volume."""
        x, y, z = self.size
        return x * y * z

    @property
    def most_voxels(self) -> int:
        """Voxels of the sample, if the volume has more."""
        raise NotImplementedError

    def extents(self) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """Voxels of the chunks along each axis: the volume's end cuts the last."""
        return [
            np.minimum(block, size - np.arange(count) * block).clip(0)
            for size, block, count in zip(self.size, self.block, self.grid.chunks, strict=True)
        ]

    def voxels(self, mask: Mask) -> int:
        """Voxels of the chunks in a mask of the grid's shape."""
        x, y, z = self.extents()
        return int(np.einsum("ijk,i,j,k->", mask.astype(np.int64), x, y, z))

    def chunk_voxels(self, coords: Coordinates) -> int:
        """Voxels of a chunk."""
        x, y, z = (int(extent[c]) for extent, c in zip(self.extents(), coords, strict=True))
        return x * y * z

    def least_bytes(self, layer: int) -> int:
        """Bytes that are written of every chunk, whatever it holds."""
        return 0

    def files(self, layer: int) -> int | None:
        """Objects that are written of a layer; None where the sample tells."""
        return None

    def memory(self, layer: int, largest: float) -> float:
        """Bytes that a chunk of a layer takes to make, whose largest mesh has `largest` bytes."""
        raise NotImplementedError


def affordable(voxels: int, most: int, chunks: int, least: int = 2) -> int:
    """How many of some chunks of so many voxels each may be sampled, for `most` voxels together."""
    return min(chunks, max(least, most // max(1, voxels)))


def cropped(block: Triple, most: int) -> Triple:
    """The part of a chunk of `block` voxels that has at most `most`, about: longest axes are halved."""
    sides = list(block)
    while sides[0] * sides[1] * sides[2] > most and max(sides) > 1:
        at = sides.index(max(sides))
        sides[at] = -(-sides[at] // 2)
    x, y, z = sides
    return (x, y, z)


def spread_chunks(presence: Presence, count: int) -> Sequence[Region]:
    """`count` layer-2 chunks, or all, spread evenly over those that hold anything."""
    there = np.argwhere(presence.mask)
    return [Region(ATOMIC_LAYER, (x, y, z)) for x, y, z in there[spread(len(there), count)].tolist()]
