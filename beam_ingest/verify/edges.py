"""Active edges on their way up: at every layer under the names that the table gives their ends there.

Both chunks of an edge between chunks send it, each from its own end, as a *half edge* that carries
the new name of that end. They go to the parent chunks of both ends; there each meets its mirror, and so
learns the other end's name. What does not meet its mirror is a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices, unique_pairs
from beam_ingest.format.grid import Ids, Mask

SAME_CHUNK = 1
"""Stands for the cross layer of edges within a layer-2 chunk: like all, one below where they join."""


@dataclass(frozen=True, eq=False)
class ActiveEdges:
    """Active edges of one chunk.

    Attributes:
      own: the end in the chunk, shape (e,), uint64.
      partner: the other end, shape (e,), uint64.
      layer: the highest layer at which the ends' chunks differ, shape (e,), uint64.
    """

    own: Ids
    partner: Ids
    layer: Ids

    @property
    def columns(self) -> tuple[Ids, Ids, Ids]:
        """All three."""
        return self.own, self.partner, self.layer

    def take(self, which: npt.NDArray[np.generic]) -> ActiveEdges:
        """Those at positions, or where a mask is true."""
        return ActiveEdges(self.own[which], self.partner[which], self.layer[which])

    def of_layer(self, layer: int) -> ActiveEdges:
        """Those of one cross layer."""
        return self.take(self.layer == layer)

    def once(self) -> ActiveEdges:
        """Each pair of ends once, ascending."""
        return self.take(unique_pairs(self.own, self.partner))


@dataclass(frozen=True, eq=False)
class HalfEdges:
    """Edges of any chunks, each seen from one end.

    Attributes:
      own: this end as both sides knew it, shape (e,), uint64.
      partner: the other end as both sides knew it, shape (e,), uint64.
      name: this end's new name, shape (e,), uint64.
      layer: cross layer, shape (e,), uint64.
    """

    own: Ids
    partner: Ids
    name: Ids
    layer: Ids

    @property
    def columns(self) -> tuple[Ids, Ids, Ids, Ids]:
        """All four."""
        return self.own, self.partner, self.name, self.layer

    def take(self, which: npt.NDArray[np.generic]) -> HalfEdges:
        """Those at positions, or where a mask is true."""
        return HalfEdges(*(column[which] for column in self.columns))


def meet(half: HalfEdges) -> tuple[Ids, Mask]:
    """The new name of the other end of each half edge, shape (e,), and whether its mirror is there."""
    ends, at = np.unique(np.concatenate([half.own, half.partner]), return_inverse=True)
    own, partner = at[: half.own.size].astype(np.int64), at[half.own.size :].astype(np.int64)
    keys, mirrored = own * ends.size + partner, partner * ends.size + own
    order = np.argsort(keys)
    if order.size == 0:
        return half.name, np.zeros(0, bool)
    found = order[np.minimum(np.searchsorted(keys[order], mirrored), keys.size - 1)]
    return half.name[found], keys[found] == mirrored


def only_in(left: tuple[Ids, ...], right: tuple[Ids, ...]) -> tuple[Indices, Indices]:
    """Positions of the rows, given as columns (n,) and (m,), that the other side does not have."""
    columns = [np.concatenate(pair) for pair in zip(left, right, strict=True)]
    if columns[0].size == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.lexsort(columns[::-1])
    change = np.zeros(order.size - 1, bool)
    for column in columns:
        change |= column[order[1:]] != column[order[:-1]]
    group = np.empty(order.size, np.int64)
    group[order] = np.concatenate([[0], np.cumsum(change)])
    size = left[0].size
    of_left, of_right = group[:size], group[size:]
    in_left, in_right = (np.bincount(of, minlength=order.size) > 0 for of in (of_left, of_right))
    return np.flatnonzero(~in_right[of_left]), np.flatnonzero(~in_left[of_right])
