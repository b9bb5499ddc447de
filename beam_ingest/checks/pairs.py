"""Do two chunks list the same edges between them, and hold the same ones active? Pure numpy.

A chunk's row for another chunk is six uint64: the chunk, the other, how many different edges it lists
to the other and a checksum over them (`beam_ingest.layers.symmetry`), the same of those that are active.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import find, group_starts, pair_starts
from beam_ingest.graphene import ATOMIC_LAYER, ChunkGrid, Coords, Ids
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.layers.symmetry import listed_edges
from beam_ingest.scope import BLOCK_LAYER

Rows = npt.NDArray[np.uint64]
UNKNOWN = np.uint64(2**64 - 1)
"""A count of edges in a file that is bad or could not be read: it is compared with nothing."""
_FACES = np.concatenate([np.eye(3, dtype=np.int64), -np.eye(3, dtype=np.int64)])
_AROUND = np.stack(np.meshgrid(*3 * [np.arange(-1, 2)], indexing="ij"), axis=-1).reshape(-1, 3)


class Mismatch(NamedTuple):
    """Two chunks that disagree.

    Attributes:
      active: whether about which edges are active; otherwise about which edges there are.
      chunk: layer-2 chunk id of the one that has fewer.
      other: layer-2 chunk id of the other.
      fewer: how many edges `chunk` has to `other`.
      more: how many `other` has to `chunk`.
    """

    active: bool
    chunk: int
    other: int
    fewer: int
    more: int


def chunk_rows(
    grid: ChunkGrid, coords: tuple[int, int, int], edges: ChunkEdges, mapping: Mapping | None
) -> Rows:
    """The rows of the chunk at `coords`, shape (n, 6): one for each chunk that it lists edges to or touches.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
      edges: its edges, checked and put right.
      mapping: its components; None when they are not known.
    """
    between, cut = edges.between_chunk, edges.cross_chunk
    own = np.concatenate([between.node_ids1, cut.node_ids1])
    partner = np.concatenate([between.node_ids2, cut.node_ids2])
    listed = listed_edges(grid, own, partner)
    others = np.union1d(listed["listed_chunk"], _chunks_at(grid, np.array(coords) + _FACES))
    rows = np.zeros((others.size, 6), np.uint64)
    rows[:, 0], rows[:, 1] = grid.chunk_id(ATOMIC_LAYER, coords), others
    _fill(rows, 2, listed)
    if mapping is None:
        rows[:, 4] = UNKNOWN
        return rows
    component = mapping.component_of(between.node_ids1)
    active = np.ones(own.size, bool)
    active[: len(between)] = (component == mapping.component_of(between.node_ids2)) & (component >= 0)
    _fill(rows, 4, listed_edges(grid, own[active], partner[active]))
    return rows


def unknown_rows(grid: ChunkGrid, coords: tuple[int, int, int]) -> Rows:
    """The rows, shape (n, 6), of a chunk whose edges are not known, for all chunks around it."""
    others = _chunks_at(grid, np.array(coords) + _AROUND)
    rows = np.zeros((others.size, 6), np.uint64)
    rows[:, 0], rows[:, 1] = grid.chunk_id(ATOMIC_LAYER, coords), others
    rows[:, [2, 4]] = UNKNOWN
    return rows


def meeting_places(grid: ChunkGrid, rows: Rows) -> list[tuple[int, Rows]]:
    """`rows` by the block in which both of a pair's rows meet: that of the lower chunk id."""
    blocks = grid.ancestors(np.minimum(rows[:, 0], rows[:, 1]), BLOCK_LAYER)
    order = np.argsort(blocks, kind="stable")
    starts = group_starts(blocks[order])
    parts = np.split(rows[order], starts[1:])
    return list(zip(blocks[order][starts].tolist(), parts, strict=True))


def compare(grid: ChunkGrid, rows: Rows, every_chunk: bool) -> tuple[int, list[Mismatch]]:
    """Compare rows, shape (n, 6), of chunks whose pairs meet in one place.

    Args:
      grid: the chunk grid.
      rows: in any order.
      every_chunk: whether all chunks of the grid were opened. If not, a chunk without a row may simply
        not have been; if they were, it lists nothing.

    Returns:
      How many pairs were compared, and those that disagree, in order of their ids.
    """
    low, high = rows[:, :2].min(axis=1), rows[:, :2].max(axis=1)
    order = np.lexsort((rows[:, 0], high, low))
    rows, low, high = rows[order], low[order], high[order]
    starts = pair_starts(low, high)
    both = np.diff(np.append(starts, len(rows))) == 2
    first = rows[starts]
    second = first.copy()
    second[:, [0, 1]] = first[:, [1, 0]]
    second[:, 2:] = 0
    second[both] = rows[starts[both] + 1]
    known = (first[:, 2] != UNKNOWN) & (second[:, 2] != UNKNOWN)
    if every_chunk:  # chunks that touch have rows for each other even when they list nothing
        known &= both | ~_touch(grid, first)
    else:
        known &= both
    listed = (first[:, 2:4] == second[:, 2:4]).all(axis=1)
    active = (
        (first[:, 4:] == second[:, 4:]).all(axis=1) | (first[:, 4] == UNKNOWN) | (second[:, 4] == UNKNOWN)
    )
    found = []
    for at in np.flatnonzero(known & ~(listed & active)).tolist():
        column = 4 if listed[at] else 2
        sides = sorted([first[at].tolist(), second[at].tolist()], key=lambda row: row[column])
        fewer, more = sides
        found.append(Mismatch(column == 4, fewer[0], more[0], fewer[column], more[column]))
    return int(known.sum()), found


def _fill(rows: Rows, column: int, listed: dict[str, Ids]) -> None:
    at, _ = find(rows[:, 1], listed["listed_chunk"])
    rows[at, column], rows[at, column + 1] = listed["listed_count"], listed["listed_sum"]


def _chunks_at(grid: ChunkGrid, coords: Coords) -> Ids:
    """Layer-2 ids of those chunks at `coords`, shape (n, 3), that are in the grid."""
    inside = ((coords >= 0) & (coords < grid.bounds(ATOMIC_LAYER))).all(axis=1)
    return grid.chunk_ids(ATOMIC_LAYER, coords[inside])


def _touch(grid: ChunkGrid, rows: Rows) -> npt.NDArray[np.bool_]:
    """Whether the two chunks of each row share a face."""
    first, second = (grid.coords(np.ascontiguousarray(rows[:, i]), ATOMIC_LAYER) for i in (0, 1))
    touch: npt.NDArray[np.bool_] = np.abs(first - second).sum(axis=1) == 1
    return touch
