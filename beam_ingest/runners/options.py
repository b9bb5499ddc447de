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
"""Chunks of a graph up to which a second process costs more than it saves: by its start and by transport."""


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


def default_workers(grid: ChunkGrid, weight: int = 1) -> int:
    """Default number of worker processes of a local run.

    Args:
      grid: the chunk grid.
      weight: work of a chunk, as `beam_ingest.stages.job.StageJob.weight` gives it.
    """
    small = grid.chunk_count(ATOMIC_LAYER) * weight <= _SMALL_GRID
    return 1 if small else os.cpu_count() or 1
