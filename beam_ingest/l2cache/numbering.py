"""From supervoxels to numbers of layer-2 nodes, voxel by voxel. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids, Indices, find
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
    number_at = _Lookup(supervoxels, number_of.reshape(-1) + 1)
    unknown = [np.empty(0, np.uint64)]
    seen = np.zeros(every.size + 1, bool)
    for begin in range(0, flat.size, SLAB_VOXELS):
        voxels = flat[begin : begin + SLAB_VOXELS]
        begins = np.ones(voxels.size, bool)
        np.not_equal(voxels[1:], voxels[:-1], out=begins[1:])
        starts = np.flatnonzero(begins)
        labels = voxels[starts]
        found = number_at(labels).astype(numbers.dtype)
        unknown.append(np.unique(labels[(found == 0) & (labels != 0)]))
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
        strangers,
    )


_TABLE_SIZE = 1 << 22
"""Entries of a table of numbers by segment: chunks have fewer supervoxels, but may number them sparsely."""


class _Lookup:
    """Numbers of supervoxels: those of a chunk differ in their segments alone, so a table gives most.

    Args:
      supervoxels: ascending, shape (s,), uint64.
      numbers: of each, above 0, shape (s,).
    """

    def __init__(self, supervoxels: Ids, numbers: Indices) -> None:
        self._supervoxels, self._numbers = supervoxels, numbers
        self._table: Indices | None = None
        if supervoxels.size and int(supervoxels[-1] - supervoxels[0]) < _TABLE_SIZE:
            # One entry more, for whatever is not between the first and the last.
            self._table = np.zeros(int(supervoxels[-1] - supervoxels[0]) + 2, np.int64)
            self._table[supervoxels - supervoxels[0]] = numbers

    def __call__(self, labels: Ids) -> Indices:
        """The number of each label, shape (n,), int64; 0 for those that are none of the supervoxels."""
        if self._table is not None:
            # Labels below the first wrap around, and are above the last then.
            place = np.minimum(labels - self._supervoxels[0], np.uint64(self._table.size - 1))
            found: Indices = self._table[place]
            return found
        at, known = find(self._supervoxels, labels)
        return (
            np.where(known, self._numbers[at], 0) if self._numbers.size else np.zeros(labels.size, np.int64)
        )


def _empty(size: int, highest: int) -> Numbers:
    return np.empty(size, np.uint16) if highest < 1 << 16 else np.empty(size, np.uint32)
