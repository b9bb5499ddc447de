"""The attributes of one node at a time, from the definitions: every voxel against every other."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

Triple = tuple[int, int, int]


@dataclass
class Node:
    """Attributes:
    size: voxels.
    area: of faces to other labels within the box.
    depths: distance of each voxel to the nearest of another label, cut to whole nanometres; in C order.
    coords: the voxels, shape (n, 3), in C order.
    weights: what the representative voxel has the highest of.
    faces: voxels on the first and on the last plane of the box along each axis.
    """

    size: int
    area: int
    depths: list[int]
    coords: np.ndarray
    weights: np.ndarray
    faces: list[list[int]]

    def singular(self, resolution: Triple) -> tuple[np.ndarray, np.ndarray]:
        """Singular values and principal axes of all voxels, the values scaled to 10,000 points."""
        nm = self.coords * np.array(resolution, float)
        _, values, axes = np.linalg.svd(nm - nm.mean(axis=0), full_matrices=True)
        padded = np.zeros(3)
        padded[: values.size] = values
        return padded * min(1, 10_000 / self.size) ** 0.5, axes


def expect(labels: np.ndarray, label: int, resolution: Triple) -> Node:
    """The attributes of one label in a box.

    Args:
      labels: of the box, shape (x, y, z).
      label: the label.
      resolution: whole nanometres of a voxel.
    """
    coords = np.argwhere(labels == label)
    others = np.argwhere(labels != label)
    depths = [0] * len(coords)
    if len(others):
        steps = (coords[:, None] - others[None]) * np.array(resolution)
        depths = [isqrt(int(square)) for square in (steps**2).sum(axis=2).min(axis=1)]
    area = 0
    faces = [[0, 0, 0], [0, 0, 0]]
    for at in coords:
        for axis in range(3):
            face = int(np.prod(resolution)) // resolution[axis]
            faces[0][axis] += at[axis] == 0
            faces[1][axis] += at[axis] == labels.shape[axis] - 1
            for step in (-1, 1):
                beside = at.copy()
                beside[axis] += step
                if 0 <= beside[axis] < labels.shape[axis] and labels[tuple(beside)] != label:
                    area += face
    away = np.linalg.norm((coords - coords.mean(axis=0)) * resolution, axis=1)
    weights = np.array(depths) * (1 - away / (away.max() or 1))
    return Node(len(coords), area, depths, coords, weights, faces)
