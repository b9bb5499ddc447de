"""Options of Apache Beam that decide how a job runs: here, or on the runner that was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from apache_beam.runners.runner import create_runner

from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.runners import portable

_LOCAL_RUNNERS = {None, "directrunner", "direct", "fnapirunner"}
_SMALL_GRID = 1024
"""Chunks up to which a second process costs more than it does, by its start and by what travels to it;"""
_SMALL_RAW_GRID = _SMALL_GRID // 3
"""of raw agglomeration, which is two to three times the work a chunk (docs/performance.md)."""


def is_local(options: Mapping[str, Any]) -> bool:
    """Whether the job runs in processes of this machine that we start ourselves."""
    runner = options.get("runner")
    return (runner.lower() if runner else None) in _LOCAL_RUNNERS


def check_options(options: Mapping[str, Any]) -> None:
    """Find out whether a runner will take the options, before a table is made or removed.

    Raises:
      ConfigError: when none will.
    """
    if is_local(options):
        if options.get("direct_num_workers", 1) < 0:
            raise ConfigError(f"--direct_num_workers {options['direct_num_workers']}: expected 0 or more")
        return
    try:
        runner = create_runner(options["runner"])
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(f"--runner {options['runner']}: {error}") from None
    portable.check(runner, options)


def default_workers(grid: ChunkGrid, raw: bool = False) -> int:
    """Default number of worker processes of a local run."""
    small = grid.chunk_count(ATOMIC_LAYER) <= (_SMALL_RAW_GRID if raw else _SMALL_GRID)
    return 1 if small else os.cpu_count() or 1
