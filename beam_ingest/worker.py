"""A worker process of a local run: Beam's own, which also ends when the run does."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from apache_beam.runners.worker import sdk_worker_main

_LOOK_SECONDS = 0.5


def main() -> None:
    """Serve the runner that started this process, until it is gone."""
    parent = os.getppid()
    # Ctrl-C reaches every process of the terminal; the run alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    # What goes wrong in a bundle travels to the run; what is left is the farewell of a broken connection.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sdk_worker_main.main(sys.argv)
    os._exit(0)  # without waiting for gRPC's threads, which now and then crash on the way out


if __name__ == "__main__":
    main()
