"""The command line: ``beam-ingest``. Only here does an error become a message and an exit status."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from beam_ingest.cli.arguments import parse
from beam_ingest.errors import BeamIngestError

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C ended."""


# Google's libraries say this on every start on an older Python; which one it is, its owner knows.
warnings.filterwarnings("ignore", "You are using a .*Python version", FutureWarning)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        with _started():
            command, arguments = parse(list(sys.argv[1:] if argv is None else argv))
        return command(arguments)
    except BeamIngestError as error:
        *lines, last = str(error).split("\n")
        print(*lines, f"beam-ingest: {last}", sep="\n", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("beam-ingest: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@contextmanager
def _started() -> Iterator[None]:
    """Import without looking for garbage: imports make a million objects, and drop none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
