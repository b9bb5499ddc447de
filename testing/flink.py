"""Apache Flink and Beam's job server for it: finding them and running them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import grpc
import pytest

JARS = Path(sys.prefix) / "flink"
"""Where `make flink` puts the jars."""
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_START_SECONDS = 120.0
_JVM = [
    #     "-XX:TieredStopAtLevel=1",  # these run for seconds, and share two cores
    "-XX:+UseSerialGC",
    "-Xmx1g",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.flink.runtime.taskmanager.Task=info",
]


def require_flink() -> None:
    """Skips the test, saying what is missing and how to get it, when Flink cannot run here."""
    needed = {"java": shutil.which("java"), str(JARS): JARS.is_dir()}
    missing = [what for what, there in needed.items() if not there]
    if missing:
        reason = (
            f"Apache Flink is not here: no {' and no '.join(missing)}. "
            "Install Java 17 and Maven from your package manager and run `make flink`"
        )
        warnings.warn(pytest.PytestWarning(reason), stacklevel=2)  # a skip alone is easily overlooked
        pytest.skip(reason)


def free_port() -> int:
    """A port without a listener."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return int(taken.getsockname()[1])


def answers_grpc(port: int, seconds: float = 0.5) -> bool:
    """Whether a gRPC server answers at a port, or does within some seconds."""
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            return False
    return True


class Java:
    """A running Java program of the jars, killed at the end.

    Args:
      arguments: the class and its arguments.
      folder: its working directory, and where its log goes.
      ready: whether it does what it is for.
      classpath: where its classes are.
    """

    def __init__(
        self, arguments: list[str], folder: Path, ready: Callable[[], bool], classpath: str = f"{JARS}/*"
    ) -> None:
        self._command = ["java", *_JVM, "-cp", classpath, *arguments]
        self._folder = folder
        self._ready = ready
        self._log = folder / f"{arguments[0].rpartition('.')[2]}.log"
        self._process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def __enter__(self) -> Java:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + _START_SECONDS
        try:
            while not self._ready():
                assert self._process.poll() is None, f"it ended at once:\n{self.log}"
                assert time.monotonic() < end, f"it does not answer:\n{self.log}"
                time.sleep(0.05)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
