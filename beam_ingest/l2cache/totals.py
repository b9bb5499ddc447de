"""What is counted of each chunk besides `Counts`, kept in the cache's table beside its progress row."""

from __future__ import annotations

from dataclasses import dataclass

from beam_ingest.format.table import Cells, ColumnName, single
from beam_ingest.stages.progress import AFTER_DIGITS
from beam_ingest.stages.sums import Sums
from beam_ingest.stores.base import Store

_PREFIX = b"beam_ingest/l2cache/"
_TOTALS = ColumnName("0", b"totals")


@dataclass(frozen=True)
class Totals(Sums):
    """What was found, of one chunk or of several.

    Attributes:
      clamped: values that did not fit their type: the nearest that fits is stored.
      absent: nodes of the graph without a voxel, which have no row.
      unknown: supervoxels of the watershed that the graph does not have, taken as background.
    """

    clamped: int = 0
    absent: int = 0
    unknown: int = 0

    def cells(self, chunk_id: int) -> Cells:
        """The row of a chunk."""
        return [single(_TOTALS, _PREFIX + b"%020d" % chunk_id, self.encode())]


def read_totals(store: Store) -> Totals:
    """The totals of all chunks that are done."""
    total = Totals()
    for _, row in store.read_range(_PREFIX + b"0", _PREFIX + AFTER_DIGITS):
        total += Totals.decode(row[_TOTALS].value)
    return total
