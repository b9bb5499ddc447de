"""Temporary files of a local run, kept together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def temporary_folder(own: bool) -> Iterator[None]:
    """Keep what a local run leaves in the folder for temporary files in one that goes with it.

    Other runners tidy up after themselves, when the process ends.
    """
    if not own:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="beam-ingest-", ignore_cleanup_errors=True) as folder:
        previous, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield
        finally:
            tempfile.tempdir = previous
