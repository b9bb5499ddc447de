"""The embedded store: one SQLite file, one table of cells.

    cells(row_key BLOB, family TEXT, qualifier BLOB, timestamp INTEGER, value BLOB)

It holds cell for cell what a Bigtable table of the same graph holds. Write-ahead logging lets any
SQLite client read the file while it is written, also from several processes.
"""

from __future__ import annotations

import logging
import os
import reprlib
import shlex
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from beam_ingest.errors import StoreError
from beam_ingest.file_kind import kind_of
from beam_ingest.format.table import Cells, Column, ColumnName, merged
from beam_ingest.stores.base import Cell, Row, Store, StoredCell, WriteReport

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
_TABLE = ("table", "cells")
_OBJECTS = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
"""Everything that was made in the file, but for what SQLite keeps for itself, such as statistics."""
_SHOWN = 3
_INSERT = """
INSERT OR REPLACE INTO cells (row_key, family, qualifier, timestamp, value)
SELECT substr(:keys, 1 + key * :width, :width), :family, :qualifier, :timestamp,
    substr(:data, 1 + (value >> 32), value & 0xFFFFFFFF)
FROM json_each(:places)
"""
"""Cuts the cells of a column out of its arrays: a statement a column instead of a call a cell. It needs no
Python, so another thread can build meanwhile. A place is where a value begins, with its size in the lower
half."""
_PRAGMAS = (
    "page_size = 16384",  # rows of a chunk stand side by side, and fewer pages are searched
    f"cache_size = {-16 << 10}",  # KiB, as negative numbers are
    # With the log, NORMAL can lose the last transactions in a power cut, never tear one.
    "synchronous = NORMAL",
    # What a statement replaces is kept until it ends, by default in the folder for temporary files, which
    # may be full when the graph's disk is not. It is no more than the statement itself.
    "temp_store = MEMORY",
)
_PIECE_CELLS = 10_000
"""Cells in one statement, whose places take 100 bytes each as Python has them."""
_PIECE_BYTES = 256 << 20
"""Most bytes of values in it, unless one value is larger: a blob may have 1e9."""
_SELECT = "SELECT row_key, family, qualifier, value, timestamp FROM cells WHERE "
_SCAN = "SELECT row_key, family, qualifier, timestamp, value FROM cells WHERE "
_RANGE = "row_key >= ? AND row_key < ?"
_ORDER = " ORDER BY row_key, family, qualifier, timestamp"
_LOOK_SECONDS = 2.0
"""How long to wait silently for another program's lock: our own transactions are shorter."""
_WAIT_SECONDS = 60.0
"""How long to wait for a lock while no transaction of any program ends."""
_LOG = logging.getLogger(__name__)
_KEYS_PER_QUERY = 500
_TYPES = (bytes, str, bytes, int, bytes)
"""Of a row of the table: SQLite keeps values of any type in any column."""
_CELL_TYPES = (str, bytes, bytes, int)
"""Of family, qualifier, value and timestamp."""


class SQLiteStore(Store):
    """A graph in an SQLite file.

    Args:
      path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).absolute()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        with self._errors("read"):
            if not self._path.exists():
                return False
            self._check_kind()
            there = set(self._execute(_OBJECTS))
            columns = {name for (name,) in self._execute("SELECT name FROM pragma_table_info('cells')")}
        found = _listed(there) if _TABLE not in there else "one with other columns"
        if there and (_TABLE not in there or columns != _COLUMNS):
            raise StoreError(
                f"{self.place}: expected a graph (an SQLite table 'cells'), found {found}; "
                "it is left as it is: choose another path"
            )
        return bool(there)

    def create(self, splits: Sequence[bytes] = ()) -> None:
        with self._errors("created"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open(create=True)
            self._execute("PRAGMA journal_mode = WAL")
            self._execute(_SCHEMA)

    @property
    def removal_command(self) -> str:
        return f"rm {shlex.quote(str(self._path))}"

    def check_removable(self) -> None:
        if not self.exists():
            return
        with self._errors("read"):
            others = set(self._execute(_OBJECTS)) - {_TABLE}
            # The mode, not os.access: root may write to every file, and is asked not to all the same.
            protected = not self._path.stat().st_mode & 0o222
        if others:
            raise StoreError(
                f"{self.place}: it is not removed: besides a graph it holds {_listed(others)}; "
                "choose another path, or move them"
            )
        if protected:
            raise StoreError(f"{self.place}: it is not removed: the file is read-only; choose another path")

    def drop(self) -> None:
        if not self.exists():
            return
        self.check_removable()
        self.close()
        with self._errors("removed"):
            # Of a link, what it leads to: the graph that follows goes there as well.
            file = os.path.realpath(self._path)
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(file + suffix).unlink(missing_ok=True)

    def write(self, cells: Cells, timestamp: int) -> WriteReport:
        with self._errors("written"):
            connection = self._open()
            self._execute("BEGIN IMMEDIATE")
            try:
                for column in merged(cells):
                    for piece in _pieces(column):
                        connection.execute(_INSERT, _parameters(piece) | {"timestamp": timestamp})
                self._execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise
        return WriteReport()

    def read_rows(
        self, keys: Sequence[bytes], columns: Sequence[ColumnName] | None = None
    ) -> dict[bytes, Row]:
        chosen, names = "", []
        if columns is not None:
            chosen = f" AND (family, qualifier) IN (VALUES {', '.join(['(?, ?)'] * len(columns))})"
            names = [part for column in columns for part in column]
        rows: dict[bytes, Row] = {}
        for some in _queries(keys):
            rows.update(self._rows(_one_of(some) + chosen, [*some, *names]))
        return rows

    def existing(self, keys: Sequence[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        with self._errors("read"):
            for some in _queries(keys):
                rows = self._execute(f"SELECT DISTINCT row_key FROM cells WHERE {_one_of(some)}", some)
                found.update(key for (key,) in rows)
        return found

    def keys(self, start: bytes, end: bytes) -> Iterator[bytes]:
        with self._errors("read"):
            select = f"SELECT DISTINCT row_key FROM cells WHERE {_RANGE} ORDER BY row_key"
            for (key,) in self._execute(select, (start, end)):
                yield key

    def read_range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        return self._rows(_RANGE, (start, end))

    def read_values(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
        for key, row in self.read_range(start, end):
            yield key, [cell.value for cell in row.values()]

    def scan(self, start: bytes, end: bytes) -> Iterator[StoredCell]:
        where, parameters = ("row_key >= ?", [start]) if not end else (_RANGE, [start, end])
        with self._errors("read"):
            if not start:
                # Whatever is no blob stands before the shortest one, where no range of keys would find it.
                for (key,) in self._execute("SELECT row_key FROM cells WHERE row_key < x'' LIMIT 1"):
                    raise self._damaged("a key", key)
            for cell in self._execute(_SCAN + where + _ORDER, parameters):
                if (*map(type, cell),) != _TYPES:
                    raise self._damaged(f"row {cell[0].decode(errors='backslashreplace')}", cell[1:])
                yield cell

    def delete_rows(self, keys: Iterable[bytes]) -> None:
        with self._errors("written"):
            some = list(keys)
            for start in range(0, len(some), _KEYS_PER_QUERY):
                part = some[start : start + _KEYS_PER_QUERY]
                self._execute(f"DELETE FROM cells WHERE {_one_of(part)}", part)

    def delete_range(self, start: bytes, end: bytes) -> None:
        with self._errors("written"):
            self._execute(f"DELETE FROM cells WHERE {_RANGE}", (start, end))

    def finish(self) -> None:
        """Fold the log into the file, so that the graph is one file that can be copied or made read-only."""
        with suppress(sqlite3.OperationalError):  # another program reads: the log stays, and is valid
            self._open().execute("PRAGMA journal_mode = DELETE")
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, where: str, parameters: Sequence[object]) -> Iterator[tuple[bytes, Row]]:
        with self._errors("read"):
            found = self._execute(_SELECT + where + _ORDER, parameters)
            for key, group in groupby(found, key=itemgetter(0)):
                cells = list(group)
                if any((type(f), type(q), type(v), type(at)) != _CELL_TYPES for _, f, q, v, at in cells):
                    raise self._damaged(f"row {key.decode(errors='backslashreplace')}", cells)
                # Later timestamps come later, and the last one stays.
                yield key, {ColumnName(f, q): Cell(value, at) for _, f, q, value, at in cells}

    def _damaged(self, where: str, found: object) -> StoreError:
        return StoreError(
            f"{self.place}: {where}: expected cells of (bytes, text, bytes, a number, bytes), found "
            f"{reprlib.repr(found)}; another program has written to it: build the graph from scratch"
        )

    def _check_kind(self) -> None:
        """Refuse what is no file before it is opened: opening a pipe waits for its other end."""
        mode = self._path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise StoreError(f"{self.place}: expected an SQLite file, found {kind_of(mode)}")

    def _open(self, create: bool = False) -> sqlite3.Connection:
        # A file that was removed or replaced is let go: nothing is read from it or written to it any more.
        if self._connection is not None and self._file_now() != self._file:
            self.close()
        if self._connection is None:
            mode = "rwc" if create else ("rw" if os.access(self._path, os.W_OK) else "ro")
            self._connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode={mode}",
                uri=True,
                timeout=_LOOK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                for pragma in _PRAGMAS:
                    self._connection.execute(f"PRAGMA {pragma}")
            except BaseException:  # some look into the file, which may be locked
                self.close()
                raise
            self._file = self._file_now()
        return self._connection

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement; while another program has it locked, say so and wait, within limits."""
        told, seen = False, 0
        give_up = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                return self._open().execute(statement, parameters)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            if not told:
                _LOG.warning("%s: another program has it locked; waiting for it", self.place)
                told = True
            with suppress(sqlite3.OperationalError):  # changes when another connection has written
                seen, before = self._open().execute("PRAGMA data_version").fetchone()[0], seen
                if seen != before:
                    give_up = time.monotonic() + _WAIT_SECONDS
            if time.monotonic() >= give_up:
                raise StoreError(
                    f"{self.place}: another program has had it locked for {_WAIT_SECONDS:.0f} s; end that "
                    "program, or wait for it, and run this again"
                )

    def _file_now(self) -> tuple[int, int] | None:
        """What tells the file at the path from one that takes its place; None if there is none."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.place}: the SQLite graph cannot be {done}: {error}") from error

    def __getstate__(self) -> dict[str, object]:
        return {"_path": self._path, "_connection": None, "_file": None}


def _queries(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Keys in as many parts as there are queries to make."""
    return (keys[start : start + _KEYS_PER_QUERY] for start in range(0, len(keys), _KEYS_PER_QUERY))


def _one_of(keys: Sequence[bytes]) -> str:
    return f"row_key IN ({','.join('?' * len(keys))})"


def _listed(objects: set[tuple[str, str]]) -> str:
    """Tables, views and the like, for messages."""
    names = [f"the {kind} '{name}'" for kind, name in sorted(objects)]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join(names[:_SHOWN] + more)


def _pieces(column: Column) -> Iterator[Column]:
    """A column in parts of bounded size."""
    first, count = 0, column.keys.size
    while first < count:
        most = column.offsets[first] + _PIECE_BYTES
        last = max(first + 1, int(np.searchsorted(column.offsets, most, "right")) - 1)
        last = min(last, first + _PIECE_CELLS)
        offsets = column.offsets[first : last + 1]
        data = column.data[offsets[0] : offsets[-1]]
        yield Column(column.name, column.keys[first:last], data, offsets - offsets[0])
        first = last


def _parameters(column: Column) -> dict[str, object]:
    """What `_INSERT` needs to know of a column."""
    places = column.offsets[:-1] << 32 | np.diff(column.offsets)
    return {
        "keys": column.keys.tobytes(),
        "width": column.keys.itemsize,
        "family": column.name.family,
        "qualifier": column.name.qualifier,
        "data": column.data.tobytes() + b"\0",  # of an empty blob, SQLite would cut NULL
        "places": str(places.tolist()),
    }
