"""What a terminal shows: progress of each layer, and verdicts in colour."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.stages.test_resume import PROGRAM

GREEN = "\x1b[32m"


def on_terminal(*words: str | Path, **environment: str) -> tuple[int, str]:
    """Exit status of a command on a terminal of its own, and everything that it shows."""
    ours, theirs = pty.openpty()
    given = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=theirs,
        stderr=theirs,
        env={**given, "TERM": "xterm", "COLUMNS": "100", **environment},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the command has ended
            break
        if not data:
            break
        shown += data
    os.close(ours)
    return process.wait(), shown.decode()


@pytest.mark.slow
def test_check_and_verify_show_layers_and_a_verdict_in_colour(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    status, shown = on_terminal("check", dataset, "--all")
    assert status == 0
    assert "layer 2" in shown
    assert "16/16" in shown
    assert f"{GREEN}No problems found in {dataset} (" in shown
    status, shown = on_terminal("verify", "g", dataset, NO_COLOR="1")
    assert status == 0
    assert "16/16" in shown
    assert "Graph g matches its inputs (" in shown
    assert f"{GREEN}Graph" not in shown


@pytest.mark.slow
def test_bars_show_how_far_a_failed_run_came(dataset: Path) -> None:
    (dataset.parent / "edges" / "edges_0_0_0.proto.zst").write_bytes(b"broken")
    status, shown = on_terminal("graph", "g", dataset)
    assert status == 1
    assert "15/16" in shown
