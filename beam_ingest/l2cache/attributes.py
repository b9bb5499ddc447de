"""Attributes of the layer-2 nodes of one chunk, all nodes at once. Pure numpy and edt.

Definitions and units are those of PCGL2Cache (pcgl2cache/core/features.py, June 2026); docs/l2cache.md
explains each, and what differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices
from beam_ingest.l2cache.representative import representatives
from beam_ingest.l2cache.runs import Floats, Numbers, Runs, Shape, find_runs, slabs

PCA_NM3 = 10_000_000
"""Nodes of at least so many cubic nanometres (0.01 µm³) have principal axes."""
PCA_POINTS = 10_000
"""Singular values grow with the number of points; those of larger nodes are scaled to so many."""


@dataclass(frozen=True, eq=False)
class Attributes:
    """Attributes of n nodes, before they are cut to the types of the table.

    Attributes:
      voxels: number of voxels, shape (n,), int64.
      area_nm2: area of faces to other nodes and to background within the chunk, shape (n,), float64.
      max_dt_nm: largest distance to the boundary, cut to whole nanometres, shape (n,), int64.
      mean_dt_nm: mean of the distances, each cut to whole nanometres, shape (n,), float64.
      representative: the voxel in the chunk that stands for the node, shape (n, 3), int64.
      intersections: voxels on the first and on the last plane along x, y and z, shape (n, 2, 3), int64.
      has_pca: whether the node is large enough for principal axes, shape (n,), bool.
      components: principal axes as rows, by descending variance, the largest entry of each positive, shape
        (n, 3, 3), float64.
      singular_values: of the centred coordinates in nanometres, shape (n, 3), float64.
    """

    voxels: Indices
    area_nm2: Floats
    max_dt_nm: Indices
    mean_dt_nm: Floats
    representative: Indices
    intersections: Indices
    has_pca: npt.NDArray[np.bool_]
    components: Floats
    singular_values: Floats


def node_attributes(numbers: Numbers, count: int, resolution: tuple[float, float, float]) -> Attributes:
    """Compute the attributes of nodes 1, 2, …, `count`, each of which has a voxel.

    Args:
      numbers: number of the node at each voxel of the chunk's box, shape (x, y, z), in Fortran order; 0 is
        background.
      count: how many nodes there are.
      resolution: size of a voxel in nanometres along x, y and z.
    """
    shape: Shape = numbers.shape
    scale = np.array(resolution, np.float64)
    flat = numbers.reshape(-1, order="F")
    distance = _distances(numbers, resolution)
    sums = _Sums(count)
    for slab in slabs(shape):
        runs = find_runs(flat, slab, shape)
        sums.add(runs, distance[slab.begin : slab.end].astype(np.int32), shape)
        sums.add_faces(runs, flat, shape)
    voxels = sums.voxels[1:]
    components, values = _principal_axes(sums, scale)
    means = sums.first[:, 1:] / voxels
    return Attributes(
        voxels=voxels.astype(np.int64),
        area_nm2=(np.prod(scale) / scale) @ sums.faces[:, 1:],
        max_dt_nm=sums.deepest[1:],
        mean_dt_nm=sums.depth[1:] / voxels,
        representative=representatives(flat, shape, distance, sums.deepest, means, scale),
        intersections=_intersections(numbers, count),
        has_pca=voxels * np.prod(scale) >= PCA_NM3,
        components=components,
        singular_values=values,
    )


def _distances(numbers: Numbers, resolution: tuple[float, float, float]) -> npt.NDArray[np.float32]:
    """Distance to the nearest voxel of another number, in Fortran order; the box itself is no boundary."""
    found = edt.edt(numbers, anisotropy=resolution, black_border=False, parallel=1)
    distance: npt.NDArray[np.float32] = found.reshape(-1, order="F")
    # A node that fills the box has no boundary; the original stores 0 then.
    return np.zeros_like(distance) if np.isinf(distance[0]) else distance


class _Sums:
    """What is added up over the voxels of nodes; entry 0 of the last axis belongs to no node.

    All are whole numbers, which float64 adds without error below 2^53, in whatever order.

    Args:
      count: how many nodes there are.

    Attributes:
      voxels: shape (count + 1,).
      first: sums of the coordinates, shape (3, count + 1).
      second: sums of their products, shape (3, 3, count + 1).
      depth: sums of the distances, shape (count + 1,).
      deepest: largest distances, shape (count + 1,), int64.
      faces: faces to other numbers across x, y and z, shape (3, count + 1).
    """

    def __init__(self, count: int) -> None:
        self._count = count + 1
        self.voxels = np.zeros(self._count)
        self.first = np.zeros((3, self._count))
        self.second = np.zeros((3, 3, self._count))
        self.depth = np.zeros(self._count)
        self.deepest = np.zeros(self._count, np.int64)
        self.faces = np.zeros((3, self._count))

    def add(self, runs: Runs, whole: npt.NDArray[np.int32], shape: Shape) -> None:
        """Add the voxels of a slab.

        Args:
          runs: its runs.
          whole: distance of each voxel in whole nanometres.
          shape: of the chunk.
        """
        # 32 bits are summed up four times as fast.
        wide = int(whole.max()) * shape[0] >= 1 << 31
        depth = np.add.reduceat(whole, runs.starts, dtype=np.int64 if wide else np.int32)
        deepest = np.maximum.reduceat(whole, runs.starts)
        found = runs.of_nodes(shape)
        size = found.sizes.astype(np.float64)

        def of(sums: npt.NDArray[np.generic]) -> Floats:
            """Sums of runs as sums of nodes."""
            return np.bincount(found.node, weights=sums, minlength=self._count).astype(np.float64)

        x, y, z = found.first
        last = x + size - 1
        sum_x = (x + last) * size / 2
        sum_xx = _squares(last) - _squares(x - 1)
        sum_y, sum_z = y * size, z * size
        self.voxels += of(size)
        self.first += [of(sum_x), of(sum_y), of(sum_z)]
        xx, yy, zz = of(sum_xx), of(sum_y * y), of(sum_z * z)
        xy, xz, yz = of(sum_x * y), of(sum_x * z), of(sum_y * z)
        self.second += [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]
        self.depth += of(depth[found.at])
        np.maximum.at(self.deepest, found.node, deepest[found.at])

    def add_faces(self, runs: Runs, flat: Numbers, shape: Shape) -> None:
        """Count the faces at which numbers change, of the voxels of a slab to those after them.

        Args:
          runs: of the slab.
          flat: numbers of the chunk.
          shape: of the chunk.
        """
        x, y, _ = shape
        begin, end = runs.slab.begin, runs.slab.end
        inside = np.flatnonzero(runs.starts[1:] % x != 0)
        self._count_faces(0, runs.numbers[inside], runs.numbers[inside + 1])
        for axis, step in ((1, x), (2, x * y)):
            lower, upper = flat[begin : min(end, flat.size - step)], flat[begin + step : end + step]
            at = np.flatnonzero(lower != upper[: lower.size])
            if axis == 1:  # the last row of a plane has no neighbour in the next plane
                at = at[at % (x * y) < x * (y - 1)]
            self._count_faces(axis, lower[at], upper[at])

    def _count_faces(self, axis: int, lower: npt.NDArray[np.generic], upper: npt.NDArray[np.generic]) -> None:
        for side in (lower, upper):
            self.faces[axis] += np.bincount(side, minlength=self._count)


def _squares(n: Floats) -> Floats:
    """1 + 4 + … + n²; 0 for n = 0 and n = -1."""
    squares: Floats = n * (n + 1) * (2 * n + 1) / 6
    return squares


def _intersections(numbers: Numbers, count: int) -> Indices:
    found = np.empty((count + 1, 2, 3), np.int64)
    for axis in range(3):
        for side in (0, -1):
            plane = np.moveaxis(numbers, axis, 0)[side]
            found[:, side, axis] = np.bincount(plane.reshape(-1), minlength=count + 1)
    return found[1:]


def _principal_axes(sums: _Sums, scale: Floats) -> tuple[Floats, Floats]:
    """Principal axes and singular values of all voxels of each node."""
    voxels, first, second = sums.voxels[1:], sums.first[:, 1:], sums.second[:, :, 1:]
    scatter = np.moveaxis(second - first[:, None] * first[None] / voxels, -1, 0)
    values, vectors = np.linalg.eigh(scatter * (scale[:, None] * scale))
    components = np.swapaxes(vectors, 1, 2)[:, ::-1]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=2)[..., None], axis=2)
    fewer = np.minimum(1.0, PCA_POINTS / voxels)
    return components * np.sign(largest), np.sqrt(np.maximum(values[:, ::-1], 0) * fewer[:, None])
