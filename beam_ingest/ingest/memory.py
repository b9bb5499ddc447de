"""How much memory the chunks of a layer take to build.

What meets at a parent chunk are the edges between its children and to its neighbours: contacts
across chunk faces. So their number follows the area of those faces.
"""

from __future__ import annotations

from math import ceil, prod

from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.stages.machines import Workers

CONTACTS_PER_FACE_VOXEL = 1 / 800
"""Different contacts of nodes across a chunk face, per voxel of it: pinky256 has one in 820."""
NAMES_PER_CONTACT = 8
"""Edges of layer-2 nodes still name supervoxels: so many more reach layer 3 (pinky256: 8)."""
KERNEL_BYTES_PER_EDGE = 120
"""Memory at the peak of building a parent chunk and laying out its cells, for each edge that reaches it,"""
KERNEL_BYTES_PER_NODE = 180
"""and for each node that has edges there."""
NODES_PER_EDGE = 0.7
"""Nodes of a group with an edge, per edge, at the most: samples have 0.7, pinky256 0.5."""
MESSAGE_BYTES_PER_EDGE = 60
"""The group's messages: 30 to 43 as they are built from, 5 to 12 compressed, as Apache Beam holds them."""
PEAK_BYTES_PER_EDGE = round(
    KERNEL_BYTES_PER_EDGE + NODES_PER_EDGE * KERNEL_BYTES_PER_NODE + MESSAGE_BYTES_PER_EDGE
)
"""All that, per edge."""
PEAK_BYTES_PER_SUPERVOXEL = 750
"""Memory at the peak of building a layer-2 chunk, per supervoxel; files and cells of it included."""


def group_edges(grid: ChunkGrid, chunk_size: tuple[int, int, int], layer: int) -> int:
    """Edges that reach the largest chunk of `layer`, about: those of its children's faces.

    Args:
      grid: the chunk grid.
      chunk_size: voxels of a layer-2 chunk along x, y and z.
      layer: a layer above 2.
    """
    span = 2 ** (layer - ATOMIC_LAYER)
    bounds = grid.bounds(ATOMIC_LAYER)
    voxels = [min(span, count) * size for count, size in zip(bounds, chunk_size, strict=True)]
    area = 0
    for axis in range(3):
        face = prod(voxels) // voxels[axis]
        # An edge across the middle stands in both children; one to a neighbour in one.
        inside = 2 * (bounds[axis] > span // 2)
        outside = min(2, max(0, ceil(bounds[axis] / span) - 1))
        area += (inside + outside) * face
    return ceil(area * CONTACTS_PER_FACE_VOXEL * (NAMES_PER_CONTACT if layer == ATOMIC_LAYER + 1 else 1))


def worker_bytes(grid: ChunkGrid, chunk_size: tuple[int, int, int], layer: int, workers: Workers) -> int:
    """Memory that a worker needs to build chunks of `layer`; whole GB.

    All its bundles may have a largest chunk at once, if there are as many; half of the memory that it
    usually has is for everything else.

    Args:
      grid: the chunk grid.
      chunk_size: voxels of a layer-2 chunk along x, y and z.
      layer: a layer above 2.
      workers: the workers.
    """
    at_once = min(grid.chunk_count(layer), workers.bundles)
    needed = group_edges(grid, chunk_size, layer) * PEAK_BYTES_PER_EDGE * at_once + workers.nbytes // 2
    return ceil(needed / (1 << 30)) << 30
