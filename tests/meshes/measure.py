"""Measuring meshes as the original's were measured."""

from __future__ import annotations

import DracoPy
import numpy as np


def measures(data: bytes) -> list[float]:
    """Vertices, faces, area (nm²), signed volume (nm³), lowest and highest corner (nm) of a mesh."""
    mesh = DracoPy.decode(data)
    points, faces = np.asarray(mesh.points, float), np.asarray(mesh.faces, np.int64)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    volume = (a * np.cross(b, c)).sum() / 6
    return [len(points), len(faces), area, volume, *points.min(axis=0), *points.max(axis=0)]


def open_edges(data: bytes) -> np.ndarray:
    """The edges that only one triangle has, as positions of their ends, shape (n, 2, 3)."""
    mesh = DracoPy.decode(data)
    faces = np.asarray(mesh.faces, np.int64)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return np.asarray(mesh.points)[unique[counts == 1]]
