"""The grids that Draco rounds vertices to, which neighbouring chunks share. Pure numpy.

Source of the rules: PyChunkedGraph's meshing (pychunkedgraph/meshing/meshgen.py, 3.1.7).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates

Vector: TypeAlias = tuple[float, float, float]
"""A point or an extent along x, y and z, in nanometres."""
Points: TypeAlias = npt.NDArray[np.float64]
"""Positions in nanometres, shape (n, 3)."""
MOST_BITS = 30
"""Draco encodes coordinates of no more bits, beside their sign."""


@dataclass(frozen=True)
class Quantisation:
    """A grid of points that vertices are moved to.

    Attributes:
      origin: where it begins, in nanometres.
      bin: distance of its points along each axis, in nanometres, a whole number.
      bits: it has 2**bits points along each axis.
    """

    origin: Vector
    bin: int
    bits: int

    @property
    def range(self) -> int:
        """From its first to its last point, in nanometres."""
        return self.bin * ((1 << self.bits) - 1)

    def steps(self, points: npt.NDArray[np.floating], out: Points | None = None) -> Points:
        """The numbers, along x, y and z, of the points of the grid next to `points`, shape (n, 3).

        They are whole numbers as float64, in `out` if that is given; it may be `points`.
        """
        found: Points = np.subtract(points, np.array(self.origin), out=out)
        found /= self.bin
        found += 0.5
        return np.floor(found, out=found)

    def places(self, steps: Points, out: Points | None = None) -> Points:
        """The points of the grid with numbers `steps`, shape (n, 3), in `out` if that is given."""
        found: Points = np.multiply(steps, self.bin, out=out)
        found += np.array(self.origin)
        return found

    def round(self, points: npt.NDArray[np.floating]) -> Points:
        """The points of the grid next to `points`, shape (n, 3)."""
        steps = self.steps(points)
        return self.places(steps, out=steps)

    def reaches(self, points: npt.NDArray[np.floating]) -> bool:
        """Whether the numbers of the points next to `points`, shape (n, 3), are ones that Draco keeps.

        They may lie before the first point of the grid or behind the last: simplifying moves a few vertices
        out of their chunk by some nanometres, and Draco encodes them all the same.
        """
        if not len(points):
            return True
        farthest = max(-float(points.min()), float(points.max())) + max(map(abs, self.origin))
        if farthest / self.bin < (1 << MOST_BITS) - 1:  # which is seen at once, and holds for nearly all
            return True
        return bool((np.abs(self.steps(points.astype(np.float64))) < 1 << MOST_BITS).all())


def largest_bin(resolution: Sequence[float]) -> int:
    """The bin of layer 2, in nanometres, given the size of a voxel: vertices of marching cubes are no closer.

    >>> largest_bin((8, 8, 40))
    5
    """
    return math.floor(min(resolution) / math.sqrt(2))


@dataclass(frozen=True)
class MeshSpace:
    """Where chunks are, and the grids that follow from it.

    Attributes:
      offset: where the volume begins, in voxels of the meshed mip.
      block: voxels of a layer-2 chunk at that mip.
      resolution: size of a voxel at that mip, in nanometres.
    """

    offset: tuple[int, int, int]
    block: tuple[int, int, int]
    resolution: Vector

    def __post_init__(self) -> None:
        if self.largest_bin < 1:
            raise ConfigError(
                f"mesh_config.mip: expected voxels of at least 2 nm, since vertices are rounded to whole "
                f"nanometres, found {list(self.resolution)}"
            )

    @property
    def largest_bin(self) -> int:
        """The bin of layer 2."""
        return largest_bin(self.resolution)

    def origin(self, layer: int, coords: Coordinates) -> Vector:
        """Where a chunk begins, in nanometres."""
        scale = 1 << (layer - ATOMIC_LAYER)
        axes = zip(self.offset, coords, self.block, self.resolution, strict=True)
        x, y, z = ((o + c * b * scale) * r for o, c, b, r in axes)
        return (x, y, z)

    def extent(self, layer: int) -> Vector:
        """The size of a chunk, in nanometres."""
        scale = 1 << (layer - ATOMIC_LAYER)
        x, y, z = (b * scale * r for b, r in zip(self.block, self.resolution, strict=True))
        return (x, y, z)

    def atomic(self, coords: Coordinates) -> Quantisation:
        """The grid of a layer-2 chunk; its meshes reach one voxel beyond it."""
        span = max((b + 1) * r for b, r in zip(self.block, self.resolution, strict=True))
        return self._fit(span, self.origin(ATOMIC_LAYER, coords), 0)

    def above(self, below: Quantisation, layer: int, coords: Coordinates) -> Quantisation:
        """The grid of a chunk whose children have grids like `below`."""
        span = max(self.extent(layer)) + 2 * below.bin
        return self._fit(span, self.origin(layer, coords), below.bin)

    def at(self, layer: int, coords: Coordinates) -> Quantisation:
        """The grid of any chunk."""
        *_, (_, last) = self.up_to(layer, coords)
        return last

    def up_to(self, layer: int, coords: Coordinates) -> Iterator[tuple[int, Quantisation]]:
        """The grids of a chunk's first descendants and of itself, with their layers, from layer 2 up.

        Bin and bits are those of all chunks of a layer.
        """
        x, y, z = (c << (layer - ATOMIC_LAYER) for c in coords)
        grid = self.atomic((x, y, z))
        yield ATOMIC_LAYER, grid
        for each in range(ATOMIC_LAYER + 1, layer + 1):
            x, y, z = (c << (layer - each) for c in coords)
            grid = self.above(grid, each, (x, y, z))
            yield each, grid

    def _fit(self, span: float, origin: Vector, margin: int) -> Quantisation:
        largest = self.largest_bin
        bits = math.ceil(math.log2(span / largest + 1))
        while True:
            steps = (1 << bits) - 1
            size = math.ceil(span / steps)
            if size * steps < span + size:  # an origin that is moved by up to a bin must not cut the end off
                if size == largest:
                    bits += 1
                    continue
                size += 1
            break
        x, y, z = (o - margin - (o - margin) % size for o in origin)
        return Quantisation((x, y, z), size, bits)
