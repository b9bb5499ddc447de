"""Do two chunks list the same edges between them?

An edge between chunks stands in the files of both. Each chunk passes on how many edges it lists to
every other chunk and a checksum over them; the parents that see both sides compare them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from beam_ingest.arrays import group_starts, offsets, pair_starts, splitmix64, unique_pairs
from beam_ingest.graphene import ATOMIC_LAYER, ChunkGrid, Ids
from beam_ingest.layers.state import Envelope


class Asymmetry(NamedTuple):
    """Two chunks list different edges between them.

    Attributes:
      chunk: layer-2 chunk id of the one that lists fewer.
      other: layer-2 chunk id of the other.
      listed: how many different edges `chunk` lists to `other`.
      other_listed: how many `other` lists to `chunk`.
    """

    chunk: int
    other: int
    listed: int
    other_listed: int


def listed_edges(grid: ChunkGrid, own: Ids, partner: Ids) -> dict[str, Ids]:
    """What a chunk lists to each other chunk, as the ``listed_*`` arrays of a `Message`.

    Args:
      grid: the chunk grid.
      own: supervoxels of one chunk, shape (n,).
      partner: supervoxels of others, shape (n,).
    """
    once = unique_pairs(partner, own)
    own, partner = own[once], partner[once]
    chunks = grid.ancestors(partner, ATOMIC_LAYER)
    starts = group_starts(chunks)
    # The sum of the two mixed ids does not depend on which end is whose own.
    mixed = splitmix64(splitmix64(own) + splitmix64(partner))
    return {
        "listed_chunk": chunks[starts],
        "listed_count": np.diff(offsets(starts, chunks.size)).astype(np.uint64),
        "listed_sum": np.add.reduceat(mixed, starts) if starts.size else mixed,
    }


def asymmetries(envelopes: list[Envelope]) -> list[Asymmetry]:
    """Compare what the chunks of one parent and their neighbours list to each other.

    Returns:
      The pairs of chunks that differ, in order of their ids.
    """
    senders = [np.full(e.message.listed_chunk.size, e.sender, np.uint64) for e in envelopes]
    sender = np.concatenate(senders)
    listed = np.concatenate([e.message.listed_chunk for e in envelopes])
    count = np.concatenate([e.message.listed_count for e in envelopes])
    total = np.concatenate([e.message.listed_sum for e in envelopes])
    low, high = np.minimum(sender, listed), np.maximum(sender, listed)
    order = np.lexsort((sender, high, low))
    sender, low, high, count, total = (a[order] for a in (sender, low, high, count, total))
    starts = pair_starts(low, high)
    both = np.diff(offsets(starts, low.size)) == 2
    second = np.minimum(starts + 1, max(low.size - 1, 0))
    equal = both & (count[starts] == count[second]) & (total[starts] == total[second])
    found = []
    for wrong in np.flatnonzero(~equal).tolist():
        at = int(starts[wrong])
        sides = {int(low[at]): 0, int(high[at]): 0}
        for position in range(at, at + (2 if both[wrong] else 1)):
            sides[int(sender[position])] = int(count[position])
        (chunk, fewer), (other, more) = sorted(sides.items(), key=lambda side: side[1])
        found.append(Asymmetry(chunk, other, fewer, more))
    return found
