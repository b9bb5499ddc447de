"""Where a new table is divided from the start, so that writes begin on many servers at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from beam_ingest.errors import ConfigError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, as_coordinates
from beam_ingest.stages.scope import Scope

ROWS_PER_CHUNK = {SUPERVOXEL_LAYER: 1_000, ATOMIC_LAYER: 200}
"""Rows that a layer-2 chunk brings about, for the estimate: what real data have, roughly."""
ROWS_PER_TABLET = 5_000_000
MOST_TABLETS = 100
"""Bigtable takes at most 100 split keys when a table is made; so many tablets have one less."""


def tablet_count(scope: Scope, rows: Mapping[int, int] = ROWS_PER_CHUNK) -> int:
    """Tablets for the rows that the chunks which are written are likely to bring.

    Args:
      scope: the chunks that are written.
      rows: rows by layer that each layer-2 chunk brings.
    """
    total = scope.written(ATOMIC_LAYER) * sum(rows.values())
    return min(max(1, total // ROWS_PER_TABLET), MOST_TABLETS)


def check_tablets(tablets: int) -> None:
    """Refuse a number of tablets that no table begins with.

    Raises:
      ConfigError: when it is not from 1 to `MOST_TABLETS`.
    """
    if not 1 <= tablets <= MOST_TABLETS:
        raise ConfigError(
            f"--bigtable-tablets {tablets}: expected 1 to {MOST_TABLETS}; "
            "Bigtable divides a table further as it grows"
        )


def split_keys(scope: Scope, tablets: int, rows: Mapping[int, int] = ROWS_PER_CHUNK) -> list[bytes]:
    """Row keys that divide the table into at most `tablets` parts of about equally many rows.

    Layers 1 and 2 hold most rows, and their rows stand in order of the chunk ids, so quantiles over
    the chunks of each are quantiles of the rows.

    Args:
      scope: the chunks that are written.
      tablets: how many parts, 1 to `MOST_TABLETS`.
      rows: rows by layer that each layer-2 chunk brings.

    Raises:
      ConfigError: of `check_tablets`.
    """
    check_tablets(tablets)
    weights = np.array(list(rows.values())) / sum(rows.values())
    ends = np.cumsum(weights)
    count = scope.written(ATOMIC_LAYER)
    keys = set()
    for part in np.arange(1, tablets) / tablets:
        at = int(np.searchsorted(ends, part, "right"))
        number = int((part - ends[at] + weights[at]) / weights[at] * count)
        (coords,) = as_coordinates(scope.written_chunks(np.array([min(number, count - 1)])))
        keys.add(table.node_key(scope.grid.chunk_id(list(rows)[at], coords)))
    return sorted(keys)
