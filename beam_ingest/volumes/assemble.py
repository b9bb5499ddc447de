"""A chunk's edges and components from its contacts. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges, Edges
from beam_ingest.volumes.contacts import Contacts
from beam_ingest.volumes.faces import Crossings

_Columns: TypeAlias = tuple[Ids, Ids, npt.NDArray[np.float32], Ids]


def assemble_edges(ids: Ids, inside: Contacts, across: Sequence[Crossings]) -> tuple[ChunkEdges, int]:
    """The edges of a chunk.

    Args:
      ids: of pieces 1, 2, …, shape (n,), uint64, ascending.
      inside: contacts between them by number.
      across: contacts with the neighbours.

    Returns:
      The edges, each group ascending, and the number of pieces that touch nothing: each has an edge to
      itself, which makes it a node.
    """
    first, second = (ids[numbers.astype(np.int64) - 1] for numbers in (inside.first, inside.second))
    touching = np.concatenate([first, second, *(each.own for each in across)])
    alone = ids[~np.isin(ids, touching)]
    none = np.zeros(alone.size)
    in_chunk = _sorted(
        np.concatenate([first, alone]),
        np.concatenate([second, alone]),
        np.concatenate([inside.affinity, none.astype(np.float32)]),
        np.concatenate([inside.area, none.astype(np.uint64)]),
    )
    cross: list[_Columns] = []
    between: list[_Columns] = []
    for each in across:
        for kind, parts in ((each.cut, cross), (~each.cut, between)):
            parts.append((each.own[kind], each.partner[kind], each.affinity[kind], each.area[kind]))
    cut = _sorted(*_joined(cross))
    infinite = np.full(len(cut), np.inf, np.float32)
    cut = Edges(cut.node_ids1, cut.node_ids2, infinite, cut.areas)
    return ChunkEdges(in_chunk, cut, _sorted(*_joined(between))), int(alone.size)


def assemble_components(ids: Ids, agglomerated: Ids, across: Sequence[Crossings]) -> Mapping:
    """Which of a chunk's pieces, and of those in neighbours that they touch, have one agglomerated label.

    Args:
      ids: of the chunk's pieces, shape (n,), uint64.
      agglomerated: their labels, shape (n,), uint64; 0 for one that is not in the mapping.
      across: contacts with the neighbours.
    """
    every = np.concatenate([ids, *(each.partner for each in across)])
    labels = np.concatenate([agglomerated, *(each.agglomerated for each in across)])
    mapped = labels != 0
    unique, at = np.unique(every[mapped], return_index=True)
    _, numbers = np.unique(labels[mapped][at], return_inverse=True)
    return Mapping(unique, numbers.reshape(-1).astype(np.int64))


def _joined(parts: list[_Columns]) -> _Columns:
    none = np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.float32), np.empty(0, np.uint64)
    first, second, affinity, area = zip(none, *parts, strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(affinity), np.concatenate(area)


def _sorted(first: Ids, second: Ids, affinity: npt.NDArray[np.float32], area: Ids) -> Edges:
    order = np.lexsort((second, first))
    return Edges(first[order], second[order], affinity[order], area[order])
