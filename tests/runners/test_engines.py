"""Engines that the program starts itself: those that cannot start, and runs longer than any timeout."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import Cli, graph_cells, store_of
from tests.graphs import prism
from tests.oracle.cells import Cells
from tests.stages.test_kill import kill, start
from tests.stages.test_resume import Gate, processes_of, until

NO_ENGINE = [
    (["--runner=PrismRunner", "--prism_location={folder}/absent"], "Unable to parse binary URL"),
    (["--runner=prism", "--prism_location={folder}/broken"], "(no such engine)"),
    (["--runner=FlinkRunner", "--flink_job_server_jar={folder}/absent.jar"], "Unable to parse jar URL"),
    (
        [
            "--runner=FlinkRunner",
            "--flink_job_server_jar={folder}/broken",
            "--job_server_java_launcher={folder}/no-java",
        ],
        "No such file or directory",
    ),
    (["--runner=SparkRunner", "--spark_job_server_jar={folder}/absent.jar"], "Unable to parse jar URL"),
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # gRPC's, once closed
@pytest.mark.parametrize(("options", "cause"), NO_ENGINE)
def test_an_engine_that_cannot_start(cli: Cli, dataset: Path, options: list[str], cause: str) -> None:
    """One line, status 2, and no table."""
    broken = dataset.parent / "broken"
    broken.write_text("#!/bin/sh\necho no such engine\nexit 1\n")
    broken.chmod(0o755)
    given = [option.format(folder=dataset.parent) for option in options]
    runner = given[0].partition("=")[2]
    line = cli.refused("graph", "g", dataset, *given)
    assert line.startswith(f"--runner {runner}: its engine cannot be started: ")
    assert cause in line
    assert not store_of(dataset).exists()


@pytest.mark.parametrize("verb", ["check", "verify"])
def test_check_and_verify_say_it_as_well(cli: Cli, dataset: Path, tmp_path: Path, verb: str) -> None:
    assert cli("graph", "g", dataset).status == 0
    options = ["--runner=PrismRunner", f"--prism_location={tmp_path / 'absent'}"]
    words = [dataset] if verb == "check" else ["g", dataset]
    line = cli.refused(verb, *words, *options, f"--temp_location={tmp_path}")
    assert line.startswith("--runner PrismRunner: its engine cannot be started: ")


@pytest.mark.slow
@pytest.mark.external
def test_a_run_outlasts_the_timeout_of_its_job_server(
    cli: Cli, dataset: Path, small_cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam bounds by it the stream of a job's states, and with its default any run by five minutes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seconds = 3
    gate = Gate(dataset.parent / "edges" / "edges_0_0_0.proto.zst")
    options = ["--runner=PrismRunner", f"--prism_location={prism()}", f"--job_server_timeout={seconds}"]
    process = start("graph", "g", dataset, *options)
    try:
        until(gate.reached)
        since = time.monotonic()
        until(lambda: process.poll() is not None or time.monotonic() > since + seconds + 1)
        gate.open()
        _, err = process.communicate(timeout=120)
        until(lambda: not processes_of(process.pid), 30)  # Prism is among them
    finally:
        kill(process)
        gate.remove()
    assert (process.returncode, err) == (0, "".join(f"layer {n} is built\n" for n in (2, 3, 4)))
    assert graph_cells(dataset) == small_cells
    assert not list(tmp_path.glob("beam-temp*"))
