"""Roots: which ids the nodes without further edges and the last components get.

All roots lie in the one root chunk, and real data have billions of them. So senders (a chunk, with
the nodes that it drops, or the root chunk with its components) are spread over the 256 root
counters that PyChunkedGraph has; each shard hands out ranges to its few senders; senders number
their own nodes. Source of the id rule: kvdbclient.base.ClientWithIDGen._get_root_segment_ids_range.
"""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import splitmix64
from beam_ingest.format.grid import ChunkGrid, Ids

SHARDS = 256
"""Root counters per graph; the shard is the lowest 8 bits of a root's segment."""


def shard_of(sender: int) -> int:
    """The shard in which the roots of chunk `sender` are numbered."""
    return int(splitmix64(np.array([sender], np.uint64))[0] % np.uint64(SHARDS))


def shard_ranges(counts: dict[int, int]) -> dict[int, tuple[int, int]]:
    """What each sender of one shard has to know: its first k, and the shard's highest or 0.

    The one sender that is told the highest writes the shard's counter.

    Args:
      counts: number of roots by sender chunk id.

    >>> shard_ranges({30: 2, 10: 5})
    {10: (1, 0), 30: (6, 7)}
    """
    ranges, last = {}, 0
    for sender in sorted(counts):
        ranges[sender] = (last + 1, 0)
        last += counts[sender]
    ranges[sender] = (ranges[sender][0], last)
    return ranges


def root_ids(grid: ChunkGrid, shard: int, first: int, count: int) -> Ids:
    """Ids, shape (count,), of roots k = first, first + 1, ... of a shard."""
    k = np.arange(first, first + count, dtype=np.uint64)
    root_chunk = np.uint64(grid.chunk_id(grid.root_layer, (0, 0, 0)))
    return root_chunk | (k * np.uint64(SHARDS) + np.uint64(shard))
