"""Output without a reader, or that cannot be written: it ends neither a build nor a verdict."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import COUNTS, Cli, graph_cells, store_of
from tests.examples import slow
from tests.oracle.cells import Cells
from tests.stages.test_resume import PROGRAM

CLOSED = {
    "head of stdout": "| head -1",
    "stdout": "| true",
    "stderr": "2>&1 >/dev/null | true",
    "both": "2>&1 | head -1",
    "never open": ">&- 2>&- | true",
}
"""What follows a command in a shell."""


def shell(line: str, then: str) -> tuple[int, str]:
    """Exit status of a command whose output goes to others, and what these say."""
    script = f"{line} {then}; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "BrokenPipe" not in ran.stdout + ran.stderr
    return ran.returncode, ran.stdout


def command(*words: str | Path) -> str:
    return shlex.join([*PROGRAM, *map(str, words)])


@pytest.mark.parametrize("closed", ["head of stdout", slow("both"), slow("never open")])
def test_a_graph_is_built_to_its_end(cli: Cli, dataset: Path, small_cells: Cells, closed: str) -> None:
    status, said = shell(command("graph", "g", dataset), CLOSED[closed])
    assert status == 0
    assert ("layer 2 is built" in said) == (closed == "both")
    assert cli.done(dataset) == list(COUNTS)
    assert graph_cells(dataset) == small_cells


@pytest.mark.slow
def test_the_verdict_is_told_all_the_same(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    with closing(sqlite3.connect(store_of(dataset))) as graph:
        graph.execute("DELETE FROM cells WHERE qualifier = CAST('parents' AS BLOB)")
        graph.commit()
    assert shell(command("verify", "g", dataset), CLOSED["stdout"])[0] == 1
    bad = dataset.parent / "edges" / "edges_1_1_0.proto.zst"
    bad.write_bytes(bad.read_bytes()[:20])
    assert shell(command("check", dataset, "--all"), CLOSED["head of stdout"])[0] == 1
    assert shell(command("graph", "g", dataset, "--overwrite"), CLOSED["both"])[0] == 1
    assert shell(command("graph", "g", dataset, "--no-such-option"), CLOSED["stderr"])[0] == 2


def test_watching_ends_when_no_reader_is_left(cli: Cli, dataset: Path) -> None:
    """Of a graph that will never be complete."""
    (dataset.parent / "edges" / "edges_0_0_0.proto.zst").write_bytes(b"broken")
    assert cli("graph", "g", dataset).status == 1
    status, said = shell(command("status", "g", dataset, "--watch"), "| head -1")
    assert (status, said) == (1, "2       : 15 / 16\n")  # a chunk has failed


def test_a_full_disk_is_told(cli: Cli, dataset: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"{command('graph', 'g', dataset)} > /dev/full"], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "beam-ingest: standard output cannot be written: No space left on device"
    )
    assert cli.done(dataset) == list(COUNTS)
