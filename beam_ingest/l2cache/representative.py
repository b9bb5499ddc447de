"""The voxel that stands for a node: deep inside it, and near its centre. Pure numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices, group_starts
from beam_ingest.l2cache.runs import Floats, NodeRuns, Numbers, Shape, coordinates, find_runs, slabs


def representatives(
    flat: Numbers,
    shape: Shape,
    distance: npt.NDArray[np.float32],
    deepest: Indices,
    means: Floats,
    scale: Floats,
) -> Indices:
    """The voxel of each node with the highest ``distance * (1 - away / farthest)``.

    `away` is how far a voxel is from the mean of the node's voxels, `farthest` the largest of these. Of
    several such voxels it is the one nearest to the boundary, then the first in C order.

    Args:
      flat: number of the node at each voxel of the chunk, in Fortran order, shape (x * y * z,).
      shape: of the chunk.
      distance: from each voxel to the boundary of its node, in nanometres, shape (x * y * z,); what is
        behind the point does not count.
      deepest: the largest distance of each node, shape (n + 1,), that of background first.
      means: mean coordinates of the voxels of each node, shape (3, n).
      scale: size of a voxel in nanometres, shape (3,).

    Returns:
      Voxels in the chunk, shape (n, 3), int64.
    """
    weights = _Weights(means, scale)
    count = means.shape[1]
    # A weight is at most the distance, so a voxel can only win where that is above a weight known already:
    # that of the middle of any run.
    bound = np.zeros(count + 1)
    middles = []
    for slab in slabs(shape):
        runs = find_runs(flat, slab, shape).of_nodes(shape)
        weights.add(runs)
        middle = runs.starts + runs.sizes // 2
        # Weights wait until the farthest is known; few runs go as deep as their node does.
        middles.append(middle[2 * distance[middle] >= deepest[runs.node]])
    for middle in middles:
        node, depth = flat[middle].astype(np.int64), distance[middle].astype(np.int32)
        np.maximum.at(bound, node, weights.of(node, coordinates(middle, shape), depth))
    least = np.ceil(bound).astype(np.float32)  # whole numbers, so what is behind the point does not count
    least[0] = np.inf
    best = np.full(count + 1, -np.inf)
    kept = []
    for slab in slabs(shape):
        voxels, depths = flat[slab.begin : slab.end], distance[slab.begin : slab.end]
        at = np.flatnonzero(depths >= least[voxels])
        node, depth = voxels[at].astype(np.int64), depths[at].astype(np.int32)
        coords = coordinates(at + slab.begin, shape)
        weight = weights.of(node, coords, depth)
        np.maximum.at(best, node, weight)
        good = np.flatnonzero(weight == best[node])
        kept.append((node[good], weight[good], depth[good], coords[:, good]))
    node, weight, depth, coords = (np.concatenate(parts, axis=-1) for parts in zip(*kept, strict=True))
    good = np.flatnonzero(weight == best[node])
    x, y, z = coords[:, good]
    order = good[np.lexsort((z, y, x, depth[good], node[good]))]
    return coords[:, order[group_starts(node[order])]].T.astype(np.int64)


class _Weights:
    """Weights of voxels.

    Args:
      means: mean coordinates of the voxels of each node, shape (3, n).
      scale: size of a voxel in nanometres, shape (3,).
    """

    def __init__(self, means: Floats, scale: Floats) -> None:
        self._means = np.concatenate([np.zeros((3, 1)), means], axis=1)
        self._scale = scale
        self._farthest = np.zeros(self._means.shape[1])
        """Squares of the largest distances, of the voxels that were added."""

    def add(self, runs: NodeRuns) -> None:
        """Take account of all voxels of a slab; to be done before weights are asked for."""
        x, y, z = runs.first
        mean = self._means[0, runs.node]
        ends = np.maximum(np.abs(x - mean), np.abs(x + (runs.sizes - 1) - mean))
        squares = self._squares(runs.node, ends, y, z)
        np.maximum.at(self._farthest, runs.node, squares)

    def of(self, node: Indices, coords: Floats, depth: npt.NDArray[np.int32]) -> Floats:
        """Weights of voxels at `coords`, shape (3, m), of a given depth, shape (m,)."""
        x, y, z = coords
        away = np.sqrt(self._squares(node, x - self._means[0, node], y, z))
        spread = np.sqrt(np.where(self._farthest > 0, self._farthest, 1))[node]
        weights: Floats = depth * (1 - away / spread)
        return weights

    def _squares(self, node: Indices, along_x: Floats, y: Floats, z: Floats) -> Floats:
        """Squares of distances from the mean; added in one order, so that equal ones are equal bits."""
        along_x = along_x * self._scale[0]
        along_y = (y - self._means[1, node]) * self._scale[1]
        along_z = (z - self._means[2, node]) * self._scale[2]
        squares: Floats = along_x * along_x + along_y * along_y + along_z * along_z
        return squares
