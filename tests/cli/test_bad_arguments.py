"""Arguments that make no sense, and graphs that are not there."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import COUNTS, Cli
from tests.oracle.datasets import Chunk, Grid, OracleDataset, write
from tests.test_bad_dataset import change, refused


def test_no_arguments(cli: Cli) -> None:
    assert cli.refused() == "the following arguments are required: COMMAND (see beam-ingest --help)"
    for verb in ("graph", "status"):
        line = cli.refused(verb)
        assert line.startswith("the following arguments are required: GRAPH_ID, DATASET.yml ")
        assert line.endswith(f"(see beam-ingest {verb} --help)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["grpah", "g", "DATASET"], "unknown command grpah; did you mean graph?"),
        (["graph", "g", "DATASET", "--overwrit"], "unknown option --overwrit; did you mean --overwrite?"),
        (["graph", "g", "DATASET", "--tset"], "unknown option --tset; did you mean --test?"),
        (["graph", "g", "DATASET", "--graph_version=3"], "unknown option --graph_version; did you mean --gr"),
        (["graph", "--stor", "sqlite:x", "g", "DATASET"], "unknown option --stor; did you mean --store?"),
        (
            ["graph", "g", "DATASET", "--direct_num_worker", "2"],
            "unknown option --direct_num_worker; did you mean --direct_num_workers?",
        ),
        (
            ["graph", "g", "DATASET", "--temp_locaton=gs://b/t"],
            "unknown option --temp_locaton; did you mean --temp_location?",
        ),
        (["graph", "g", "DATASET", "--qqqqqq"], "unknown option --qqqqqq; see beam-ingest graph --help"),
        (["graph", "g", "DATASET", "more"], "unknown argument more; see beam-ingest graph --help"),
        (["status", "g", "DATASET", "--watchh"], "unknown option --watchh; did you mean --watch?"),
        (["status", "g", "DATASET", "--direct_num_workers=2"], "unknown option --direct_num_workers"),
        (["sample", "DIR", "--chnks", "1", "1", "1"], "unknown option --chnks; did you mean --chunks?"),
        (["graph", "g", "DATASET", "--graph-version", "4"], "--graph-version: invalid choice: "),
        (["graph", "g", "DATASET", "--resume", "--overwrite"], "--overwrite: not allowed with argument --re"),
        (["graph", "g", "DATASET", "--store"], "--store: expected one argument"),
        (
            ["graph", "g", "DATASET", "--direct_num_workers", "many"],
            "--direct_num_workers: invalid int value",
        ),
        (
            ["graph", "g", "DATASET", "--direct_num_workers", "-1"],
            "--direct_num_workers -1: expected 0 or mo",
        ),
        (["graph", "g", "DATASET", "--direct_running_mode", "fast"], "--direct_running_mode: invalid choice"),
        (["graph", "g", "DATASET", "--runner", "Drunner"], "--runner Drunner: Unexpected pipeline runner"),
        (["graph", "g", "DATASET", "--runner", "no.such.Runner"], "--runner no.such.Runner: No module named"),
        (["graph", "", "DATASET"], "graph id '': expected up to 50 letters, digits"),
        (["graph", "a/b", "DATASET"], "graph id 'a/b': expected up to 50 letters, digits"),
        (["graph", "a b", "DATASET"], "graph id 'a b': expected up to 50 letters, digits"),
        (["graph", "x" * 51, "DATASET"], "expected up to 50 letters, digits"),
        (["graph", ".x", "DATASET"], "not beginning with '-' or '.'"),
        (["graph", "g\n", "DATASET"], "graph id 'g\\n': expected up to 50 letters, digits"),
        (["graph", "g", "DATASET", "--store", "graph.sqlite"], "--store graph.sqlite: expected sqlite:PATH"),
        (["graph", "g", "DATASET", "--store", "sqlite:"], "--store sqlite:: expected sqlite:PATH"),
        (["status", "g", "DATASET", "--store", "postgres:x"], "--store postgres:x: expected sqlite:PATH"),
    ],
)
def test_command_line(cli: Cli, dataset: Path, arguments: list[str], message: str) -> None:
    line = cli.refused(*[str(dataset) if argument == "DATASET" else argument for argument in arguments])
    assert message in line
    assert not (dataset.parent / "graph.sqlite").exists()


def test_options_are_looked_at_before_a_graph_is_overwritten(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    cli.refused("graph", "g", dataset, "--overwrite", "--runner", "Drunner")
    assert cli.done(dataset) == list(COUNTS)


def test_test_run_on_too_small_a_grid(cli: Cli, tmp_path: Path) -> None:
    path = write(OracleDataset(Grid((2, 2, 2))), tmp_path / "dataset")
    expected = f"{path}: --test takes eight chunks at the centre; this grid has no more"
    assert refused(cli, path, "--test") == expected


def test_test_run_at_the_end_of_an_odd_grid(cli: Cli, tmp_path: Path) -> None:
    """The centre parent of 3 x 3 x 3 chunks has one child, and is complete with it."""
    grid = Grid((3, 3, 3))
    one, two = (grid.node_id(1, (2, 2, 2), segment) for segment in (1, 2))
    chunk = Chunk(in_chunk=((one, two),), components=((one, two),))
    path = write(OracleDataset(grid, {(2, 2, 2): chunk}), tmp_path / "dataset")
    outcome = cli("graph", "g", path, "--test")
    assert outcome.status == 0, outcome
    assert cli.done(path) == [1, 1, 0]
    assert cli("status", "g", path, "--watch").out.count("\n") == 3  # there is nothing to wait for


def test_status_of_no_graph(cli: Cli, dataset: Path) -> None:
    line = cli.refused("status", "g", dataset, status=1)
    expected = f"{dataset.parent}/graph.sqlite: no graph is there; `beam-ingest graph` builds one"
    assert line == expected
    assert not (dataset.parent / "graph.sqlite").exists()


def test_status_of_another_graph(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    line = cli.refused("status", "other", dataset, status=1)
    assert line == f"{dataset.parent}/graph.sqlite: it holds graph g, not other"


def test_status_of_a_dataset_file_that_changed(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    change(dataset, "graph_config.LAYER_ID_BITS", 12)
    assert cli.done(dataset) == list(COUNTS)


def test_status_of_a_table_without_a_manifest(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    store = dataset.parent / "graph.sqlite"
    for statement, message in (
        (
            "UPDATE cells SET value = CAST('{}' AS BLOB) WHERE row_key = CAST('beam_ingest' AS BLOB) "
            "AND qualifier = CAST('manifest' AS BLOB)",
            "another version",
        ),
        ("DELETE FROM cells WHERE row_key = CAST('beam_ingest' AS BLOB)", "it has no manifest"),
    ):
        with sqlite3.connect(store) as connection:
            assert connection.execute(statement).rowcount > 0
        connection.close()
        for arguments in (["status", "g", dataset], ["graph", "g", dataset, "--resume"]):
            line = cli.refused(*arguments, status=1)
            assert line.startswith(f"{store}: ")
            assert message in line


def test_all_of_it_again_from_another_folder(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths in messages are those the user gave."""
    monkeypatch.chdir(dataset.parent.parent)
    change(dataset, "graph_config.FANOUT", 4)
    line = cli.refused("graph", "g", os.path.relpath(dataset))
    assert line.startswith("dataset/dataset.yml: graph_config.FANOUT: expected 2, ")
