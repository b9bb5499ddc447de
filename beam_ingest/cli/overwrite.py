"""Asking before a graph is removed."""

from __future__ import annotations

import sys

from beam_ingest.errors import ConfigError
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.removal import check_removable


def confirm_overwrite(job: StageJob, yes: bool) -> None:
    """Ask before a table that others may be using is removed.

    Raises:
      ConfigError: when the answer is not its name, or there is no terminal to ask on.
      StoreError: when it is not a graph that may be removed.
    """
    with job.open_store() as store:
        check_removable(store, job.stage)
        if yes or not store.shared or not store.exists():
            return
        advice = f"{store.place} is not removed; type its name when asked, or add --yes"
        if not sys.stdin.isatty():
            raise ConfigError(advice)
        try:
            answer = input(f"{store.place} will be removed. Type {job.graph_id} to go on: ")
        except (EOFError, UnicodeDecodeError):  # Ctrl-D, or bytes that are not text
            answer = ""
            print(file=sys.stderr)
        if answer.strip() != job.graph_id:
            raise ConfigError(advice)
