"""Flink by the commands of docs/runners.md."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from testing.flink import JARS, JOB_SERVER, Java, answers_grpc, free_port, require_flink
from tests.runners.flink.page import commands, with_options
from tests.stages.test_resume import processes_of, until

NETWORK = "256m"
"""Network memory of the TaskManager, as the page says for two slots."""


@dataclass(frozen=True)
class Flink:
    """A job server, and what it has logged."""

    endpoint: str
    java: Java

    @property
    def options(self) -> list[str]:
        """Options of Apache Beam, as the page has them for work in the submitting process."""
        (words,) = commands("beam-ingest", "LOOPBACK")
        chosen = [
            w for w in words if w.startswith("--") and not w.startswith(("--overwrite", "--parallelism"))
        ]
        return with_options(chosen, job_endpoint=self.endpoint)


def job_server(folder: Path, master: str, address: str) -> Flink:
    """The job server that the page starts for `master`, which is really at `address`; not yet started."""
    (words,) = commands("java", f"--flink-master={master}")
    assert words[:4] == ["java", "-cp", ".venv/flink/*", JOB_SERVER]
    port = free_port()
    arguments = with_options(words[3:], job_port=port)
    arguments = [a.replace(f"={master}", f"={address}") for a in arguments]
    return Flink(f"localhost:{port}", Java(arguments, folder, lambda: answers_grpc(port)))


@pytest.fixture(scope="session")
def _local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    require_flink()
    flink = job_server(tmp_path_factory.mktemp("flink"), "[local]", "[local]")
    with flink.java:
        yield flink


@pytest.fixture
def flink(_local: Flink) -> Iterator[Flink]:
    """Flink inside a job server; what it logs is shown when a test fails."""
    before = len(_local.java.log)
    yield _local
    print(_local.java.log[before:])


def _task_manager_registered(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"{url}/overview", timeout=5) as answer:
        return bool(yaml.safe_load(answer)["slots-available"])
    return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Flink]:
    """A JobManager and a TaskManager with two slots, without Beam, and a job server for them."""
    require_flink()
    rpc, rest = free_port(), free_port()
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.memory.process.size": "1g",
        "rest.address": "localhost",
        "rest.port": rest,
        "io.tmp.dirs": str(tmp_path),
        "taskmanager.host": "localhost",
        "taskmanager.numberOfTaskSlots": 2,
        "taskmanager.memory.network.min": NETWORK,
        "taskmanager.memory.network.max": NETWORK,
        # Otherwise these come from Flink's start script.
        "taskmanager.cpu.cores": 2.0,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "taskmanager.memory.task.heap.size": "256m",
        "taskmanager.memory.task.off-heap.size": "0m",
        "taskmanager.memory.managed.size": "128m",
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    classpath = ":".join(str(jar) for jar in sorted(JARS.iterdir()) if not jar.name.startswith("beam-"))
    runtime = "org.apache.flink.runtime"
    master = Java(
        [f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", str(tmp_path)],
        tmp_path,
        lambda: True,  # the TaskManager waits for it
        classpath,
    )
    worker = Java(
        [f"{runtime}.taskexecutor.TaskManagerRunner", "--configDir", str(tmp_path)],
        tmp_path,
        lambda: _task_manager_registered(f"http://localhost:{rest}"),
        classpath,
    )
    flink = job_server(tmp_path, "localhost:8081", f"localhost:{rest}")
    with ExitStack() as stack:
        for java in (master, flink.java, worker):  # the last one is waited for, and they start together
            stack.callback(lambda java=java: print(java.log))
            stack.enter_context(java)
        assert answers_grpc(int(flink.endpoint.partition(":")[2]))
        yield flink


@pytest.fixture
def worker_pool() -> Iterator[str]:
    """Address of a worker pool, as the page starts it."""
    (words,) = commands("python", "worker_pool_main")
    port = free_port()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, *with_options(words[1:], service_port=port)],
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert answers_grpc(port, seconds=60)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()
    until(lambda: not processes_of(process.pid), 30)  # its workers
