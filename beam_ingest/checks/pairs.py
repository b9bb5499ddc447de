"""What chunks list to each other (see `beam_ingest.kernels.symmetry`), and where pairs meet. Pure numpy."""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import find, group_starts
from beam_ingest.format.grid import ATOMIC_LAYER, FACES, ChunkGrid, Coordinates, Ids, Mask
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.kernels.state import Message
from beam_ingest.kernels.symmetry import (
    ROW,
    UNKNOWN,
    Asymmetry,
    Rows,
    chunks_at,
    differing,
    is_unknown,
    listed_edges,
    pairs,
    rows_of,
    unknown_edges,
)
from beam_ingest.stages.scope import BLOCK_LAYER


def chunk_rows(grid: ChunkGrid, coords: Coordinates, edges: ChunkEdges, mapping: Mapping | None) -> Rows:
    """The rows of the chunk at `coords`, shape (n,): one for each chunk that it lists edges to or touches.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
      edges: its edges, checked and put right.
      mapping: its components; None when they are unknown.
    """
    between, cut = edges.between_chunk, edges.cross_chunk
    own = np.concatenate([between.node_ids1, cut.node_ids1])
    partner = np.concatenate([between.node_ids2, cut.node_ids2])
    active = np.ones(own.size, bool)
    active[: len(between)] = is_joined(between.node_ids1, between.node_ids2, mapping or Mapping.empty())
    listed = Message.make(**listed_edges(grid, own, partner, own[active], partner[active]))
    found = rows_of(grid.chunk_id(ATOMIC_LAYER, coords), listed)
    others = np.union1d(listed.listed_chunk, chunks_at(grid, np.array(coords) + FACES))
    rows = np.zeros(others.size, ROW)
    rows["chunk"], rows["other"] = grid.chunk_id(ATOMIC_LAYER, coords), others
    rows[find(others, listed.listed_chunk)[0]] = found
    if mapping is None:
        rows["active_count"] = rows["active_sum"] = UNKNOWN
    return rows


def is_joined(first: Ids, second: Ids, mapping: Mapping) -> Mask:
    """Whether one component holds both ends of each edge, shape (n,)."""
    component = mapping.component_of(first)
    joined: Mask = (component == mapping.component_of(second)) & (component >= 0)
    return joined


def unknown_rows(grid: ChunkGrid, coords: Coordinates) -> Rows:
    """The rows, shape (n,), of a chunk whose edges are unknown, for all chunks around it."""
    return rows_of(grid.chunk_id(ATOMIC_LAYER, coords), Message.make(**unknown_edges(grid, coords)))


def meeting_places(grid: ChunkGrid, rows: Rows) -> list[tuple[int, Rows]]:
    """`rows` by the block in which both of a pair's rows meet: that of the lower chunk id."""
    blocks = grid.ancestors(np.minimum(rows["chunk"], rows["other"]), BLOCK_LAYER)
    order = np.argsort(blocks, kind="stable")
    starts = group_starts(blocks[order])
    parts = np.split(rows[order], starts[1:])
    return list(zip(blocks[order][starts].tolist(), parts, strict=True))


def compare(grid: ChunkGrid, rows: Rows, every_chunk: bool) -> tuple[int, list[Asymmetry]]:
    """Compare rows, shape (n,), of chunks whose pairs meet in one place.

    Args:
      grid: the chunk grid.
      rows: in any order.
      every_chunk: whether all chunks of the grid were opened. If not, a chunk without a row may simply
        not have been; if they were, it lists nothing.

    Returns:
      How many pairs were compared, and those that disagree, in order of their ids.
    """
    first, second, both = pairs(rows)
    comparable = ~is_unknown(first, second, "listed_count")
    if every_chunk:  # chunks that touch have rows for each other even when they list nothing
        comparable &= both | ~_touch(grid, first)
    else:
        comparable &= both
    return int(comparable.sum()), differing(first, second, comparable)


def _touch(grid: ChunkGrid, rows: Rows) -> Mask:
    """Whether the two chunks of each row share a face."""
    first, second = (grid.coords(rows[side], ATOMIC_LAYER) for side in ("chunk", "other"))
    touch: Mask = np.abs(first - second).sum(axis=1) == 1
    return touch
