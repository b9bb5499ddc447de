"""Temporary files of a local run, kept together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from beam_ingest.errors import ConfigError
from beam_ingest.files import resolve
from beam_ingest.runners.options import is_local


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


def report_folder(options: Mapping[str, Any], name: str) -> str:
    """URL of a new folder for what workers report: local, or where the runner keeps temporary files.

    Raises:
      ConfigError: when the workers are elsewhere and no option says where such files go.
    """
    if is_local(options):
        return resolve(tempfile.mkdtemp())
    place = options.get("temp_location")
    if not place:
        raise ConfigError(f"--runner {options['runner']}: add --temp_location, where workers write reports")
    return f"{resolve(place)}/{name}-{uuid4().hex}"
