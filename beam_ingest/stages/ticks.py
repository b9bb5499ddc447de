"""Progress of a run that writes a report: a byte for each chunk that is done, in files beside the report.

Only where the report's folder is local; elsewhere the runner's own page shows progress.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from beam_ingest.files import local_path


def add_done(folder: str, layer: int, count: int = 1) -> None:
    """Note that `count` more chunks of a layer are done; processes may do so at once."""
    path = _path(folder, layer)
    if path is not None:
        with suppress(OSError), open(path, "ab", buffering=0) as file:
            file.write(b"." * count)


def count_done(folder: str, layer: int) -> int:
    """How many chunks of a layer are done."""
    path = _path(folder, layer)
    if path is not None:
        with suppress(OSError):
            return os.stat(path).st_size
    return 0


def _path(folder: str, layer: int) -> Path | None:
    local = local_path(folder)
    return None if local is None else Path(local, f"layer_{layer}.done")
