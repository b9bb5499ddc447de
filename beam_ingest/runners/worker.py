"""A worker process of a local run: Beam's own, which also ends when the run does."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from beam_ingest import halt

_LOOK_SECONDS = 0.5
_HALT_SECONDS = 2.0


@contextmanager
def lease() -> Iterator[str]:
    """Path of a file that is there while a run goes on; worker processes end when it is gone."""
    with tempfile.NamedTemporaryFile(prefix="beam-ingest-", suffix=".lease") as file:
        yield file.name


def command(lease: str) -> str:
    """The shell command by which this process starts a worker of its own."""
    # Ctrl-C reaches every process of the terminal; the run alone answers it, and a worker ignores it
    # from its first moment on. exec makes it our own child, which can see us go.
    program = shlex.join([sys.executable, "-m", "beam_ingest.runners.worker", str(os.getpid()), lease])
    # Its stdout is not ours: what is printed in a worker is not part of a command's output.
    return f"trap '' INT HUP TERM; exec {program} >&2"


def main(parent: int, lease: str) -> None:
    """Serve the runner in the process `parent`, which started this one, until it or the lease is gone."""

    def leave_with_parent() -> None:
        while os.getppid() == parent and os.path.exists(lease):
            time.sleep(_LOOK_SECONDS)
        halt.halt()
        end = time.monotonic() + _HALT_SECONDS
        while os.getppid() == parent and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    gc.disable()  # imports make a million objects, and drop none
    from apache_beam.runners.worker import sdk_worker_main  # takes seconds, in which the parent may go

    gc.freeze()
    gc.enable()
    sdk_worker_main.main(sys.argv[:1])
    os._exit(0)  # without waiting for gRPC's threads, which now and then crash on the way out


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
