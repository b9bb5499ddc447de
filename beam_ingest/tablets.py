"""Where a new table is divided from the start, so that writes begin on many servers at once."""

from __future__ import annotations

import numpy as np

from beam_ingest import table
from beam_ingest.graphene import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid

ROWS_PER_CHUNK = {SUPERVOXEL_LAYER: 1_000, ATOMIC_LAYER: 200}
"""Rows that a layer-2 chunk brings about, for the estimate: what real data have, roughly."""
ROWS_PER_TABLET = 5_000_000
_MOST_TABLETS = 200


def tablet_count(grid: ChunkGrid) -> int:
    """Tablets for the rows that a grid is likely to bring."""
    rows = grid.chunk_count(ATOMIC_LAYER) * sum(ROWS_PER_CHUNK.values())
    return min(max(1, rows // ROWS_PER_TABLET), _MOST_TABLETS)


def split_keys(grid: ChunkGrid, tablets: int) -> list[bytes]:
    """Row keys that divide the table into at most `tablets` parts of about equally many rows.

    Layers 1 and 2 hold most rows, and their rows stand in order of the chunk ids, so quantiles over
    the chunks of each are quantiles of the rows.

    Args:
      grid: the chunk grid.
      tablets: how many parts, at least 1.
    """
    weights = np.array(list(ROWS_PER_CHUNK.values()))
    ends = np.cumsum(weights) / weights.sum()
    keys = set()
    for part in np.arange(1, tablets) / tablets:
        at = int(np.searchsorted(ends, part, "right"))
        layer = list(ROWS_PER_CHUNK)[at]
        begin = ends[at] - weights[at] / weights.sum()
        number = int((part - begin) / (ends[at] - begin) * grid.chunk_count(layer))
        bounds = grid.bounds(ATOMIC_LAYER)
        x, y, z = (int(n) for n in np.unravel_index(min(number, grid.chunk_count(layer) - 1), bounds))
        keys.add(table.node_key(grid.chunk_id(layer, (x, y, z))))
    return sorted(keys)
