"""The embedded store: one SQLite file, one table of cells.

    cells(row_key BLOB, family TEXT, qualifier BLOB, timestamp INTEGER, value BLOB)

It holds cell for cell what a Bigtable table of the same graph holds. Write-ahead logging lets any
SQLite client read the file while it is written, also from several processes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, repeat
from pathlib import Path

from beam_ingest.errors import StoreError
from beam_ingest.stores.base import Cell, Row, Store, StoredCell, WriteReport
from beam_ingest.table import Cells, ColumnName

_SCHEMA = """
CREATE TABLE cells (
    row_key BLOB NOT NULL,
    family TEXT NOT NULL,
    qualifier BLOB NOT NULL,
    timestamp INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (row_key, family, qualifier, timestamp)
) WITHOUT ROWID
"""
_COLUMNS = {"row_key", "family", "qualifier", "timestamp", "value"}
_INSERT = "INSERT OR REPLACE INTO cells (row_key, family, qualifier, timestamp, value) VALUES (?, ?, ?, ?, ?)"
_SELECT = "SELECT row_key, family, qualifier, value, timestamp FROM cells WHERE "
_SCAN = "SELECT row_key, family, qualifier, timestamp, value FROM cells WHERE "
_RANGE = "row_key >= ? AND row_key < ?"
_ORDER = " ORDER BY row_key, family, qualifier, timestamp"
_WAIT_SECONDS = 600.0
"""How long a writer waits for the others: transactions are short, so this means a dead disk."""
_KEYS_PER_QUERY = 500


class SQLiteStore(Store):
    """A graph in an SQLite file.

    Args:
      path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).absolute()
        self._connection: sqlite3.Connection | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        with self._errors("read"):
            if not self._path.exists():
                return False
            if self._path.is_dir():
                raise StoreError(f"{self.place}: expected an SQLite file, found a folder")
            connection = self._open()
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('cells')")}
        if tables and columns != _COLUMNS:
            raise StoreError(
                f"{self.place}: expected a graph (an SQLite table 'cells'), found other tables; "
                "it is left as it is: choose another path"
            )
        return bool(tables)

    def create(self, splits: Sequence[bytes] = ()) -> None:
        with self._errors("created"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._open(create=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_SCHEMA)

    def drop(self) -> None:
        self.exists()  # raises when it is somebody's file that is no graph
        self.close()
        with self._errors("removed"):
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def write(self, cells: Cells, timestamp: int) -> WriteReport:
        with self._errors("written"):
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for column in cells:
                    keys = column.keys.tolist()
                    name = (repeat(column.name.family), repeat(column.name.qualifier), repeat(timestamp))
                    connection.executemany(_INSERT, zip(keys, *name, column.values(), strict=False))
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise
        return WriteReport()

    def read_rows(self, keys: Sequence[bytes]) -> dict[bytes, Row]:
        rows: dict[bytes, Row] = {}
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            where = f"row_key IN ({','.join('?' * len(some))})"
            rows.update(self._rows(where, some))
        return rows

    def read_range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        return self._rows(_RANGE, (start, end))

    def scan(self, start: bytes, end: bytes) -> Iterator[StoredCell]:
        where, parameters = ("row_key >= ?", [start]) if not end else (_RANGE, [start, end])
        with self._errors("read"):
            yield from self._open().execute(_SCAN + where + _ORDER, parameters)

    def delete_rows(self, keys: Iterable[bytes]) -> None:
        with self._errors("written"):
            self._open().executemany("DELETE FROM cells WHERE row_key = ?", ((key,) for key in keys))

    def finish(self) -> None:
        """Fold the log into the file, so that the graph is one file that can be copied or made read-only."""
        with suppress(sqlite3.OperationalError):  # somebody is reading: the log stays, as valid
            self._open().execute("PRAGMA journal_mode = DELETE")
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, where: str, parameters: Sequence[bytes]) -> Iterator[tuple[bytes, Row]]:
        with self._errors("read"):
            found = self._open().execute(_SELECT + where + _ORDER, parameters)
            for key, cells in groupby(found, key=lambda cell: bytes(cell[0])):
                # Later timestamps come later, and the last one stays.
                yield key, {ColumnName(f, bytes(q)): Cell(value, at) for _, f, q, value, at in cells}

    def _open(self, create: bool = False) -> sqlite3.Connection:
        if self._connection is None:
            mode = "rwc" if create else ("rw" if os.access(self._path, os.W_OK) else "ro")
            self._connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode={mode}",
                uri=True,
                timeout=_WAIT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            # With the log, NORMAL can lose the last transactions in a power cut, never tear one.
            self._connection.execute("PRAGMA synchronous = NORMAL")
        return self._connection

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.place}: the SQLite graph cannot be {done}: {error}") from error

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "_connection": None}
