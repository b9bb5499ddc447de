"""Runs that end before their time, and how they are finished: two jobs, Ctrl-C, resume."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from beam_ingest.cli import main
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.format import table
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.runners.run import run_job
from beam_ingest.stages.sink import FLUSH_SECONDS
from beam_ingest.stages.start import check_resumable
from tests.conftest import COUNTS, GRID, Cli, graph_cells, small_dataset, store_of, supervoxel
from tests.examples import slow
from tests.graphs import comparable, read_cells, timestamps
from tests.oracle.cells import Cells
from tests.oracle.datasets import OracleDataset, write

PROGRAM = [sys.executable, "-m", "beam_ingest"]
GATES = str(Path(__file__).parents[1] / "gates")


# Two jobs


def test_a_job_whose_graph_is_begun_from_scratch_stops(sample: Path, tmp_path: Path) -> None:
    """The second owns the table from then on; the first writes nothing more to it."""
    store = tmp_path / "graph.sqlite"
    job = make_job("g", Dataset.from_file(sample), f"sqlite:{store}", graph_version=2)
    first = start_job(job)
    second = start_job(job, overwrite=True)
    with pytest.raises(StoreError, match="another job has begun this graph from scratch"):
        run_job(first, {})
    assert timestamps(store) == {second.timestamp}
    run_job(second, {})
    assert timestamps(store) == {second.timestamp}


# Ctrl-C


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Gate:
    """Makes programs that are started from now on wait when they open a certain input file."""

    def __init__(self, path: Path) -> None:
        folder = path.parent.parent / "gates"
        folder.mkdir(exist_ok=True)
        self._shut, self._reached = (folder / f"{path.name}.{word}" for word in ("shut", "reached"))
        self._shut.touch()
        os.environ["BEAM_INGEST_GATES"] = str(folder)
        paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([GATES, *paths]))

    def reached(self) -> bool:
        """Whether a program waits here."""
        return self._shut.exists() and self._reached.exists()

    def open(self) -> None:
        """Let it go on."""
        self._shut.unlink(missing_ok=True)

    def remove(self) -> None:
        """Let all programs go, also those that are started from now on."""
        self.open()
        os.environ.pop("BEAM_INGEST_GATES", None)
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path != GATES)


def processes_of(group: int) -> list[str]:
    """The processes of a process group, those that have ended but are not reaped left out."""
    listed = subprocess.run(["ps", "-axo", "pgid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [row[-1] for row in rows if row[0] == str(group) and not row[1].startswith("Z")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, slow(2)])
def test_ctrl_c(cli: Cli, sample: Path, sample_cells: Cells, workers: int) -> None:
    """Ctrl-C while the first chunks are done and the others wait for a file."""
    gates = [Gate(sample.parent / "edges" / f"edges_{name}.proto.zst") for name in ("0_0_0", "2_0_0")]
    process = subprocess.Popen(
        [*PROGRAM, "graph", "g", str(sample), f"--direct_num_workers={workers}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # Each block of eight chunks has a gate. The run writes what it has every FLUSH_SECONDS.
        until(lambda: sum(gate.reached() for gate in gates) == workers)
        since = time.monotonic()
        until(lambda: time.monotonic() > since + FLUSH_SECONDS)
        next(gate for gate in gates if gate.reached()).open()
        until(lambda: cli.done(sample)[0] > 0)
        running = [args for args in processes_of(process.pid) if "beam_ingest.runners.worker" in args]
        assert len(running) == (workers if workers > 1 else 0)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=30)
        until(lambda: not processes_of(process.pid), 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for gate in gates:
            gate.remove()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line]
    assert lines == ["beam-ingest: interrupted; --resume finishes graph g"]

    done = cli.done(sample)
    assert 0 < done[0] < COUNTS[0]
    assert done[1:] == [0, 0]
    mark(store_of(sample))
    outcome = cli("graph", "g", sample, "--resume")
    assert outcome.status == 0, outcome
    assert marked(store_of(sample)) == done[0], "what was done has been written again"
    assert len(timestamps(store_of(sample))) == 1
    assert graph_cells(sample) == sample_cells


NEVER = (1 << 40).to_bytes(8, "little")
"""Milliseconds that nothing takes."""


def mark(store: Path) -> None:
    """Change the time that each done chunk took, to see whether it is written again."""
    with closing(sqlite3.connect(store)) as connection:
        where = "qualifier = CAST('milliseconds' AS BLOB)"
        connection.execute(f"UPDATE cells SET value = ? WHERE {where}", (NEVER,))
        connection.commit()


def marked(store: Path) -> int:
    """How many chunks bear the mark."""
    with closing(sqlite3.connect(store)) as connection:
        found = connection.execute("SELECT count(*) FROM cells WHERE value = ?", (NEVER,)).fetchone()
    return int(found[0])


def test_ctrl_c_while_status_watches(cli: Cli, dataset: Path) -> None:
    (dataset.parent / "edges" / "edges_0_0_0.proto.zst").write_bytes(b"")
    assert cli("graph", "g", dataset).status == 1
    process = subprocess.Popen(
        [*PROGRAM, "status", "g", str(dataset), "--watch", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["failed"] == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "beam-ingest: interrupted\n")


# Resume


@pytest.fixture(scope="module")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = write(small_dataset(), tmp_path_factory.mktemp("begun"))
    dataset.write_text(f"{dataset.read_text()}ingest_config: {{AGGLOMERATION: .}}\n")  # so that --raw can be
    bad = dataset.parent / "edges" / "edges_0_0_0.proto.zst"
    content = bad.read_bytes()
    bad.write_bytes(b"")
    assert main(["graph", "g", str(dataset)]) == 1
    bad.write_bytes(content)
    return dataset.parent


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """The dataset file of a graph that was begun, not finished, since a file was bad, which is fixed now."""
    return shutil.copytree(_begun, tmp_path / "begun") / "dataset.yml"


@pytest.mark.parametrize(
    ("graph", "options", "difference"),
    [
        ("other", [], "graph id g, not other"),
        ("g", ["--graph-version", "2"], "--graph-version 3, not 2"),
        ("g", ["--test"], "--test False, not True"),
        ("g", ["--require-files"], "--require-files False, not True"),
        ("g", ["--raw"], "--raw False, not True"),
    ],
)
def test_resume_with_other_options(
    cli: Cli, begun: Path, graph: str, options: list[str], difference: str
) -> None:
    before = comparable(store_of(begun))
    line = cli.refused("graph", graph, begun, "--resume", *options)
    assert line == (
        f"{store_of(begun)}: it was begun with {difference}; "
        "resume it as it was begun, or build it from scratch with --overwrite"
    )
    assert comparable(store_of(begun)) == before


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (
            "CHUNK_SIZE: [64, 64, 64]",
            "CHUNK_SIZE: [32, 32, 32]",
            "graph_config.CHUNK_SIZE [64, 64, 64], not [32, 32, 32]",
        ),
        ("DATA_VERSION: 4", "DATA_VERSION: 3", "data_source.DATA_VERSION 4, not 3"),
        ("DATA_VERSION: 4", "", "data_source.DATA_VERSION 4, not nothing"),
        ("DATA_VERSION: 4", "DATA_VERSION: 4\n  CV_MIP: 1", "data_source.CV_MIP nothing, not 1"),
    ],
)
def test_resume_with_another_dataset_file(cli: Cli, begun: Path, old: str, new: str, difference: str) -> None:
    before = comparable(store_of(begun))
    text = begun.read_text()
    assert old in text
    begun.write_text(text.replace(old, new))
    line = cli.refused("graph", "g", begun, "--resume")
    assert line == (
        f"{store_of(begun)}: it was begun with {difference} as in {begun}; "
        "resume it as it was begun, or build it from scratch with --overwrite"
    )
    assert comparable(store_of(begun)) == before


def test_resume_with_the_same_dataset_file_written_otherwise(
    cli: Cli, begun: Path, small_cells: Cells
) -> None:
    """In another order, with comments, other white space, and a section of another program."""
    content = yaml.safe_load(begun.read_text())
    turned = {key: dict(reversed(value.items())) for key, value in reversed(content.items())}
    turned["mesh_config"] = {"dir": "mesh"}
    begun.write_text("# the same\n\n" + yaml.safe_dump(turned, sort_keys=False, default_flow_style=True))
    assert cli("graph", "g", begun, "--resume").status == 0
    assert graph_cells(begun) == small_cells


def test_comparing_before_a_resume_changes_nothing(begun: Path) -> None:
    before = read_cells(store_of(begun), own=True)
    job = make_job("g", Dataset.from_file(begun), f"sqlite:{store_of(begun)}")
    store = job.open_store()
    assert check_resumable(job, store).graph_id == "g"
    with pytest.raises(ConfigError, match="begun with --graph-version 3, not 2"):
        check_resumable(replace(job, graph_version=2), store)
    store.close()
    assert read_cells(store_of(begun), own=True) == before


def test_resume_with_a_watershed_of_another_size(cli: Cli, begun: Path) -> None:
    info = begun.parent / "ws" / "info"
    info.write_text(info.read_text().replace("256", "320"))
    line = cli.refused("graph", "g", begun, "--resume")
    assert "it was begun with a grid of chunks (4, 2, 2), not (5, 2, 2); " in line


def test_resume_as_it_was_begun(cli: Cli, begun: Path, small_cells: Cells) -> None:
    (before,) = timestamps(store_of(begun))
    assert cli("graph", "g", begun, "--resume").status == 0
    assert timestamps(store_of(begun)) == {before}
    assert graph_cells(begun) == small_cells


def test_resume_of_nothing(cli: Cli, dataset: Path) -> None:
    line = cli.refused("graph", "g", dataset, "--resume")
    assert line == f"{store_of(dataset)}: there is no graph to resume; leave --resume out"
    assert not store_of(dataset).exists()


def test_resume_of_a_finished_graph_writes_nothing(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    before = (store_of(dataset).read_bytes(), store_of(dataset).stat().st_mtime_ns)
    outcome = cli("graph", "g", dataset, "--resume")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "Graph g is already complete: nothing to resume\n"
    assert (store_of(dataset).read_bytes(), store_of(dataset).stat().st_mtime_ns) == before
    names = {path.name for path in dataset.parent.iterdir()}
    assert not {name for name in names if name.startswith("graph.sqlite-")}


def _unfinish(dataset: Path) -> None:
    """Take back that the root chunk is done."""
    with closing(sqlite3.connect(store_of(dataset))) as connection, connection:
        key = b"beam_ingest/%020d" % GRID.chunk_id(GRID.root_layer, (0, 0, 0))
        assert connection.execute("DELETE FROM cells WHERE row_key = ?", (key,)).rowcount


@pytest.mark.slow
def test_resume_with_a_newer_compressor(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other bytes of the same ids are no other input; other ids are."""
    chain = [supervoxel((0, 0, 0), segment) for segment in range(1, table.RAW_BLOCK_BYTES // 8 + 10)]
    pairs = tuple(pairwise(chain))
    small = small_dataset()
    small.chunks[0, 0, 0] = replace(small.chunks[0, 0, 0], in_chunk=pairs, components=(tuple(chain),))
    around = {c: replace(chunk, between=(), cross=()) for c, chunk in small.chunks.items()}
    path = write(OracleDataset(GRID, around), tmp_path)
    assert cli("graph", "g", path).status == 0
    before = read_cells(store_of(path))
    monkeypatch.setattr(table, "_LEVEL", 19)
    _unfinish(path)
    assert cli("graph", "g", path, "--resume").status == 0
    assert read_cells(store_of(path)) == before
    around[0, 0, 0] = replace(around[0, 0, 0], in_chunk=pairs[1:])
    write(OracleDataset(GRID, around), tmp_path)
    _unfinish(path)
    line = cli.refused("graph", "g", path, "--resume", status=1)
    assert "was begun with other input files than are there now" in line
