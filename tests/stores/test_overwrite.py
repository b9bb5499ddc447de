"""``--overwrite`` in SQLite: a graph that beam-ingest built goes, and nothing else ever does."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import Cli, graph_cells, store_of
from tests.graphs import comparable, timestamps
from tests.oracle.cells import Cells
from tests.stores.test_bad_store import limited


@pytest.fixture
def built(cli: Cli, dataset: Path) -> Path:
    assert cli("graph", "g", dataset).status == 0
    return dataset


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE letters (sender TEXT, content TEXT)", "the table 'letters'"),
        ("CREATE VIEW nodes AS SELECT row_key FROM cells", "the view 'nodes'"),
        ("CREATE INDEX by_family ON cells (family)", "the index 'by_family'"),
        (
            "CREATE TRIGGER keep BEFORE DELETE ON cells BEGIN SELECT RAISE(ABORT, 'no'); END",
            "the trigger 'keep'",
        ),
    ],
)
def test_what_else_is_in_the_file_is_named_and_kept(
    cli: Cli, built: Path, statement: str, named: str
) -> None:
    execute(store_of(built), statement)
    before = store_of(built).read_bytes()
    line = cli.refused("graph", "g", built, "--overwrite", status=1)
    assert line == (
        f"{store_of(built)}: it is not removed: besides a graph it holds {named}; choose another path, or "
        "move them"
    )
    assert store_of(built).read_bytes() == before
    assert cli("status", "g", built).status == 0


def test_statistics_of_sqlite_are_nothing_else(cli: Cli, built: Path, small_cells: Cells) -> None:
    execute(store_of(built), "ANALYZE")
    assert cli("graph", "g", built, "--overwrite").status == 0
    assert graph_cells(built) == small_cells


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_without_a_manifest_is_kept(cli: Cli, built: Path, rows: int) -> None:
    """Cell for cell it may be a graph of another program, or one whose making was cut short."""
    execute(store_of(built), "DELETE FROM cells" + " WHERE row_key != x'6d657461'" * rows)
    before = store_of(built).read_bytes()
    for options in ([], ["--overwrite"], ["--resume"]):
        line = cli.refused("graph", "g", built, *options, status=1)
        assert line == (
            f"{store_of(built)}: it has no manifest: it was not made by beam-ingest, or its making was "
            f"interrupted at once; if nothing in it is needed, remove it with `rm {store_of(built)}`"
        )
    assert store_of(built).read_bytes() == before


def test_a_graph_that_was_edited_is_kept(cli: Cli, built: Path) -> None:
    """PyChunkedGraph counts its edits in this row (kvdbclient's OperationLogs)."""
    execute(store_of(built), "INSERT INTO cells VALUES (CAST('ioperations' AS BLOB), '1', x'61', 1, x'00')")
    before = comparable(store_of(built))
    line = cli.refused("graph", "g", built, "--overwrite", status=1)
    assert "'ioperations'" in line
    assert "edited" in line
    assert comparable(store_of(built)) == before


def test_a_link_stays_and_its_target_is_replaced(
    cli: Cli, built: Path, tmp_path: Path, small_cells: Cells
) -> None:
    target = tmp_path / "disk" / "big.sqlite"
    target.parent.mkdir()
    shutil.move(store_of(built), target)
    store_of(built).symlink_to(target)
    (old,) = timestamps(target)
    assert cli("graph", "g", built, "--overwrite").status == 0
    assert store_of(built).is_symlink()
    assert timestamps(target) != {old}
    assert graph_cells(built) == small_cells
    assert [path.name for path in target.parent.iterdir()] == ["big.sqlite"]


def test_a_read_only_file_is_kept(cli: Cli, built: Path) -> None:
    store_of(built).chmod(0o444)
    before = store_of(built).read_bytes()
    line = cli.refused("graph", "g", built, "--overwrite", status=1)
    assert line == f"{store_of(built)}: it is not removed: the file is read-only; choose another path"
    assert store_of(built).read_bytes() == before


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_a_pipe_is_refused_at_once(cli: Cli, dataset: Path, options: list[str]) -> None:
    os.mkfifo(store_of(dataset))
    for arguments in (["graph", "g", dataset, *options], ["status", "g", dataset]):
        line = cli.refused(*arguments, status=1)
        assert line == f"{store_of(dataset)}: expected an SQLite file, found a named pipe"


def test_everything_is_checked_before_a_graph_is_removed(built: Path) -> None:
    store = store_of(built)
    before = store.read_bytes()
    job = make_job("g", Dataset.from_file(built), f"sqlite:{store}")

    def refuse(_: object) -> None:
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError, match="refused"):
        start_job(job, overwrite=True, before=refuse)
    with pytest.raises(ConfigError, match="expected 1 to 100"):
        start_job(job, overwrite=True, tablets=10**12)
    assert store.read_bytes() == before


def test_a_table_whose_first_write_fails_is_not_left_behind(
    cli: Cli, dataset: Path, small_cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # The table takes two pages; a manifest does not fit in besides.
        patch.setattr("beam_ingest.stores.sqlite._PRAGMAS", ("page_size = 512",))
        patch.setattr("beam_ingest.stores.sqlite.sqlite3.connect", limited(2))
        line = cli.refused("graph", "g", dataset, status=1)
        assert "cannot be written: database or disk is full" in line
    assert not store_of(dataset).exists()
    assert cli("graph", "g", dataset).status == 0
    assert graph_cells(dataset) == small_cells


def test_a_store_notices_that_its_file_was_replaced(built: Path, tmp_path: Path) -> None:
    store = SQLiteStore(store_of(built))
    assert store.read_rows([b"version"])
    store_of(built).unlink()
    with pytest.raises(StoreError, match="unable to open"):
        store.read_rows([b"version"])
    SQLiteStore(store_of(built)).create()
    assert store.read_rows([b"version"]) == {}
