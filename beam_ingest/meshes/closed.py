"""Where a surface is open. Pure numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beam_ingest.meshes.quantisation import Points
from beam_ingest.meshes.surface import Mesh


def open_edges(mesh: Mesh) -> tuple[Points, Points]:
    """The edges of a mesh whose two sides are not both there: positions of their ends, each shape (n, 3).

    Vertices at one place are one. An edge is closed when triangles run along it as often in one direction as
    in the other.
    """
    points, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    corners = place.reshape(-1)[mesh.faces.astype(np.int64)]
    ends = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    ends = ends[ends[:, 0] != ends[:, 1]]
    edges = ends.min(axis=1) * len(points) + ends.max(axis=1)
    unique, number = np.unique(edges, return_inverse=True)
    balance = np.zeros(unique.size, np.int64)
    np.add.at(balance, number.reshape(-1), np.where(ends[:, 0] < ends[:, 1], 1, -1))
    left = unique[balance != 0]
    first: Points = points[left // max(len(points), 1)].astype(np.float64)
    second: Points = points[left % max(len(points), 1)].astype(np.float64)
    return first, second


def on_a_plane(first: Points, second: Points, planes: list[Points], reach: Points) -> npt.NDArray[np.bool_]:
    """Whether each edge lies in one of some planes across the axes.

    Args:
      first: one end of each edge, shape (n, 3).
      second: the other, shape (n, 3).
      planes: along x, y and z, where the planes are, shape (m,).
      reach: how far from one an end may be, along x, y and z, shape (3,).
    """
    found = np.zeros(len(first), bool)
    for axis, places in enumerate(planes):
        a, b = first[:, axis, None], second[:, axis, None]
        near = (np.abs(a - places) <= reach[axis]) & (np.abs(b - places) <= reach[axis])
        found |= near.any(axis=1)
    return found
