"""The SQLite store, read by sqlite3 itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from beam_ingest.format import table
from beam_ingest.format.table import Column, ColumnName
from beam_ingest.stores import sqlite
from beam_ingest.stores.sqlite import SQLiteStore
from testing.columns import COLUMNS, listed
from tests.examples import examples


def made(path: Path) -> SQLiteStore:
    store = SQLiteStore(path)
    store.create()
    return store


def test_cells_are_there_for_any_client_while_the_store_is_open(tmp_path: Path) -> None:
    store = made(tmp_path / "graph.sqlite")
    ids = np.array([3, 1, 2**64 - 1], np.uint64)
    store.write([table.fixed(table.PARENT, table.node_keys(ids), ids)], 5_000)
    rows = sqlite3.connect(tmp_path / "graph.sqlite").execute("SELECT * FROM cells").fetchall()
    assert rows == [
        (b"%020d" % i, "0", b"parents", 5_000, int(i).to_bytes(8, "little")) for i in sorted(ids.tolist())
    ]


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COLUMNS, st.integers(0, 2**50), st.integers(1, 3000), st.integers(1, 9))
def test_every_cell_is_written_as_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    cells: list[Column],
    timestamp: int,
    piece_bytes: int,
    piece_cells: int,
) -> None:
    monkeypatch.setattr(sqlite, "_PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(sqlite, "_PIECE_CELLS", piece_cells)
    path = tmp_path_factory.mktemp("store") / "graph.sqlite"
    made(path).write(cells, timestamp)
    found = sqlite3.connect(path).execute("SELECT * FROM cells").fetchall()
    expected = {(key, family, qualifier): value for key, family, qualifier, value in listed(cells)}
    assert {cell[:3]: cell[4] for cell in found} == expected
    assert {cell[3] for cell in found} <= {timestamp}
    assert all(isinstance(cell[at], bytes) for cell in found for at in (0, 2, 4))


def test_writing_again_changes_nothing_and_a_later_timestamp_wins(tmp_path: Path) -> None:
    store = made(tmp_path / "graph.sqlite")
    name = ColumnName("0", b"manifest")
    for value, timestamp in ((b"a", 1000), (b"a", 1000), (b"b", 2000), (b"a", 1000)):
        store.write([table.single(name, b"key", value)], timestamp)
    assert store.read_rows([b"key", b"absent"]) == {b"key": {name: (b"b", 2000)}}


def test_ranges_are_half_open_and_in_order(tmp_path: Path) -> None:
    store = made(tmp_path / "graph.sqlite")
    for key in (b"b", b"a", b"c", b"bb"):
        store.write([table.single(table.META, key, key), table.single(table.VERSION, key, b"")], 1000)
    rows = list(store.read_range(b"a", b"c"))
    assert [key for key, _ in rows] == [b"a", b"b", b"bb"]
    assert rows[0][1] == {table.META: (b"a", 1000), table.VERSION: (b"", 1000)}
    store.delete_rows([b"b", b"nobody"])
    assert [key for key, _ in store.read_range(b"", b"\xff")] == [b"a", b"bb", b"c"]


def test_a_finished_graph_is_one_file(tmp_path: Path) -> None:
    store = made(tmp_path / "graph.sqlite")
    store.write([table.single(table.META, b"k", b"v")], 1000)
    store.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["graph.sqlite"]
    (tmp_path / "copy.sqlite").write_bytes((tmp_path / "graph.sqlite").read_bytes())
    assert SQLiteStore(tmp_path / "copy.sqlite").read_rows([b"k"])
    store.drop()
    assert not store.exists()


def test_a_range_of_rows_is_removed(tmp_path: Path) -> None:
    keys = [b"a", b"b/0", b"b/1", b"b/:", b"c"]
    with made(tmp_path / "graph.sqlite") as store:
        store.write([table.single(table.PARENT, key, b"12345678") for key in keys], 1000)
        store.delete_range(b"b/0", b"b/:")
    found = sqlite3.connect(tmp_path / "graph.sqlite").execute("SELECT row_key FROM cells ORDER BY row_key")
    assert found.fetchall() == [(b"a",), (b"b/:",), (b"c",)]
