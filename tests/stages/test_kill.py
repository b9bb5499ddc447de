"""Processes killed in the midst of a run, and jobs that meet: what is left is resumed to the same bytes."""

from __future__ import annotations

import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Cli, graph_cells, store_of
from tests.examples import slow
from tests.graphs import timestamps
from tests.oracle.cells import Cells
from tests.stages.test_resume import PROGRAM, Gate, processes_of, until

OFTEN = (
    "import sys; from beam_ingest.stages import sink; sink.FLUSH_BYTES = 8_000;"
    "from beam_ingest.cli import main; sys.exit(main())"
)
"""The program, but writing in many small transactions, so that there are many points to be killed at."""


def start(*arguments: str | Path, often: bool = False) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", OFTEN] if often else PROGRAM
    return subprocess.Popen(
        [*program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def stored(path: Path) -> int:
    """Cells in a store, which may not be there yet."""
    try:
        with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM cells").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("seed", [0, *map(slow, range(1, 4))])
def test_killed_at_random_points_and_resumed(cli: Cli, sample: Path, sample_cells: Cells, seed: int) -> None:
    """Killed when so many cells are there, resumed, killed again, resumed."""
    store = store_of(sample)
    points = sorted(random.Random(seed).sample(range(1, len(sample_cells)), 2))
    raw = ["--raw"] if seed % 3 == 0 else []
    killed = 0
    for number, point in enumerate(points):
        process = start("graph", "g", sample, *raw, *(["--resume"] if number else []), often=True)
        until(lambda p=process, n=point: p.poll() is not None or stored(store) >= n)  # type: ignore[misc]
        killed += process.poll() is None
        kill(process)
    assert killed, "the run was over before it could be killed"
    outcome = cli("graph", "g", sample, *raw, "--resume")
    assert outcome.status == 0, outcome
    cells = graph_cells(sample)
    if raw:  # absent files are counted otherwise
        cells, sample_cells = (
            {k: v for k, v in c.items() if k[2] != b"counts"} for c in (cells, sample_cells)
        )
    assert cells == sample_cells
    assert (
        cli("graph", "g", sample, *raw, "--resume").out == "Graph g is already complete: nothing to resume\n"
    )


def test_killed_before_there_is_a_manifest(cli: Cli, sample: Path, sample_cells: Cells) -> None:
    """The table is made, its first rows are not: nothing can be resumed, and it is said what to do."""
    assert cli("graph", "g", sample).status == 0
    with sqlite3.connect(store_of(sample)) as connection:
        connection.execute("DELETE FROM cells")
    for option in ("--resume", "--overwrite"):  # it is not known to be a graph of ours
        refused = cli.refused("graph", "g", sample, option, status=1)
        assert f"remove it with `{shlex.join(['rm', str(store_of(sample))])}" in refused
    store_of(sample).unlink()
    assert cli("graph", "g", sample).status == 0
    assert graph_cells(sample) == sample_cells


@pytest.mark.slow
def test_a_worker_process_is_killed(
    cli: Cli, sample: Path, sample_cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    gates = [Gate(sample.parent / "edges" / f"edges_{name}.proto.zst") for name in ("0_0_0", "2_0_0")]
    process = start("graph", "g", sample, "--direct_num_workers=2")
    try:
        until(lambda: all(gate.reached() for gate in gates))
        listed = subprocess.run(["ps", "-axo", "pid=,pgid=,args="], capture_output=True, text=True).stdout
        rows = [line.split(None, 2) for line in listed.splitlines()]
        workers = [
            int(r[0]) for r in rows if r[1] == str(process.pid) and "-m beam_ingest.runners.worker" in r[2]
        ]
        os.kill(max(workers), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        until(lambda: not processes_of(process.pid))
    finally:
        kill(process)
        for gate in gates:
            gate.remove()
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert "a worker process died" in err.splitlines()[-1]
    message, log = err.splitlines()[-1].removesuffix(")").split(" (log: ")
    assert message.endswith("--resume finishes graph g")
    assert [Path(log)] == list(tmp_path.glob("beam-ingest-*"))
    assert "beam" in Path(log).read_text()
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), slow(("--overwrite",))], ids=["begun", "begun from scratch"])
def test_two_jobs_begin_one_graph_at_once(
    cli: Cli, sample: Path, sample_cells: Cells, options: tuple[str, ...]
) -> None:
    """One of them builds it; the other is refused, stops, or builds the same."""
    if options:
        assert cli("graph", "g", sample).status == 0
    processes = [start("graph", "g", sample, *options, often=True) for _ in range(2)]
    ended = [(p.communicate(timeout=120), p.returncode) for p in processes]
    assert sorted(status for _, status in ended)[0] == 0, ended
    for (_, err), status in ended:
        assert "Traceback" not in err
        assert status in (0, 1)
    assert graph_cells(sample) == sample_cells
    assert len(timestamps(store_of(sample))) == 1


@pytest.mark.slow
def test_two_jobs_resume_one_graph_at_once(cli: Cli, sample: Path, sample_cells: Cells) -> None:
    process = start("graph", "g", sample, often=True)
    until(lambda: process.poll() is not None or stored(store_of(sample)) > len(sample_cells) // 3)
    kill(process)
    processes = [start("graph", "g", sample, "--resume", often=True) for _ in range(2)]
    ended = [(p.communicate(timeout=120), p.returncode) for p in processes]
    assert [status for _, status in ended] == [0, 0], ended
    assert graph_cells(sample) == sample_cells
