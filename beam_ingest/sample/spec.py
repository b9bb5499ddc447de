"""The specification of a sample dataset: its size, its seed and the layout of its raw agglomeration."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from beam_ingest.dataset import DATA_VERSIONS
from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ChunkGrid, Coords

Triple: TypeAlias = tuple[int, int, int]

RESOLUTION: Triple = (8, 8, 32)
"""Voxel size in nanometres. Powers of two: affinities divided and multiplied by it stay exact."""
SPATIAL_BITS = 10
_CHUNK_SIZES = (8, 256)


@dataclass(frozen=True)
class SampleSpec:
    """A sample dataset; these values determine everything that is written.

    Attributes:
      chunks: number of chunks along x, y and z.
      chunk_size: voxels of a chunk along x, y and z; 48x48x48 holds about 950 supervoxels.
      seed: 0 to 2^64 - 1; other seeds give other objects.
      data_version: the layout of the raw edge records: 2, 3 or 4.
      voxel_offset: where the volume starts, in voxels; it moves the volume and leaves its content the same.
      size: voxels of the volume along x, y and z, when its last chunks are to be smaller than the
        others; the default is chunks * chunk_size.
      volumes: write the two volumes, too, that ``beam-ingest prepare`` makes a dataset of.

    Raises:
      ConfigError: when a value is out of range; the message names it.

    Examples:
      >>> SampleSpec(chunks=(2, 2, 2), chunk_size=(16, 16, 16)).volume_size
      (32, 32, 32)
    """

    chunks: Triple = (4, 4, 4)
    chunk_size: Triple = (48, 48, 48)
    seed: int = 0
    data_version: int = 4
    voxel_offset: Triple = (0, 0, 0)
    size: Triple | None = None
    volumes: bool = False

    def __post_init__(self) -> None:
        if min(self.chunks) < 1:
            raise ConfigError(f"the sample's chunks are {self.chunks}: at least 1 along every axis is needed")
        low, high = _CHUNK_SIZES
        if min(self.chunk_size) < low or max(self.chunk_size) > high:
            raise ConfigError(
                f"the sample's chunk size is {self.chunk_size}: it must be {low} to {high} along every axis"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ConfigError(f"the sample's seed is {self.seed}: it must be 0 or more and below 2^64")
        if self.data_version not in DATA_VERSIONS:
            raise ConfigError(
                f"the sample's data version is {self.data_version}: it must be one of {DATA_VERSIONS}"
            )
        last = [
            size - (n - 1) * c
            for size, n, c in zip(self.volume_size, self.chunks, self.chunk_size, strict=True)
        ]
        if any(not 0 < n <= c for n, c in zip(last, self.chunk_size, strict=True)):
            raise ConfigError(
                f"the sample's size is {self.size}: that is not {self.chunks} chunks of {self.chunk_size}"
            )
        self.grid  # noqa: B018 - checks that ids can hold the grid

    @functools.cached_property
    def grid(self) -> ChunkGrid:
        """The grid of chunks and the id format."""
        return ChunkGrid(self.chunks, spatial_bits=SPATIAL_BITS)

    @property
    def volume_size(self) -> Triple:
        """Voxels of the volume along x, y and z."""
        if self.size is not None:
            return self.size
        x, y, z = (n * c for n, c in zip(self.chunks, self.chunk_size, strict=True))
        return (x, y, z)

    def box(self, coords: Triple) -> tuple[Coords, Coords]:
        """Lowest voxel and end (exclusive) of the chunk at `coords`, each (3,), from the volume's start."""
        low = np.array(coords) * np.array(self.chunk_size)
        return low, np.minimum(low + np.array(self.chunk_size), np.array(self.volume_size))

    def has_tissue(self, coords: Triple) -> bool:
        """Whether there is anything in the chunk at `coords`: a corner of the volume is left empty."""
        return any(c >= (n + 1) // 4 for c, n in zip(coords, self.chunks, strict=True))

    def contains(self, coords: Triple) -> bool:
        """Whether there is a chunk at `coords`."""
        return all(0 <= c < n for c, n in zip(coords, self.chunks, strict=True))
