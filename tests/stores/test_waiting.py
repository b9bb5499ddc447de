"""What would be waited for without a word: a locked store, a pipe in place of a file, a full folder."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from beam_ingest.stores import sqlite
from tests.conftest import Cli, graph_cells, store_of
from tests.oracle.cells import Cells
from tests.stores.test_bad_store import small_disk  # noqa: F401  (a fixture)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_LOOK_SECONDS", 0.05)


@pytest.fixture
def locked(cli: Cli, dataset: Path) -> Iterator[sqlite3.Connection]:
    """A graph that another program has locked."""
    assert cli("graph", "g", dataset).status == 0
    with closing(sqlite3.connect(store_of(dataset), check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


class OnWarning(logging.Handler):
    """Does something when it is said that something is waited for."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._act = act

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self._act()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("command", [["status"], ["graph"], ["graph", "--overwrite"], ["graph", "--resume"]])
def test_a_lock_is_told_and_given_up(
    cli: Cli,
    dataset: Path,
    locked: sqlite3.Connection,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sqlite, "_WAIT_SECONDS", 0.2)
    verb, *options = command
    line = cli.refused(verb, "g", dataset, *options, status=1)
    assert line.startswith(f"{store_of(dataset)}: another program has had it locked for ")
    assert [record.getMessage() for record in caplog.records if record.name == sqlite.__name__] == [
        f"{store_of(dataset)}: another program has it locked; waiting for it"
    ]


def test_what_was_locked_is_read_when_it_no_longer_is(
    cli: Cli, dataset: Path, locked: sqlite3.Connection
) -> None:
    handler = OnWarning(locked.rollback)
    logger = logging.getLogger(sqlite.__name__)
    logger.addHandler(handler)
    try:
        assert cli("status", "g", dataset).out.startswith("2       : 16 / 16")
    finally:
        logger.removeHandler(handler)
    assert len(handler.said) == 1


def test_a_lock_amid_a_run_is_told_on_the_terminal(
    cli: Cli, dataset: Path, small_cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody locks the file when the table is made, and lets go when that is noticed."""
    connect = sqlite3.connect
    theirs: list[sqlite3.Connection] = []

    def lock(*_: object) -> None:
        if not theirs:
            theirs.append(connect(store_of(dataset), check_same_thread=False))
            theirs[0].execute("BEGIN IMMEDIATE")

    monkeypatch.setattr("beam_ingest.cli.run_stage.check_options", lambda _: None)
    monkeypatch.setattr("beam_ingest.stages.manifest.Ownership.check", lock)
    handler = OnWarning(lambda: theirs[0].rollback())
    logger = logging.getLogger(sqlite.__name__)
    logger.addHandler(handler)
    try:
        outcome = cli("graph", "g", dataset)
    finally:
        logger.removeHandler(handler)
        for connection in theirs:
            connection.close()
    assert outcome.status == 0
    assert outcome.err.count(f"{store_of(dataset)}: another program has it locked; waiting for it") == 1
    assert graph_cells(dataset) == small_cells


@pytest.mark.parametrize("name", ["dataset.yml", "edges/edges_1_0_0.proto.zst", "ws/info"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(cli: Cli, dataset: Path, name: str) -> None:
    path = dataset.parent / name
    path.unlink()
    os.mkfifo(path)
    for arguments in (["graph", "g", dataset], ["check", dataset]):
        outcome = cli(*arguments)
        assert outcome.status in (1, 2)
        said = [line for line in (outcome.out + outcome.err).splitlines() if "it is a named pipe" in line]
        assert said, outcome
        assert str(path) in said[0]


def test_a_full_folder_for_temporary_files_is_not_the_graphs_disk(
    cli: Cli,
    sample: Path,
    sample_cells: Cells,
    small_disk: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open(small_disk / "all of it", "wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass
    assert shutil.disk_usage(small_disk).free == 0
    monkeypatch.setenv("SQLITE_TMPDIR", str(small_disk))
    assert cli("graph", "g", sample).status == 0
    assert graph_cells(sample) == sample_cells
