"""Stores that cannot be written, graphs that are there already, and runs that end before their time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import COUNTS, Cli, graph_cells, store_of
from tests.graphs import comparable, timestamps
from tests.oracle.cells import Cells

PROGRAM = [sys.executable, "-m", "beam_ingest"]


# A graph that is there already


def test_graph_exists_already(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    before = store_of(dataset).read_bytes()
    line = cli.refused("graph", "g", dataset, status=1)
    assert line == (
        f"{store_of(dataset)}: a graph is there already; --resume finishes it, --overwrite builds it from "
        "scratch, another --store keeps it"
    )
    assert store_of(dataset).read_bytes() == before


def test_overwrite(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset, "--graph-version", "2").status == 0
    (old,) = timestamps(store_of(dataset))
    assert cli("graph", "other", dataset, "--overwrite").status == 0
    (new,) = timestamps(store_of(dataset))
    assert new > old
    assert cli("status", "other", dataset).status == 0
    cells = comparable(store_of(dataset))
    assert any(family == "4" for _, family, _ in cells), "nothing of graph version 2 is left"


# Something else in its place


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_store_is_a_folder(cli: Cli, dataset: Path, options: list[str]) -> None:
    store_of(dataset).mkdir()
    (store_of(dataset) / "file").touch()
    for arguments in (["graph", "g", dataset, *options], ["status", "g", dataset]):
        line = cli.refused(*arguments, status=1)
        assert line == f"{store_of(dataset)}: expected an SQLite file, found a folder"
    assert (store_of(dataset) / "file").exists()


def write_text(path: Path) -> None:
    path.write_text("Not a database, and dear to its owner.\n" * 100)


def write_other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE letters (sender TEXT, content TEXT)")
        connection.execute("INSERT INTO letters VALUES ('a', 'b')")
        connection.commit()


def write_other_cells(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cells (id INTEGER, kind TEXT)")
        connection.execute("INSERT INTO cells VALUES (1, 'neuron')")
        connection.commit()


def write_view(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (row_key, family, qualifier, timestamp, value)")
        connection.execute("CREATE VIEW cells AS SELECT * FROM mine")
        connection.commit()


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (write_text, "file is not a database"),
        (write_other_tables, "expected a graph (an SQLite table 'cells'), found the table 'letters'; it is"),
        (write_other_cells, "expected a graph (an SQLite table 'cells'), found one with other columns; it"),
        (write_view, "expected a graph (an SQLite table 'cells'), found the table 'mine', the view 'cells'"),
    ],
)
def test_store_is_somebody_elses_file(
    cli: Cli, dataset: Path, make: Callable[[Path], None], message: str, options: list[str]
) -> None:
    make(store_of(dataset))
    before = store_of(dataset).read_bytes()
    for arguments in (["graph", "g", dataset, *options], ["status", "g", dataset]):
        line = cli.refused(*arguments, status=1)
        assert line.startswith(f"{store_of(dataset)}: ")
        assert message in line
        assert store_of(dataset).read_bytes() == before


def write_no_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # the first thing that is done to a new graph


@pytest.mark.sampled(2)
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("make", [Path.touch, write_no_tables])
def test_store_is_an_empty_file(
    cli: Cli, dataset: Path, make: Callable[[Path], None], options: list[str]
) -> None:
    make(store_of(dataset))
    assert "no graph is there" in cli.refused("status", "g", dataset, status=1)
    assert "there is no graph to resume" in cli.refused("graph", "g", dataset, "--resume")
    assert cli("graph", "g", dataset, *options).status == 0
    assert cli.done(dataset) == list(COUNTS)


def test_log_of_a_graph_that_was_removed(cli: Cli, dataset: Path, small_cells: Cells) -> None:
    assert cli("graph", "g", dataset).status == 0
    with closing(sqlite3.connect(store_of(dataset))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM cells")
        connection.commit()
        log = Path(f"{store_of(dataset)}-wal")
        kept = log.read_bytes()
    store_of(dataset).unlink()
    log.write_bytes(kept)
    assert cli("graph", "g", dataset).status == 0
    assert graph_cells(dataset) == small_cells


# Stores that cannot be written


@pytest.fixture
def shared(dataset: Path, small_cells: Cells) -> Iterator[Path]:
    """The dataset in a folder that everybody can enter, and this process not as root, who may do anything.

    `small_cells` is asked for because to make it a graph is built: what that imports late is there then,
    as somebody else may not be allowed to read it.
    """
    folder = Path(tempfile.mkdtemp(prefix="beam-ingest-"))
    copy = shutil.copytree(dataset.parent, folder / "dataset") / "dataset.yml"
    (folder / "out").mkdir()
    user = os.geteuid()
    try:
        if user == 0:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, 65534, 65534)
            os.seteuid(65534)
        yield copy
    finally:
        os.seteuid(user)
        (folder / "out").chmod(0o755)
        shutil.rmtree(folder)


def test_folder_that_cannot_be_written(cli: Cli, shared: Path) -> None:
    store = shared.parent.parent / "out" / "graph.sqlite"
    store.parent.chmod(0o555)
    line = cli.refused("graph", "g", shared, "--store", f"sqlite:{store}", status=1)
    assert line == f"{store}: the SQLite graph cannot be created: unable to open database file"
    deeper = store.parent / "deeper" / "graph.sqlite"
    line = cli.refused("graph", "g", shared, "--store", f"sqlite:{deeper}", status=1)
    assert line.startswith(f"{deeper}: the SQLite graph cannot be created: [Errno 13] Permission denied")


def test_graph_that_cannot_be_written(cli: Cli, shared: Path) -> None:
    begun = shared.parent.parent / "out" / "begun.sqlite"
    bad = shared.parent / "edges" / "edges_0_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"damaged")
    assert cli("graph", "g", shared, "--store", f"sqlite:{begun}").status == 1
    bad.write_bytes(content)
    with closing(sqlite3.connect(begun)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # A copy, since SQLite would write through files that this process has open already.
    store = Path(shutil.copy(begun, begun.with_name("graph.sqlite")))
    option = ["--store", f"sqlite:{store}"]
    before = comparable(store)
    store.chmod(0o444)
    for graph, options, message in (
        ("g", ["--resume"], "the SQLite graph cannot be written: attempt to write a readonly database"),
        ("g", [], "a graph is there already; "),
        ("h", ["--resume"], "it was begun with graph id g, not h; "),
    ):
        line = cli.refused("graph", graph, shared, *option, *options, status=1 if graph == "g" else 2)
        assert line.startswith(f"{store}: {message}")
        assert comparable(store) == before
    assert cli("status", "g", shared, *option).out.startswith("2       : 15 / 16\n")

    line = cli.refused("graph", "g", shared, *option, "--overwrite", status=1)
    assert line == f"{store}: it is not removed: the file is read-only; choose another path"
    assert comparable(store) == before
    store.chmod(0o644)
    store.parent.chmod(0o555)
    line = cli.refused("graph", "g", shared, *option, "--overwrite", status=1)
    assert line.startswith(f"{store}: the SQLite graph cannot be ")
    assert store.exists()


def test_finished_graph_that_cannot_be_written_can_be_read(cli: Cli, shared: Path) -> None:
    store = shared.parent.parent / "out" / "graph.sqlite"
    option = ["--store", f"sqlite:{store}"]
    assert cli("graph", "g", shared, *option).status == 0
    store.chmod(0o444)
    store.parent.chmod(0o555)
    assert cli("status", "g", shared, *option).out.startswith("2       : 16 / 16\n")
    assert "already complete" in cli("graph", "g", shared, *option, "--resume").out


def test_path_that_cannot_be(cli: Cli, dataset: Path) -> None:
    store = dataset / "graph.sqlite"  # below a file
    line = cli.refused("graph", "g", dataset, "--store", f"sqlite:{store}", status=1)
    assert line.startswith(f"{store}: the SQLite graph cannot be created: ")
    assert "no graph is there" in cli.refused("status", "g", dataset, "--store", f"sqlite:{store}", status=1)


# Disk full

FULL = "the SQLite graph cannot be written: database or disk is full"
THEN = "when that is fixed, --resume finishes graph g"


def limited(pages: int) -> Callable[..., sqlite3.Connection]:
    """A way to connect to databases which may not have more than a few pages."""
    connect = sqlite3.connect

    def connect_limited(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    return connect_limited


@pytest.mark.slow
def test_disk_full(cli: Cli, sample: Path, sample_cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself says so."""
    with monkeypatch.context() as patch:
        patch.setattr("beam_ingest.stores.sqlite.sqlite3.connect", limited(10))
        line = cli.refused("graph", "g", sample, status=1)
        assert line == f"{store_of(sample)}: {FULL}; {THEN}"
        assert cli.done(sample)[1:] == [0, 0]
        assert FULL in cli.refused("graph", "g", sample, "--resume", status=1)
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


def test_disk_full_at_once(cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the table can be made: what is left is not taken for a graph."""
    with monkeypatch.context() as patch:
        patch.setattr("beam_ingest.stores.sqlite.sqlite3.connect", limited(1))
        line = cli.refused("graph", "g", dataset, status=1)
        assert line == f"{store_of(dataset)}: {FULL.replace('written', 'created')}"
    assert "no graph is there" in cli.refused("status", "g", dataset, status=1)
    assert cli("graph", "g", dataset).status == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(folder)]
    can_mount = os.geteuid() == 0 and shutil.which("mount")
    if not can_mount or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(
            "NO REAL FULL DISK WAS TRIED: run this test as root on Linux, where it can mount a small tmpfs "
            "(in a container: with --cap-add SYS_ADMIN)"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.root
def test_real_disk_full(cli: Cli, sample: Path, sample_cells: Cells, small_disk: Path) -> None:
    """With worker processes, whose errors come from elsewhere."""
    store = small_disk / "graph.sqlite"
    option = ["--store", f"sqlite:{store}"]
    line = cli.refused("graph", "g", sample, *option, "--direct_num_workers=2", status=1)
    assert line == f"{store}: {FULL}; {THEN}"
    assert cli("status", "g", sample, *option).out.endswith("4       : 0 / 1\n")
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert cli("graph", "g", sample, *option, "--resume").status == 0
    cells = {key: value for key, value in comparable(store).items() if key[0] != b"meta"}
    assert cells == sample_cells


@pytest.mark.slow
def test_file_that_may_not_grow(tmp_path: Path) -> None:
    """The operating system refuses to write: this is what a quota or a failing disk looks like.

    The limit holds for a whole process and its libraries, so it is one with the store alone.
    """
    program = """
import resource, sys
import numpy as np
from beam_ingest import StoreError
from beam_ingest.format import table
from beam_ingest.runners.run import run_job
from beam_ingest.stores.sqlite import SQLiteStore
store = SQLiteStore(sys.argv[1])
store.create()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
ids = np.arange(100_000, dtype=np.uint64)
try:
    store.write([table.fixed(table.PARENT, table.node_keys(ids), ids)], 1000)
except StoreError as error:
    print(error)
"""
    store = tmp_path / "graph.sqlite"
    command = [sys.executable, "-c", program, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"{store}: the SQLite graph cannot be written: ")
    assert list(SQLiteStore(store).read_range(b"", b"\xff")) == []
