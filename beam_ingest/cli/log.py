"""What others say during a run: Apache Beam, gRPC, an engine, worker processes."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from beam_ingest.errors import RunError

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_STDERR = 2


@contextmanager
def logged() -> Iterator[None]:
    """Collect it in a file and keep it off the terminal: it says less than our errors, with tracebacks.

    That is what is logged in this process, what its threads print, and what it and the processes it
    starts write to the descriptor of standard error. What the command itself says goes through streams
    that were opened before. The file is kept when the run fails for a reason that it may tell, and its
    name is put into the error.
    """
    handle, path = tempfile.mkstemp(prefix="beam-ingest-", suffix=".log")
    kept = False
    try:
        with open(handle, "w", buffering=1) as file, _redirected(handle):
            previous, sys.stderr = sys.stderr, file
            handler = logging.StreamHandler(file)
            handler.setFormatter(logging.Formatter(_FORMAT))
            logging.getLogger().addHandler(handler)
            try:
                yield
            finally:
                logging.getLogger().removeHandler(handler)
                sys.stderr = previous
    except RunError as error:
        kept = os.path.getsize(path) > 0
        error.log = path if kept else None
        raise
    finally:
        if not kept:
            with suppress(OSError):
                os.unlink(path)


@contextmanager
def _redirected(descriptor: int) -> Iterator[None]:
    saved = os.dup(_STDERR)
    os.dup2(descriptor, _STDERR)
    try:
        yield
    finally:
        os.dup2(saved, _STDERR)
        os.close(saved)
