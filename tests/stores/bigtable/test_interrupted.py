"""A Bigtable server that goes away in the midst of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from testing.emulator import Emulator, read_table
from tests.conftest import Cli
from tests.oracle.cells import Cells
from tests.stages.test_kill import kill, start
from tests.stages.test_resume import Gate, until

PROJECT, INSTANCE = "project", "instance"
STORE = f"--store=bigtable:{PROJECT}/{INSTANCE}"


def begin(
    sample: Path, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> tuple[subprocess.Popen[str], Gate]:
    """A run that has written something and waits at a file."""
    gate = Gate(sample.parent / "edges" / "edges_2_0_0.proto.zst")
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    process = start("graph", "g", sample, STORE, often=True)
    until(gate.reached)
    return process, gate


def cells(emulator: Emulator) -> Cells:
    found = read_table(emulator.address, PROJECT, INSTANCE, "g")
    own = (b"milliseconds", b"manifest", b"usage")
    return {k: value for k, (value, _) in found.items() if k[2] not in own and k[0] != b"meta"}


@pytest.mark.slow
def test_a_server_that_stands_still_for_a_while(
    cli: Cli, sample: Path, sample_cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator() as emulator:
        process, gate = begin(sample, monkeypatch, emulator)
        server = emulator.pid
        try:
            os.kill(server, signal.SIGSTOP)
            gate.open()
            since = time.monotonic()
            until(lambda: time.monotonic() > since + 2)
            assert process.poll() is None
            os.kill(server, signal.SIGCONT)
            out, err = process.communicate(timeout=120)
        finally:
            os.kill(server, signal.SIGCONT)
            kill(process)
            gate.remove()
        assert process.returncode == 0, err
        assert "built graph g" in out
        assert cells(emulator) == sample_cells


@pytest.mark.slow
def test_a_server_that_comes_back_without_the_table(
    cli: Cli, sample: Path, sample_cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator forgets its tables: the run fails, says so, and calls nothing done."""
    with Emulator() as emulator:
        process, gate = begin(sample, monkeypatch, emulator)
        try:
            emulator.stop()
            emulator.start()
            gate.open()
            out, err = process.communicate(timeout=120)
        finally:
            kill(process)
            gate.remove()
        assert (process.returncode, out) == (1, "")
        assert "Traceback" not in err
        assert f"bigtable:{PROJECT}/{INSTANCE}/g" in err.splitlines()[-1]
        message = cli.refused("graph", "g", sample, STORE, "--resume")
        assert message.endswith("there is no graph to resume; leave --resume out")
        assert cli("graph", "g", sample, STORE).status == 0
        assert cells(emulator) == sample_cells
