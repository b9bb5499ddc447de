"""The plan that is kept with what a stage makes."""

from __future__ import annotations

import json
from typing import Any

from beam_ingest.errors import ConfigError, FileError
from beam_ingest.files import Folder, resolve
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.usage import keep_plan

_MOST_BYTES = 1 << 20


def read_plan_file(path: str | None) -> dict[str, Any] | None:
    """The plan in a file or an object of Cloud Storage; None where none is named.

    Raises:
      ConfigError: when it is no plan.
    """
    if path is None:
        return None
    folder, _, name = resolve(path).rpartition("/")
    try:
        (content,) = Folder(folder).read([name])
        plan = json.loads(content) if content is not None and len(content) <= _MOST_BYTES else None
    except (FileError, ValueError, RecursionError) as error:
        raise ConfigError(f"--plan {path}: {' '.join(str(error).split())}") from None
    if not isinstance(plan, dict) or not isinstance(plan.get("estimates"), dict):
        found = "none" if content is None else "something else"
        raise ConfigError(f"--plan {path}: expected what `beam-ingest plan --json` prints, found {found}")
    return plan


def keep(job: StageJob, plan: dict[str, Any] | None) -> None:
    """Keep a plan, if there is one, with what a started job makes."""
    if plan is not None:
        with job.open_store() as store:
            keep_plan(store, job.timestamp, plan)
