"""Roots: which ids the nodes without further edges and the last components get.

All roots lie in the one root chunk, and real data have billions of them. So senders (a chunk, with
the nodes that it drops, or the root chunk with its components) are spread over the 256 root
counters that PyChunkedGraph has; each shard hands out ranges to its few senders; senders number
their own nodes. Source of the id rule: kvdbclient.base.ClientWithIDGen._get_root_segment_ids_range.
"""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import splitmix64
from beam_ingest.graphene import ChunkGrid, Ids

SHARDS = 256
"""Root counters per graph; the shard is the lowest 8 bits of a root's segment."""


def shard_of(sender: int) -> int:
    """The shard in which the roots of chunk `sender` are numbered."""
    return int(splitmix64(np.array([sender], np.uint64))[0] % np.uint64(SHARDS))


def first_counts(counts: dict[int, int]) -> tuple[dict[int, int], int]:
    """Ranges of one shard: the first k of each sender, and the last k given out.

    Args:
      counts: number of roots by sender chunk id.

    >>> first_counts({30: 2, 10: 5})
    ({10: 1, 30: 6}, 7)
    """
    first, last = {}, 0
    for sender in sorted(counts):
        first[sender] = last + 1
        last += counts[sender]
    return first, last


def root_ids(grid: ChunkGrid, shard: int, first: int, count: int) -> Ids:
    """Ids, shape (count,), of roots k = first, first + 1, ... of a shard."""
    k = np.arange(first, first + count, dtype=np.uint64)
    root_chunk = np.uint64(grid.chunk_id(grid.root_layer, (0, 0, 0)))
    return root_chunk | (k * np.uint64(SHARDS) + np.uint64(shard))
