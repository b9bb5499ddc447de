"""Joining the meshes of a node's parts at the planes between the child chunks. Pure numpy.

Source of the rules: PyChunkedGraph's meshing (pychunkedgraph/meshing/meshgen.py, 3.1.7).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from beam_ingest.format.grid import Coordinates
from beam_ingest.meshes.quantisation import MeshSpace, Points
from beam_ingest.meshes.surface import Mesh


def raise_mesh(mesh: Mesh, space: MeshSpace, layer: int, part_layer: int, coords: Coordinates) -> Points:
    """The vertices of a part, shape (v, 3), moved to the grids of the layers between it and a node.

    Args:
      mesh: of the part.
      space: where chunks are.
      layer: of the node.
      part_layer: of the part.
      coords: of the part's chunk.
    """
    vertices: Points = mesh.vertices.astype(np.float64)
    grid = space.at(part_layer, coords)
    for each in range(part_layer + 1, layer + 1):
        x, y, z = (c >> (each - part_layer) for c in coords)
        grid = space.above(grid, each, (x, y, z))
        vertices = grid.round(vertices)
    return vertices


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
    vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), np.int64)], 0
    for part_layer, part_coords, mesh in parts:
        vertices.append(raise_mesh(mesh, space, layer, part_layer, part_coords))
        faces.append(mesh.faces.astype(np.int64) + count)
        count += len(mesh.vertices)
    every, corners = np.concatenate(vertices), np.concatenate(faces)
    on_plane = (every == _planes(space, layer, coords)).any(axis=1)
    merged, number = np.unique(every[on_plane], axis=0, return_inverse=True)
    place = np.empty(count, np.int64)
    place[~on_plane] = np.arange(count - int(on_plane.sum()))
    place[on_plane] = number.reshape(-1) + (count - int(on_plane.sum()))
    joined = np.concatenate([every[~on_plane], merged])
    return Mesh(joined.astype(np.float32), place[corners].astype(np.uint32))


def _planes(space: MeshSpace, layer: int, coords: Coordinates) -> Points:
    """Where the planes between the children of a chunk are, rounded as vertices on them are, shape (3,)."""
    x, y, z = (2 * c + 1 for c in coords)
    middle: Points = np.array([space.origin(layer - 1, (x, y, z))])
    for _, grid in space.up_to(layer - 1, (x, y, z)):
        middle = grid.round(middle)
    planes: Points = space.at(layer, coords).round(middle)[0]
    return planes
