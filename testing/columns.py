"""Columns of cells for tests of stores, and their cells one by one in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from beam_ingest.format.table import Column, ColumnName


def column(name: ColumnName, rows: dict[bytes, bytes]) -> Column:
    """A column of values by row key, whose keys have one width."""
    ends = np.append(0, np.cumsum([len(value) for value in rows.values()])).astype(np.int64)
    data = np.frombuffer(b"".join(rows.values()), np.uint8)
    width = max(map(len, rows), default=1)
    return Column(name, np.array(list(rows), f"S{width}"), data, ends)


def values(found: Column) -> list[bytes]:
    """The value of each cell."""
    data, ends = found.data.tobytes(), found.offsets.tolist()
    return [data[begin:end] for begin, end in zip(ends, ends[1:], strict=False)]


def listed(cells: list[Column]) -> list[tuple[bytes, str, bytes, bytes]]:
    """Row key, family, qualifier and value of every cell."""
    return [
        (key, c.name.family, c.name.qualifier, value)
        for c in cells
        for key, value in zip(c.keys.tolist(), values(c), strict=True)
    ]


VALUES = st.one_of(st.binary(max_size=40), st.sampled_from([127, 128, 16_300, 16_400]).map(bytes))
_KEYS = st.integers(0, 2**64)
COLUMNS = st.lists(
    st.builds(
        column,
        st.builds(ColumnName, st.sampled_from(["0", "3", "family"]), st.binary(min_size=1, max_size=12)),
        st.one_of(
            st.dictionaries(_KEYS.map(lambda n: b"%020d" % n), VALUES, max_size=8),
            st.dictionaries(_KEYS.map(lambda n: b"i%020d" % n), VALUES, max_size=2),
        ),
    ),
    max_size=5,
)
