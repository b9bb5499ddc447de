"""The same graph on Apache Flink, the real engine, as on this machine alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as api_grpc

from beam_ingest.stages.sink import FLUSH_SECONDS
from testing.flink import free_port
from tests.conftest import COUNTS, Cli, graph_cells, store_of
from tests.data import unpack
from tests.examples import slow
from tests.graphs import comparable, ingest, pinky256
from tests.oracle.cells import Cells
from tests.runners.flink.conftest import Flink
from tests.runners.flink.page import commands, with_options
from tests.stages.test_resume import PROGRAM, Gate, processes_of, until

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def pinky_cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    store = tmp_path_factory.mktemp("local") / "graph.sqlite"
    assert ingest(pinky256() / "dataset.yml", store) == 0
    return comparable(store)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("parallelism", "raw"), [(2, []), (1, ["--raw", "--overwrite"])], ids=["proto", "raw"]
)
def test_the_real_sample(
    flink: Flink, pinky_cells: Cells, tmp_path: Path, capfd: Capture, parallelism: int, raw: list[str]
) -> None:
    dataset = shutil.copytree(pinky256(), tmp_path / "pinky256") / "dataset.yml"  # --raw writes into it
    store, log = tmp_path / "graph.sqlite", len(flink.java.log)
    assert ingest(dataset, store, *flink.options, f"--parallelism={parallelism}", *raw) == 0
    meta = (b"meta", "0", b"meta")  # names the folders
    assert {**comparable(store), meta: b""} == {**pinky_cells, meta: b""}
    assert f"({parallelism}/{parallelism})" in flink.java.log[log:], "Flink ran no task of that parallelism"
    assert f"/{parallelism + 1})" not in flink.java.log[log:]
    assert not list(tmp_path.glob("graph.sqlite-*")), "a worker still has the graph open"
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"layer {layer} is built" for layer in (2, 3, 4)]


@pytest.mark.parametrize(
    ("parallelism", "raw"), [(1, []), slow(2, ["--raw", "--overwrite"])], ids=["proto", "raw"]
)
def test_a_sample(
    flink: Flink, cli: Cli, sample: Path, sample_cells: Cells, parallelism: int, raw: list[str]
) -> None:
    outcome = cli("graph", "g", sample, *flink.options, f"--parallelism={parallelism}", *raw)
    assert (outcome.status, outcome.errors) == (0, [])
    # The counts tell how many files were absent, and of raw input those are others.
    ignored = {b"counts"} if raw else set()
    found, expected = graph_cells(sample), sample_cells
    assert {k: v for k, v in found.items() if k[2] not in ignored} == {
        k: v for k, v in expected.items() if k[2] not in ignored
    }


@pytest.mark.slow
def test_a_bad_file(flink: Flink, cli: Cli, dataset: Path) -> None:
    """What is said is to the letter what a run on this machine says."""
    bad = dataset.parent / "edges" / "edges_1_1_0.proto.zst"
    bad.write_bytes(bad.read_bytes()[:20])
    here = cli("graph", "g", dataset)
    there = cli("graph", "g", dataset, "--overwrite", *flink.options)
    assert there.status == here.status == 1
    assert there.errors == here.errors
    assert len(there.errors) == 2
    assert str(bad) in there.errors[0]


@pytest.mark.slow
def test_a_failure_of_the_engine_is_one_line(flink: Flink, cli: Cli, dataset: Path) -> None:
    outcome = cli("graph", "g", dataset, *flink.options, "--parallelism=64")
    assert outcome.status == 1
    (line,) = outcome.errors
    assert line.startswith("beam-ingest: Pipeline ")
    assert "Insufficient number of network buffers" in line
    assert "; when that is fixed, --resume finishes graph g (log: " in line


def states(flink: Flink) -> set[str]:
    """States of all jobs that the job server knows of."""
    with grpc.insecure_channel(flink.endpoint) as channel:
        jobs = api_grpc.JobServiceStub(channel).GetJobs(api.GetJobsRequest(), timeout=30).job_info
    return {api.JobState.Enum.Name(job.state) for job in jobs}


@pytest.mark.slow
def test_ctrl_c(flink: Flink, cli: Cli, sample: Path, sample_cells: Cells) -> None:
    """Ctrl-C while the first chunks are done and the others wait for a file."""
    gates = [Gate(sample.parent / "edges" / f"edges_{name}.proto.zst") for name in ("0_0_0", "2_0_0")]
    process = subprocess.Popen(
        [*PROGRAM, "graph", "g", str(sample), *flink.options, "--parallelism=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: any(gate.reached() for gate in gates))
        since = time.monotonic()
        until(lambda: time.monotonic() > since + FLUSH_SECONDS)
        next(gate for gate in gates if gate.reached()).open()
        until(lambda: cli.done(sample)[0] > 0)  # which `status` sees while the job runs
        assert "RUNNING" in states(flink)
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
    assert err == "beam-ingest: interrupted; --resume finishes graph g\n"
    until(lambda: "RUNNING" not in states(flink), 30)

    done = cli.done(sample)
    assert 0 < done[0] < COUNTS[0]
    assert cli("graph", "g", sample, "--resume").status == 0
    assert graph_cells(sample) == sample_cells


@pytest.mark.slow
def test_workers_on_a_cluster(cluster: Flink, worker_pool: str, tmp_path: Path, capfd: Capture) -> None:
    """The page's command for a cluster with worker pools; in part, since every stage starts processes."""
    (words,) = commands("beam-ingest", "EXTERNAL")
    words = with_options(words, job_endpoint=cluster.endpoint, environment_config=worker_pool)
    options = [word for word in words[4:] if word != "--overwrite"]
    dataset, here, there = unpack(tmp_path), tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    assert ingest(dataset, here, "--test") == 0
    assert ingest(dataset, there, "--test", *options) == 0
    assert comparable(there) == comparable(here)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--runner PortableRunner: expected --job_endpoint=HOST:PORT, where a job server answers"),
        (
            ["--job_endpoint=localhost:{port}", "--job_server_timeout=1"],
            "--job_endpoint localhost:{port}: no job server answered within 1 s; "
            "start one, or correct host and port",
        ),
    ],
)
def test_no_job_server(cli: Cli, dataset: Path, options: list[str], message: str) -> None:
    port = free_port()
    given = [option.format(port=port) for option in options]
    assert cli.refused("graph", "g", dataset, "--runner=PortableRunner", *given) == message.format(port=port)
    assert not store_of(dataset).exists()
