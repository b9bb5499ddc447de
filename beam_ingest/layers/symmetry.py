"""Do two chunks list the same edges between them?

An edge between chunks stands in the files of both. Each chunk passes on how many edges it lists to
every other chunk and a checksum over them; the parents that see both sides compare them.
"""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import group_starts, offsets, pair_starts, splitmix64, unique_pairs
from beam_ingest.errors import BeamIngestError
from beam_ingest.graphene import ATOMIC_LAYER, ChunkGrid, Ids
from beam_ingest.layers.state import Envelope


class AsymmetricEdgesError(BeamIngestError):
    """Two chunks list different edges between them.

    Attributes:
      chunk: layer-2 chunk id of the one that lists fewer.
      other: layer-2 chunk id of the other.
      count: how many different edges `chunk` lists to `other`.
      other_count: how many `other` lists to `chunk`.
    """

    def __init__(self, chunk: int, other: int, count: int, other_count: int) -> None:
        super().__init__(chunk, other, count, other_count)
        self.chunk = chunk
        self.other = other
        self.count = count
        self.other_count = other_count


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


def check_symmetry(envelopes: list[Envelope]) -> None:
    """Compare what the chunks of one parent and their neighbours list to each other.

    Raises:
      AsymmetricEdgesError: for the first two chunks, in order of their ids, that differ.
    """
    senders = [np.full(e.message.listed_chunk.size, e.sender, np.uint64) for e in envelopes]
    sender = np.concatenate(senders)
    listed = np.concatenate([e.message.listed_chunk for e in envelopes])
    count = np.concatenate([e.message.listed_count for e in envelopes])
    total = np.concatenate([e.message.listed_sum for e in envelopes])
    low, high = np.minimum(sender, listed), np.maximum(sender, listed)
    order = np.lexsort((sender, high, low))
    low, high, count, total = low[order], high[order], count[order], total[order]
    starts = pair_starts(low, high)
    both = np.diff(offsets(starts, low.size)) == 2
    second = np.minimum(starts + 1, max(low.size - 1, 0))
    equal = both & (count[starts] == count[second]) & (total[starts] == total[second])
    wrong = np.flatnonzero(~equal)
    if wrong.size == 0:
        return
    at = int(starts[wrong[0]])
    sides = {int(low[at]): 0, int(high[at]): 0}
    for position in range(at, at + (2 if both[wrong[0]] else 1)):
        sides[int(sender[order][position])] = int(count[position])
    (chunk, fewer), (other, more) = sorted(sides.items(), key=lambda side: side[1])
    raise AsymmetricEdgesError(chunk, other, fewer, more)
