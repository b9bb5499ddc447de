"""The command line: ``beam-ingest``. Only here does an error become a message and an exit status."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from beam_ingest.cli import streams
from beam_ingest.cli.arguments import parse
from beam_ingest.cli.quiet import quiet_modules
from beam_ingest.errors import BeamIngestError, ConfigError, RunError, StoppedError
from beam_ingest.interrupt import during_imports

# Google's libraries say this on every start on an older Python; it is not ours to tell.
warnings.filterwarnings("ignore", "You are using a .*Python version", FutureWarning)
_EXTRAS = {
    "beam": ("apache_beam", "google.cloud.dataflow"),
    "view": ("matplotlib", "neuroglancer", "orjson", "starlette", "uvicorn"),
}
"""What the extras install."""
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with streams.lasting(), quiet_modules():
        try:
            with _ended_as_by_ctrl_c():
                status = _run(list(sys.argv[1:] if argv is None else argv))
        except RunError as error:
            status = _failed(f"{error} (log: {error.log})" if error.log else str(error), error.exit_status)
        except ConfigError as error:  # one line, whatever the names in it are
            status = _failed(str(error).replace("\n", "\\n"), error.exit_status)
        except BeamIngestError as error:
            status = _failed(str(error), error.exit_status)
        except ModuleNotFoundError as error:
            extra = next((e for e, names in _EXTRAS.items() if (error.name or "").startswith(names)), None)
            if extra is None:
                raise
            lacking = f"this command needs {error.name}, which is not installed"
            status = _failed(f"{lacking}: pip install 'beam-ingest[{extra}]'", 2)
        except MemoryError:
            status = _failed("out of memory; use a machine with more memory", 1)
        except SystemExit as end:  # of --help and --version
            status = end.code if isinstance(end.code, int) else 0
        except KeyboardInterrupt:
            status = _failed("interrupted", StoppedError.exit_status)
        lost = streams.output_lost()
        if lost is not None:
            status = max(status, _failed(f"standard output cannot be written: {lost.strerror}", 1))
        if _is_left_running():
            sys.stderr.flush()
            os._exit(status)
        return status


def _run(argv: list[str]) -> int:
    with during_imports():
        command, arguments = parse(argv)
    return command.run(arguments)


def _failed(message: str, status: int) -> int:
    # A name may hold what moves the cursor or begins a line.
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)
    *lines, last = shown.split("\n")
    print(*lines, f"beam-ingest: {last}", sep="\n", file=sys.stderr, flush=True)
    return status


def _is_left_running() -> bool:
    """Whether threads of a run are left that do not end when asked, and would keep the process."""
    local = sys.modules.get("beam_ingest.runners.local")
    return local is not None and local.is_left_running()


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Let the signals by which terminals and schedulers end programs do what Ctrl-C does."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # One that is ignored, as nohup has it, stays so.
    taken = [number for number in _ENDING if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
