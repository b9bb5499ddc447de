"""Runs that a signal ends: they say so, and leave no process and no temporary file behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Cli, graph_cells
from tests.examples import slow
from tests.oracle.cells import Cells
from tests.stages.test_resume import PROGRAM, Gate, processes_of, until


def interrupted(
    words: list[str | Path], gate: Path, number: int, temporary: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command until it reads a certain file, send its process group a signal, and wait for its end."""
    temporary.mkdir()
    barred = Gate(gate)
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        until(barred.reached)
        assert list(temporary.iterdir()), "temporary files go elsewhere"
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
        until(lambda: not processes_of(process.pid), 30)
    finally:
        process.kill()
        process.wait()
        barred.remove()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize(
    ("number", "workers"), [slow(signal.SIGTERM, 2), (signal.SIGHUP, 1), slow(signal.SIGINT, 2)]
)
def test_a_graph(
    cli: Cli, sample: Path, sample_cells: Cells, tmp_path: Path, number: int, workers: int
) -> None:
    gate = sample.parent / "edges" / "edges_0_0_0.proto.zst"
    words = ["graph", "g", sample, f"--direct_num_workers={workers}"]
    ended = interrupted(words, gate, number, tmp_path / "tmp")
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "beam-ingest: interrupted; --resume finishes graph g\n"
    assert not list((tmp_path / "tmp").iterdir())
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


@pytest.mark.slow
@pytest.mark.parametrize("number", [slow(signal.SIGINT), signal.SIGTERM])
@pytest.mark.parametrize("verb", [slow("check"), "verify"])
def test_check_and_verify(cli: Cli, dataset: Path, tmp_path: Path, verb: str, number: int) -> None:
    if verb == "verify":
        assert cli("graph", "g", dataset).status == 0
    words = ["check", dataset, "--all"] if verb == "check" else ["verify", "g", dataset]
    gate = dataset.parent / "edges" / "edges_3_1_1.proto.zst"
    ended = interrupted(words, gate, number, tmp_path / "tmp")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "beam-ingest: interrupted\n")
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.slow
def test_nohup_is_heeded(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    """A signal that is ignored already goes on being ignored."""
    (tmp_path / "tmp").mkdir()
    gate = Gate(dataset.parent / "edges" / "edges_0_0_0.proto.zst")
    process = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *PROGRAM, "graph", "g", str(dataset)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        until(gate.reached)
        os.killpg(process.pid, signal.SIGHUP)
        gate.open()
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        gate.remove()
    assert process.returncode == 0
