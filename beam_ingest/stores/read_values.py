"""Reading values of very many small cells from Bigtable: without names, and without an object a cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.api_core.exceptions import Aborted, DeadlineExceeded, InternalServerError, ServiceUnavailable
from google.cloud.bigtable_v2.types import ReadRowsRequest, ReadRowsResponse, RowFilter, RowRange, RowSet

_PASSING = (Aborted, DeadlineExceeded, InternalServerError, ServiceUnavailable)
_TRIES = 5


def read_values(
    client: Any, table: str, app_profile: str, start: bytes, end: bytes
) -> Iterator[tuple[bytes, list[bytes]]]:
    """The rows of a range: their keys, and the newest value of each cell, whole.

    A stream that breaks is taken up behind the last row that came.

    Args:
      client: ``google.cloud.bigtable_v2.BigtableClient``.
      table: the table's full name.
      app_profile: how requests are routed; "" for the instance's default.
      start: the first key.
      end: the key before which the range ends.

    Raises:
      GoogleAPICallError: when it cannot be read.
    """
    broken = 0
    while True:
        request = ReadRowsRequest(
            table_name=table,
            app_profile_id=app_profile,
            rows=RowSet(row_ranges=[RowRange(start_key_closed=start, end_key_open=end)]),
            filter=RowFilter(cells_per_column_limit_filter=1),
        )
        key, part = b"", b""
        values: list[bytes] = []
        try:
            for response in client.read_rows(request):
                for chunk in ReadRowsResponse.pb(response).chunks:
                    key = chunk.row_key or key
                    if chunk.reset_row:
                        values, part = [], b""
                        continue
                    if chunk.value_size:  # more of it comes in the next chunk
                        part += chunk.value
                        continue
                    values.append(part + chunk.value if part else chunk.value)
                    part = b""
                    if chunk.commit_row:
                        yield key, values
                        start, values, broken = key + b"\0", [], 0
            return
        except _PASSING:
            broken += 1
            if broken == _TRIES:
                raise
