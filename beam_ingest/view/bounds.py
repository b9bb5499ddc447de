"""Bounds of requests: boxes of voxels, the chunks that they touch, and the nodes in these chunks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Ids, Mask

_BOUNDS = re.compile(r"(-?\d{1,18})-(-?\d{1,18})_(-?\d{1,18})-(-?\d{1,18})_(-?\d{1,18})-(-?\d{1,18})")


@dataclass(frozen=True)
class ChunkBox:
    """A box of layer-2 chunks.

    Attributes:
      low: coordinates of its first chunk.
      high: coordinates behind its last chunk; the box is empty where one is not above that of `low`.
    """

    low: Coordinates
    high: Coordinates


def parse_bounds(text: str) -> tuple[Coordinates, Coordinates]:
    """The corners of a box of voxels from ``x0-x1_y0-y1_z0-z1``, as clients of PyChunkedGraph write it.

    Raises:
      ValueError: when it is another text.

    Examples:
      >>> parse_bounds("0-64_-8-8_128-192")
      ((0, -8, 128), (64, 8, 192))
    """
    found = _BOUNDS.fullmatch(text)
    if found is None:
        raise ValueError("expected bounds as x0-x1_y0-y1_z0-z1, in whole voxels")
    x0, x1, y0, y1, z0, z1 = map(int, found.groups())
    return (x0, y0, z0), (x1, y1, z1)


def chunks_touched(
    low: Coordinates, high: Coordinates, origin: Coordinates, chunk_size: Coordinates, grid: ChunkGrid
) -> ChunkBox:
    """The chunks of the grid that a box of voxels touches, as PyChunkedGraph rounds them.

    Args:
      low: first voxel of the box.
      high: voxel behind the last.
      origin: first voxel of the watershed (its voxel_offset), where the grid begins.
      chunk_size: voxels of a chunk.
      grid: the chunk grid.

    Examples:
      >>> chunks_touched((60, 0, 0), (65, 64, 999), (0, 0, 0), (64, 64, 64), ChunkGrid((4, 4, 4)))
      ChunkBox(low=(0, 0, 0), high=(2, 1, 4))
    """
    first = [max(0, (a - o) // c) for a, o, c in zip(low, origin, chunk_size, strict=True)]
    behind = [
        min(n, -(-(b - o) // c)) for b, o, c, n in zip(high, origin, chunk_size, grid.chunks, strict=True)
    ]
    return ChunkBox((first[0], first[1], first[2]), (behind[0], behind[1], behind[2]))


def within(grid: ChunkGrid, ids: Ids, box: ChunkBox) -> Mask:
    """Whether the chunk of each node shares a layer-2 chunk with the box.

    Args:
      grid: the chunk grid.
      ids: nodes of any layers, shape (n,), uint64.
      box: the box.

    Returns:
      Shape (n,), bool.
    """
    layers = grid.layers(ids)
    inside = np.zeros(ids.size, bool)
    for layer in np.unique(layers).tolist():
        at = np.flatnonzero(layers == layer)
        coords = grid.coords(ids[at], layer)
        shift = max(layer, ATOMIC_LAYER) - ATOMIC_LAYER
        inside[at] = ((coords << shift < box.high) & (coords + 1 << shift > box.low)).all(axis=1)
    return inside
