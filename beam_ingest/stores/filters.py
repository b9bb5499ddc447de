"""Which rows and cells a read of Bigtable lets through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from google.cloud.bigtable import row_filters
from google.cloud.bigtable.row_set import RowSet

from beam_ingest.format.table import ColumnName


def row_set(keys: Iterable[bytes]) -> RowSet:
    """The rows of some keys."""
    rows = RowSet()
    for key in keys:
        rows.add_row_key(key)
    return rows


def columns_filter(columns: Sequence[ColumnName]) -> row_filters.RowFilter:
    """Lets cells of some columns through."""
    families = []
    for family in sorted({column.family for column in columns}):
        names = b"|".join(re.escape(column.qualifier) for column in columns if column.family == family)
        families.append(
            row_filters.RowFilterChain(
                [
                    row_filters.FamilyNameRegexFilter(re.escape(family)),
                    row_filters.ColumnQualifierRegexFilter(names),
                ]
            )
        )
    return families[0] if len(families) == 1 else row_filters.RowFilterUnion(families)
