"""Runs of equal voxels along x, slab by slab: what sums over the voxels of nodes are made of.

Nodes hardly change along x, so a chunk has far fewer runs than voxels. Counts and moments of a run have
closed forms, and the voxel of a node that is farthest from a point ends a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices

Numbers: TypeAlias = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""Number of the node of each voxel, in Fortran order; 0 is background."""
Floats: TypeAlias = npt.NDArray[np.float64]
Shape: TypeAlias = tuple[int, int, int]
SLAB_VOXELS = 1 << 20
"""Voxels that are worked on at once, so that memory does not grow with the chunk: at least a plane."""


@dataclass(frozen=True, eq=False)
class Slab:
    """Some planes of a chunk.

    Attributes:
      begin: position (Fortran order) of its first voxel in the chunk.
      end: position after its last voxel.
    """

    begin: int
    end: int


def slabs(shape: Shape) -> Iterator[Slab]:
    """The slabs of a chunk of `shape` voxels, upwards along z."""
    x, y, z = shape
    step = max(1, SLAB_VOXELS // (x * y)) * x * y
    for begin in range(0, x * y * z, step):
        yield Slab(begin, min(begin + step, x * y * z))


@dataclass(frozen=True, eq=False)
class NodeRuns:
    """The runs of a slab that are not background.

    Attributes:
      at: position of each among all runs of the slab, shape (r,), int64.
      starts: position in the chunk of the first voxel of each, shape (r,), int64.
      sizes: voxels of each, shape (r,), int64.
      node: number of the node of each, shape (r,), int64.
      first: coordinates in the chunk of the first voxel of each, shape (3, r), float64.
    """

    at: Indices
    starts: Indices
    sizes: Indices
    node: Indices
    first: Floats


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one slab; each ends with a row at the latest.

    Attributes:
      slab: the slab.
      starts: position in the slab of the first voxel of each, shape (r,), int64.
      numbers: number of the node of each, shape (r,).
    """

    slab: Slab
    starts: Indices
    numbers: Numbers

    def of_nodes(self, shape: Shape) -> NodeRuns:
        """The runs that are not background.

        Args:
          shape: of the chunk.
        """
        at = np.flatnonzero(self.numbers != 0)
        starts = self.starts[at]
        ends = np.append(self.starts, self.slab.end - self.slab.begin)[at + 1]
        in_chunk = starts + self.slab.begin
        node = self.numbers[at].astype(np.int64)
        return NodeRuns(at, in_chunk, ends - starts, node, coordinates(in_chunk, shape))


def find_runs(flat: Numbers, slab: Slab, shape: Shape) -> Runs:
    """The runs of a slab.

    Args:
      flat: numbers of the whole chunk, shape (x * y * z,).
      slab: the slab.
      shape: of the chunk.
    """
    voxels = flat[slab.begin : slab.end]
    begins = np.empty(voxels.size, bool)
    np.not_equal(voxels[1:], voxels[:-1], out=begins[1:])
    begins[:: shape[0]] = True
    starts = np.flatnonzero(begins)
    return Runs(slab, starts, voxels[starts])


def coordinates(positions: Indices, shape: Shape) -> Floats:
    """Coordinates, shape (3, n), of voxels at `positions` (Fortran order), shape (n,)."""
    return np.stack(np.unravel_index(positions, shape, order="F")).astype(np.float64)
