"""A worker process of a local run: Beam's own, which also ends when the run does."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import threading
import time

_LOOK_SECONDS = 0.5


def command() -> str:
    """The shell command by which this process starts a worker of its own."""
    # Ctrl-C reaches every process of the terminal; the run alone answers it, and a worker ignores it
    # from its first moment on. exec makes it our own child, which can see us go.
    return f"trap '' INT; exec {shlex.quote(sys.executable)} -m beam_ingest.worker {os.getpid()}"


def main(parent: int) -> None:
    """Serve the runner in the process `parent`, which started this one, until it is gone."""

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    gc.disable()  # imports make a million objects, and drop none
    from apache_beam.runners.worker import sdk_worker_main  # takes seconds, in which the parent may go

    gc.freeze()
    gc.enable()
    # What goes wrong in a bundle travels to the run; what is left is the farewell of a broken connection.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sdk_worker_main.main(sys.argv[:1])
    os._exit(0)  # without waiting for gRPC's threads, which now and then crash on the way out


if __name__ == "__main__":
    main(int(sys.argv[1]))
