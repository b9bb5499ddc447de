"""Joining the meshes of a node's parts at the planes between the child chunks. Pure numpy.

Source of the rules: PyChunkedGraph's meshing (pychunkedgraph/meshing/meshgen.py, 3.1.7).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import Coordinates
from beam_ingest.meshes.quantisation import MeshSpace, Points, Quantisation
from beam_ingest.meshes.surface import Mesh

_PACKED_BITS = 21
"""Three numbers of so many bits are sorted as one."""
_KEPT_GRIDS = 4096


def stitch(
    parts: Iterable[tuple[int, Coordinates, Mesh]], space: MeshSpace, layer: int, coords: Coordinates
) -> Mesh:
    """The mesh of a node.

    Args:
      parts: layer and chunk of each of its parts, and their meshes.
      space: where chunks are.
      layer: of the node.
      coords: of its chunk.
    """
    vertices: list[npt.NDArray[np.floating]] = []
    faces, count = [np.empty((0, 3), np.uint32)], 0
    for part_layer, part_coords, mesh in parts:
        points: npt.NDArray[np.floating] = mesh.vertices
        for between in grids_between(space, part_layer, layer, part_coords):
            points = between.round(points)
        vertices.append(points)
        faces.append(mesh.faces + np.uint32(count))
        count += len(points)
    grid = grid_of(space, layer, coords)
    steps = grid.steps(np.concatenate(vertices))
    vertices.clear()
    x, y, z = _planes(space, layer, coords)
    is_inner = (steps[:, 0] != x) & (steps[:, 1] != y) & (steps[:, 2] != z)  # faster than along an axis
    (inner,), (on_plane,) = is_inner.nonzero(), (~is_inner).nonzero()
    merged, number = _unique(steps[on_plane])
    place = np.empty(count, np.uint32)
    place[inner] = np.arange(inner.size, dtype=np.uint32)
    place[on_plane] = number + inner.size
    joined = np.concatenate([steps[inner], merged])
    grid.places(joined, out=joined)
    return Mesh(joined.astype(np.float32), place[np.concatenate(faces)])


@functools.lru_cache(_KEPT_GRIDS)
def grid_of(space: MeshSpace, layer: int, coords: Coordinates) -> Quantisation:
    """The grid of a chunk."""
    return space.at(layer, coords)


@functools.lru_cache(_KEPT_GRIDS)
def grids_between(
    space: MeshSpace, part_layer: int, layer: int, coords: Coordinates
) -> tuple[Quantisation, ...]:
    """The grids that vertices of a part are moved to, layer by layer, before that of the node."""
    found, grid = [], grid_of(space, part_layer, coords)
    for each in range(part_layer + 1, layer):
        x, y, z = (c >> (each - part_layer) for c in coords)
        grid = space.above(grid, each, (x, y, z))
        found.append(grid)
    return tuple(found)


@functools.lru_cache(_KEPT_GRIDS)
def _planes(space: MeshSpace, layer: int, coords: Coordinates) -> Points:
    """Where the planes between the children of a chunk are, in steps of its grid, shape (3,).

    Rounded as vertices on them are.
    """
    x, y, z = (2 * c + 1 for c in coords)
    middle: Points = np.array([space.origin(layer - 1, (x, y, z))])
    for _, grid in space.up_to(layer - 1, (x, y, z)):
        middle = grid.round(middle)
    steps: Points = grid_of(space, layer, coords).steps(middle)[0]
    return steps


def _unique(steps: Points) -> tuple[Points, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The different rows of `steps`, shape (n, 3), by x, then y, then z; and which of them each is."""
    if len(steps) and not 0 <= steps.min() <= steps.max() < 1 << _PACKED_BITS:
        rows, number = np.unique(steps, axis=0, return_inverse=True)
        return rows, number.reshape(-1).astype(np.int64)
    x, y, z = steps.astype(np.int64).T
    packed = x << 2 * _PACKED_BITS | y << _PACKED_BITS | z
    order = packed.argsort(kind="stable")  # what np.unique does, at half the cost for few rows
    ascending = packed[order]
    is_first = np.ones(order.size, bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    number = np.empty(order.size, np.int64)
    number[order] = is_first.cumsum() - 1
    return steps[order[is_first]], number
