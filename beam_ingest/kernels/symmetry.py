"""Do two chunks list the same edges between them, and hold the same ones active?

An edge between chunks stands in the files of both. Each chunk passes on how many edges it lists to
every other chunk, how many of these are active, and a checksum over either; the parents that see both
sides compare them.

A *row* is what one chunk says about another; `ROW` names its columns.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import find, group_starts, offsets, pair_starts, splitmix64, unique_pairs
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Coords, Ids, Mask
from beam_ingest.kernels.state import Envelope, Message

Rows: TypeAlias = npt.NDArray[np.void]
"""Rows of the type `ROW`, shape (n,)."""
_SAID = ("listed_count", "listed_sum", "active_count", "active_sum")
ROW = np.dtype([(name, "<u8") for name in ("chunk", "other", *_SAID)])
"""A row: the chunk, the other, number and checksum of the edges that are listed, and of the active ones."""
UNKNOWN = np.uint64(2**64 - 1)
"""A number of edges that is not known, since a file is bad: it is compared with nothing."""
_AROUND = np.stack(np.meshgrid(*3 * [np.arange(-1, 2)], indexing="ij"), axis=-1).reshape(-1, 3)


class Asymmetry(NamedTuple):
    """Two chunks that disagree.

    Attributes:
      active: whether about which edges are active; otherwise about which edges there are.
      chunk: layer-2 chunk id of the one that has fewer.
      other: layer-2 chunk id of the other.
      fewer: how many different edges `chunk` has to `other`.
      more: how many `other` has to `chunk`.
    """

    active: bool
    chunk: int
    other: int
    fewer: int
    more: int


def listed_edges(
    grid: ChunkGrid, own: Ids, partner: Ids, active_own: Ids, active_partner: Ids
) -> dict[str, Ids]:
    """What a chunk lists to each other chunk, as the ``listed_*`` and ``active_*`` arrays of a `Message`.

    Args:
      grid: the chunk grid.
      own: supervoxels of one chunk, shape (n,).
      partner: supervoxels of others, shape (n,).
      active_own: own ends of those edges that are active, shape (a,).
      active_partner: their other ends, shape (a,).
    """
    chunks, count, total = _by_chunk(grid, own, partner)
    active_chunks, some_count, some_total = _by_chunk(grid, active_own, active_partner)
    active_count, active_sum = np.zeros_like(count), np.zeros_like(total)
    at, _ = find(chunks, active_chunks)
    active_count[at], active_sum[at] = some_count, some_total
    return {
        "listed_chunk": chunks,
        "listed_count": count,
        "listed_sum": total,
        "active_count": active_count,
        "active_sum": active_sum,
    }


def unknown_edges(grid: ChunkGrid, coords: Coordinates) -> dict[str, Ids]:
    """As `listed_edges`, of a chunk whose files are bad: it says so to all chunks around it."""
    chunks = np.sort(chunks_at(grid, np.array(coords) + _AROUND))
    return {"listed_chunk": chunks} | {name: np.full(chunks.size, UNKNOWN) for name in _SAID}


def chunks_at(grid: ChunkGrid, coords: Coords) -> Ids:
    """Layer-2 ids of those chunks at `coords`, shape (n, 3), that are in the grid."""
    return grid.chunk_ids(ATOMIC_LAYER, coords[grid.contains(coords)])


def rows_of(sender: int, listed: Message) -> Rows:
    """The rows, shape (n,), that a message of chunk `sender` holds."""
    rows = np.empty(listed.listed_chunk.size, ROW)
    rows["chunk"], rows["other"] = sender, listed.listed_chunk
    for name in _SAID:
        rows[name] = getattr(listed, name)
    return rows


def asymmetries(envelopes: list[Envelope]) -> list[Asymmetry]:
    """Compare what the chunks of one parent and their neighbours have to each other.

    Returns:
      The pairs of chunks that differ, in order of their ids.
    """
    rows = np.concatenate([rows_of(e.sender, e.message) for e in envelopes])
    first, second, _ = pairs(rows)
    return differing(first, second, np.ones(len(first), bool))


def pairs(rows: Rows) -> tuple[Rows, Rows, Mask]:
    """Put the two rows of each pair of chunks side by side.

    Args:
      rows: shape (n,), in any order.

    Returns:
      The rows of one side and of the other, shape (pairs,), in order of their ids, and whether there
      are both, shape (pairs,). Where there is one, it is the first, and the second has no edges.
    """
    low, high = np.minimum(rows["chunk"], rows["other"]), np.maximum(rows["chunk"], rows["other"])
    order = np.lexsort((rows["chunk"], high, low))
    rows, low, high = rows[order], low[order], high[order]
    starts = pair_starts(low, high)
    both = np.diff(offsets(starts, len(rows))) == 2
    first = rows[starts]
    second = np.zeros_like(first)
    second["chunk"], second["other"] = first["other"], first["chunk"]
    second[both] = rows[starts[both] + 1]
    return first, second, both


def differing(first: Rows, second: Rows, comparable: Mask) -> list[Asymmetry]:
    """The pairs that disagree, of those that are `comparable`, shape (pairs,); `pairs` gave their rows."""
    listed, active = (_agree(first, second, edges) for edges in ("listed", "active"))
    found = []
    for at in np.flatnonzero(comparable & ~(listed & active)).tolist():
        column = "active_count" if listed[at] else "listed_count"
        fewer, more = sorted([first[at], second[at]], key=lambda row: int(row[column]))
        ids = int(fewer["chunk"]), int(more["chunk"])
        found.append(Asymmetry(column == "active_count", *ids, int(fewer[column]), int(more[column])))
    return found


def _agree(first: Rows, second: Rows, edges: str) -> Mask:
    """Whether both sides of each pair have the same ``listed`` or ``active`` edges, or one is unknown."""
    count, checksum = f"{edges}_count", f"{edges}_sum"
    same: Mask = (first[count] == second[count]) & (first[checksum] == second[checksum])
    return same | is_unknown(first, second, count)


def is_unknown(first: Rows, second: Rows, column: str) -> Mask:
    """Whether the number in `column` of either side of each pair is UNKNOWN, shape (pairs,)."""
    unknown: Mask = (first[column] == UNKNOWN) | (second[column] == UNKNOWN)
    return unknown


def _by_chunk(grid: ChunkGrid, own: Ids, partner: Ids) -> tuple[Ids, Ids, Ids]:
    """The chunks of the partners, ascending, with number and checksum of the different edges to each."""
    distinct = unique_pairs(partner, own)
    own, partner = own[distinct], partner[distinct]
    chunks = grid.ancestors(partner, ATOMIC_LAYER)
    starts = group_starts(chunks)
    # The sum of the two mixed ids does not depend on which end is whose own.
    mixed = splitmix64(splitmix64(own) + splitmix64(partner))
    count = np.diff(offsets(starts, chunks.size)).astype(np.uint64)
    return chunks[starts], count, np.add.reduceat(mixed, starts) if starts.size else mixed
