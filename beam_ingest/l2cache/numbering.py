"""From supervoxels to numbers of layer-2 nodes, voxel by voxel. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids, find
from beam_ingest.l2cache.runs import SLAB_VOXELS, Numbers


@dataclass(frozen=True, eq=False)
class NumberedNodes:
    """The nodes of one chunk, numbered 1, 2, … in order of their ids.

    Attributes:
      numbers: number of the node at each voxel, shape (x, y, z), in Fortran order; 0 is background.
      nodes: ids of nodes 1, 2, …, shape (n,), uint64, ascending.
      absent: nodes of the graph that have no voxel here, shape (m,), uint64, ascending.
      unknown: supervoxels here that the graph does not have, shape (k,), uint64, ascending; they are
        background.
    """

    numbers: Numbers
    nodes: Ids
    absent: Ids
    unknown: Ids


def number_nodes(ids: npt.NDArray[np.uint64], supervoxels: Ids, parents: Ids) -> NumberedNodes:
    """Number the nodes of a chunk.

    Args:
      ids: supervoxel at each voxel, shape (x, y, z), in Fortran order; 0 is background.
      supervoxels: of the chunk in the graph, shape (s,), uint64, ascending.
      parents: their layer-2 nodes, shape (s,), uint64.
    """
    flat = ids.reshape(-1, order="F")
    every, number_of = np.unique(parents, return_inverse=True)
    numbers = _empty(flat.size, every.size)
    unknown = [np.empty(0, np.uint64)]
    seen = np.zeros(every.size + 1, bool)
    for begin in range(0, flat.size, SLAB_VOXELS):
        voxels = flat[begin : begin + SLAB_VOXELS]
        begins = np.ones(voxels.size, bool)
        np.not_equal(voxels[1:], voxels[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        at, known = find(supervoxels, voxels[starts])
        found = np.zeros(starts.size, numbers.dtype)
        found[known] = number_of[at[known]] + 1
        unknown.append(np.unique(voxels[starts[~known]]))
        seen[found] = True
        numbers[begin : begin + voxels.size] = np.repeat(found, np.diff(starts, append=voxels.size))
    present = seen[1:]
    if not present.all():
        closer = np.append(0, np.cumsum(present)).astype(numbers.dtype)
        np.take(closer, numbers, out=numbers)
    strangers = np.unique(np.concatenate(unknown))
    return NumberedNodes(
        numbers.reshape(ids.shape, order="F"),
        every[present],
        every[~present],
        strangers[strangers != 0],
    )


def _empty(size: int, highest: int) -> Numbers:
    return np.empty(size, np.uint16) if highest < 1 << 16 else np.empty(size, np.uint32)
