"""What is measured: input, graph version, store and runner."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testing.emulator import find_emulator
from testing.flink import JARS, JOB_SERVER, Java, answers_grpc, free_port

_BIN = Path(sys.executable).parent
DEFAULT_RUNNER = "in-process"


@dataclass(frozen=True)
class Case:
    """One way to build a graph.

    Attributes:
      input: ``proto`` or ``raw``.
      version: graph version, 3 or 2.
      store: ``bigtable`` or ``sqlite``.
      runner: key of what `runners` finds.
    """

    input: str
    version: int
    store: str
    runner: str = DEFAULT_RUNNER

    @property
    def name(self) -> str:
        """As the table has it, and as it is asked for."""
        return f"{self.input} {self.version} {self.store} {self.runner}"

    def build(self, dataset: Path, folder: Path, options: list[str]) -> list[str]:
        """The arguments of ``beam-ingest`` that build the graph.

        Args:
          dataset: the dataset file of proto input; that of raw input stands beside it.
          folder: where an SQLite graph goes.
          options: the runner's.
        """
        raw = ["--raw"] if self.input == "raw" else []
        version = ["--graph-version", str(self.version)]
        return ["graph", *self._graph(dataset, folder), *version, *raw, *options]

    def status(self, dataset: Path, folder: Path) -> list[str]:
        """The arguments of ``beam-ingest`` that show how far the graph is."""
        return ["status", *self._graph(dataset, folder)]

    def _graph(self, dataset: Path, folder: Path) -> list[str]:
        file = dataset.parent / "raw.yml" if self.input == "raw" else dataset
        store = f"sqlite:{folder}/graph.sqlite" if self.store == "sqlite" else "bigtable:benchmark/benchmark"
        return ["graph", str(file), "--store", store]


CASES = [
    *(
        Case(kind, version, store)
        for store in ("bigtable", "sqlite")
        for kind in ("proto", "raw")
        for version in (3, 2)
    ),
    *(Case("proto", 3, "bigtable", runner) for runner in ("1 worker", "2 workers", "Prism", "Flink")),
    *(Case("raw", 3, "bigtable", runner) for runner in ("1 worker", "2 workers")),
]


@contextmanager
def runners(cases: list[Case]) -> Iterator[dict[str, list[str]]]:
    """Options of Apache Beam for every runner that `cases` have and that is at hand."""
    wanted = {case.runner for case in cases}
    found: dict[str, list[str]] = {
        DEFAULT_RUNNER: [],
        "1 worker": ["--direct_num_workers=1"],
        "2 workers": ["--direct_num_workers=2"],
    }
    prism = shutil.which("prism", path=f"{_BIN}{os.pathsep}{os.environ['PATH']}")
    if prism:
        found["Prism"] = ["--runner=PrismRunner", f"--prism_location={prism}"]
    if "Flink" in wanted and JARS.is_dir() and shutil.which("java"):
        with _job_server() as endpoint:
            found["Flink"] = [
                "--runner=PortableRunner",
                f"--job_endpoint={endpoint}",
                "--environment_type=LOOPBACK",
                "--parallelism=2",
            ]
            yield found
    else:
        yield found


def missing(cases: list[Case], found: dict[str, list[str]]) -> Iterator[tuple[Case, str]]:
    """The cases that cannot run here, and why."""
    for case in cases:
        if case.store == "bigtable" and find_emulator() is None:
            yield case, "no Bigtable emulator: `gcloud components install bigtable`"
        elif case.runner not in found:
            advice = {"Prism": "`make prism`", "Flink": "Java, and `make flink`"}[case.runner]
            yield case, f"no {case.runner} runner: {advice}"


@contextmanager
def _job_server() -> Iterator[str]:
    """Beam's job server with a Flink inside it."""
    port = free_port()
    options = ["--flink-master=[local]", "--job-host=localhost", f"--job-port={port}"]
    ports = ["--artifact-port=0", "--expansion-port=0"]
    with tempfile.TemporaryDirectory() as folder:
        server = Java([JOB_SERVER, *options, *ports], Path(folder), lambda: answers_grpc(port))
        with server:
            yield f"localhost:{port}"
