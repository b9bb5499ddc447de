"""What ``launch`` does around the launch itself."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from beam_ingest.cli.kept_plan import read_plan_file
from beam_ingest.cli.overwrite import confirm_overwrite
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError, StoreError, SubmitError
from beam_ingest.files import Folder
from beam_ingest.ingest.job import IngestJob
from beam_ingest.runners import flex
from beam_ingest.runners.dataflow import console_url, labels
from beam_ingest.runners.settings import Settings
from beam_ingest.stages.failures import summarise
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import digest
from beam_ingest.stages.removal import refuse_existing
from beam_ingest.stages.start import check_resumable
from beam_ingest.stores.identity import who


def say_who(settings: Settings) -> None:
    """Warn when a person acts with other rights than those that Terraform gave to the launcher."""
    launcher, found = settings.launcher_service_account, who()
    if found is not None and found != launcher:
        print(
            f"note: launching as {found}, with its rights, not as {launcher}; "
            f"`gcloud auth application-default login --impersonate-service-account={launcher}` changes that",
            file=sys.stderr,
        )


def workers_region(settings: Settings, options: Mapping[str, Any]) -> str:
    """Where the workers will be."""
    zone = str(options.get("worker_zone") or "")
    return str(options.get("worker_region") or zone.rpartition("-")[0] or settings.region)


def check_table(arguments: argparse.Namespace, job: StageJob) -> None:
    """Check that the table may be made, removed or resumed; ask before it is removed."""
    with job.open_store() as store:
        if arguments.overwrite:
            confirm_overwrite(job, arguments.yes)
        elif not arguments.resume:
            refuse_existing(store, job)
        else:
            check_resumable(job, store)
        if not arguments.resume:
            job.check_files(store, arguments.overwrite)


class Plan:
    """The plan that is kept with what is made: the one that was named, or one of a small sample.

    None is made of a test, of what is resumed, and where inputs cannot be read from here.

    Args:
      job: the job.
      arguments: of ``launch``.
      region: where its workers will be.
    """

    def __init__(self, job: StageJob, arguments: argparse.Namespace, region: str) -> None:
        self._job = job
        self._region = region
        self._given = read_plan_file(arguments.plan)
        self._wanted = not job.test and not arguments.resume and self._given is None
        self._shown = False

    @functools.cached_property
    def _made(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The plan, and what is shown of it."""
        if not self._wanted:
            return self._given, []
        from beam_ingest.cli.plan_lines import short_lines
        from beam_ingest.cli.planning import Plan as GraphPlan
        from beam_ingest.cli.planning import Wishes, quick_plan
        from beam_ingest.cli.stage_planning import StagePlan, quick_stage_plan

        wishes = Wishes(region=self._region)
        try:
            plan: GraphPlan | StagePlan = (
                quick_plan(self._job, wishes)
                if isinstance(self._job, IngestJob)
                else quick_stage_plan(self._job, wishes)
            )
        except BeamIngestError as error:  # which workers may not meet; `check` tells more
            return None, [f"no plan: {error}"]
        return plan.as_dict(), short_lines(plan)

    @property
    def content(self) -> dict[str, Any] | None:
        """As ``plan --json`` prints it; None without one."""
        return self._made[0]

    def show(self) -> None:
        """Print it in short, once."""
        if not self._shown:
            print(*(f"{line}\n" for line in self._made[1]), sep="", end="", flush=True)
        self._shown = True


def upload_plan(job: StageJob, settings: Settings, plan: Mapping[str, Any]) -> str:
    """Put a plan where the launcher finds it."""
    folder, content = Folder(f"{settings.staging_location}/plans"), json.dumps(plan)
    name = f"{labels(job)['dataset']}-{digest(content)[:12]}.json"
    folder.write({name: content.encode()})
    return folder.path(name)


def upload(job: StageJob, settings: Settings) -> str:
    """Put the dataset file where the launcher finds it; the same content is the same file."""
    folder = Folder(f"{settings.staging_location}/datasets")
    name = f"{labels(job)['dataset']}-{digest(job.dataset.text)[:12]}.yml"
    path = folder.path(name)
    copied = replace(job, dataset=Dataset.from_text(job.dataset.text, path)).places
    for key, place in job.places.items():
        if copied[key] != place:
            raise ConfigError(
                f"{job.dataset.path}: {key}: expected a full URL, since the launcher reads a copy of the "
                f"file in {folder.path('')}, found a path from its own folder; write {place}"
            )
    folder.write({name: job.dataset.text.encode()})
    return path


def wait(job: StageJob, settings: Settings, job_id: str) -> None:
    """Wait for the end of a Dataflow job.

    Raises:
      SubmitError: when it does not end well; says which chunks failed, and why.
    """
    page = console_url(settings.project, settings.region, job_id)
    try:
        ended = flex.wait(settings, job_id, lambda state: print(state, flush=True))
    except KeyboardInterrupt:
        print(f"\njob {job_id} is still running: {page}", file=sys.stderr)
        raise
    if ended.done:
        return
    lines = [*_failures(job), *flex.why(settings, job_id)]
    raise SubmitError("\n".join([*lines, f"job {job_id} ended as {ended.state}: {page}"]))


def _failures(job: StageJob) -> list[str]:
    """What the table says of failed chunks."""
    try:
        store = job.open_store()
        failed = summarise(store) if store.exists() else None
    except StoreError as error:  # which must not hide what became of the job
        return [str(error)]
    if failed is None:
        return []
    return failed.lines(job.where, job.grid.chunk_count(failed.layer))
