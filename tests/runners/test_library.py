"""Runs in a process that is somebody else's, such as a notebook: what is theirs stays theirs."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import Cli, graph_cells, store_of
from tests.examples import slow
from tests.graphs import prism
from tests.oracle.cells import Cells
from tests.stages.test_kill import kill, stored
from tests.stages.test_resume import Gate, until

PREPARE = """
import sys
from beam_ingest import Dataset, make_job, run_job, start_job, store_url
from beam_ingest.stages import sink
sink.FLUSH_BYTES, sink.FLUSH_SECONDS = 1, 0
dataset = Dataset.from_file(sys.argv[1])
job = start_job(make_job("g", dataset, store_url(dataset, "g")))
options = {"direct_num_workers": int(sys.argv[2])}
"""
NOTEBOOK = (
    PREPARE
    + """
try:
    run_job(job, options)
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
import os
os._exit(0)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, slow(2)])
def test_ctrl_c_in_a_notebook_stops_the_run(
    cli: Cli, sample: Path, sample_cells: Cells, workers: int
) -> None:
    """The process lives on, and what the run waits for comes: it goes no further all the same."""
    gates = [Gate(sample.parent / "edges" / f"edges_{name}.proto.zst") for name in ("0_0_0", "2_0_0")]
    process = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, str(sample), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: sum(gate.reached() for gate in gates) == workers)
        begun = stored(store_of(sample))
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        for gate in gates:
            if workers == 1 and gate.reached():
                gate.open()
        gone = Gone(store_of(sample))
        until(gone.still)
        assert stored(store_of(sample)) == begun
        process.communicate("\n", timeout=30)
    finally:
        kill(process)
        for gate in gates:
            gate.remove()
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


class Gone:
    """Whether nothing was written to a store in a hundred looks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looks: list[int] = []

    def still(self) -> bool:
        self._looks.append(stored(self._path))
        return len(self._looks) >= 100 and len(set(self._looks[-100:])) == 1


@pytest.mark.external
@pytest.mark.parametrize("runner", ["local", "prism"])
def test_logging_and_stderr_are_left_alone(
    dataset: Path, tmp_path: Path, runner: str, caplog: pytest.LogCaptureFixture
) -> None:
    from beam_ingest import Dataset, make_job, run_job, start_job, store_url
    from beam_ingest.runners.options import check_options

    options = {} if runner == "local" else {"runner": "PrismRunner", "prism_location": prism()}
    opened = Dataset.from_file(dataset)
    job = start_job(make_job("g", opened, store_url(opened, "g")))
    before = sys.stderr, threading.excepthook, logging.root.manager.disable, list(logging.root.handlers)
    level = logging.getLogger("apache_beam").level
    seen = []

    def tick() -> None:
        seen.append((sys.stderr, logging.root.manager.disable, list(logging.root.handlers)))
        logging.getLogger("mine").error("still heard")

    check_options(options)
    run_job(job, options, tick, 0.01)
    assert {id(stderr) for stderr, _, _ in seen} == {id(before[0])}
    assert all(look[1:] == before[2:] for look in seen)
    assert (sys.stderr, threading.excepthook, logging.root.manager.disable) == before[:3]
    assert logging.getLogger("apache_beam").level == level
    assert "still heard" in caplog.messages
