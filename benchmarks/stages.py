"""One run of ``beam-ingest`` with clocks at its stages.

    python -m benchmarks.stages FOLDER graph ...

Every process of the run, worker processes too, keeps the CPU seconds of its stages in a file of its
own in FOLDER. CPU, and of the thread that works: so that stages of several threads and processes add
up, and whoever else uses the machine hardly changes them.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

STAGES = ("start", "read", "kernels", "sink")
"""What is clocked; the rest of the CPU is Beam's, and that of libraries' own threads."""
_CLOCKS = {
    "read": ["beam_ingest.files:Folder.read_each", "beam_ingest.files:Folder.write"],
    "kernels": [
        "beam_ingest.ingest.build:Builder.atomic",
        "beam_ingest.ingest.build:Builder.parent",
        "beam_ingest.ingest.build:Builder.roots",
        # raw input: what Beam's transforms call
        "beam_ingest.inputs.reading:read_shard",
        "beam_ingest.ingest.pipeline.read_raw:assemble_chunk",
        "beam_ingest.ingest.pipeline.read_raw:encode_chunk_edges",
        "beam_ingest.ingest.pipeline.read_raw:encode_components",
    ],
}
_SINKS = {
    "sqlite": "beam_ingest.stores.sqlite:SQLiteStore.write",
    "bigtable": "beam_ingest.stores.bigtable:BigtableStore.write",
}
_RECORD = struct.Struct(f"<{len(STAGES)}d")
_WORKER = "worker"


class Clocks:
    """The CPU seconds of this process's stages, in a file that outlives it, however it ends.

    Args:
      folder: where the file goes.
    """

    def __init__(self, folder: Path) -> None:
        with open(folder / f"{os.getpid()}.stages", "w+b") as file:
            file.write(bytes(_RECORD.size))
            file.flush()
            self._file = mmap.mmap(file.fileno(), _RECORD.size)
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._inner = threading.local()

    def begin(self) -> None:
        """All CPU before this moment went into the start."""
        with self._lock:
            self._add("start", time.process_time() - self._seconds["start"])

    def install(self, store: str) -> None:
        """Put a clock on every function that is one of a stage."""
        for stage, places in (_CLOCKS | {"sink": [_SINKS[store]]}).items():
            for place in places:
                module, _, path = place.partition(":")
                *outer, name = path.split(".")
                owner: Any = import_module(module)
                for attribute in outer:
                    owner = getattr(owner, attribute)
                setattr(owner, name, self._clocked(stage, getattr(owner, name)))

    def _clocked(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._seconds["start"]:
                self.begin()
            outer, start = getattr(self._inner, "seconds", 0.0), time.thread_time()
            self._inner.seconds = 0.0
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.thread_time() - start
                with self._lock:
                    self._add(stage, spent - self._inner.seconds)  # clocked functions may call each other
                self._inner.seconds = outer + spent

        return call

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] += seconds
        self._file[:] = _RECORD.pack(*self._seconds.values())


def read_stages(folder: Path) -> dict[str, float]:
    """The CPU seconds of each stage, of all processes of a run."""
    records = [_RECORD.unpack(file.read_bytes()) for file in folder.glob("*.stages")]
    return {stage: sum(record[at] for record in records) for at, stage in enumerate(STAGES)}


def main(folder: Path, arguments: list[str]) -> int:
    """Run one command, or serve as a worker process of one."""
    from beam_ingest.runners import worker

    if arguments[0] == _WORKER:
        _, store, parent, lease = arguments
        Clocks(folder).install(store)
        worker.main(int(parent), lease)
        return 0
    from beam_ingest.cli import graph, run_stage

    store = next(a for a in arguments if a.partition(":")[0] in _SINKS).partition(":")[0]
    plain, run_job = worker.command, run_stage.run_job

    def clocked_worker(lease: str) -> str:
        module, ours = "-m beam_ingest.runners.worker", f"-m benchmarks.stages {folder} {_WORKER} {store}"
        command = plain(lease)
        assert module in command, f"worker processes are started otherwise: {command}"
        return command.replace(module, ours)

    def clocked_run(*args: Any, **kwargs: Any) -> None:
        clocks = Clocks(folder)
        clocks.install(store)
        clocks.begin()
        run_job(*args, **kwargs)

    worker.command, run_stage.run_job = clocked_worker, clocked_run
    return graph.run(_parsed(arguments))


def _parsed(arguments: list[str]) -> Any:
    from beam_ingest.cli.arguments import parse

    return parse(arguments)[1]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute(), sys.argv[2:]))
