"""Handing a stage's job to Dataflow."""

from __future__ import annotations

import argparse
from typing import Any

from beam_ingest.cli.kept_plan import keep
from beam_ingest.errors import SubmitError
from beam_ingest.runners.dataflow import console_url
from beam_ingest.runners.run import Submission, submit_job
from beam_ingest.stages.job import SomeJob, StageJob
from beam_ingest.stages.start import start_job


def submit(
    job: StageJob, arguments: argparse.Namespace, options: dict[str, Any], plan: dict[str, Any] | None
) -> None:
    """Hand the job to Dataflow, make or resume its table, and say how to follow it.

    A new table is made after the job is accepted, since a job that Dataflow refuses must not cost the graph
    that is there. The table is ready long before the first worker is.

    Args:
      job: the job, not yet started.
      arguments: of the stage's command.
      options: options of Apache Beam by name.
      plan: kept with what is made; None without one.
    """
    tablets = arguments.bigtable_tablets
    if arguments.resume:
        job = start_job(job, resume=True, tablets=tablets)
        with job.open_store() as store:
            finished = job.is_finished(store)
        if finished:
            say_complete(job)
            return
        submission = submit_job(job, options)
    else:
        job, submission = _submit_first(job, arguments.overwrite, tablets, options)
    keep(job, plan)
    if submission.job_id is None:
        print(f"wrote the job's description to {options['template_location']}")
    else:
        print_submitted(job, options["project"], options["region"], submission.job_id)


def _submit_first(
    job: SomeJob, overwrite: bool, tablets: int | None, options: dict[str, Any]
) -> tuple[SomeJob, Submission]:
    """Submit the job, then make its table; without the table the job is cancelled."""
    submitted: list[Submission] = []
    try:
        job = start_job(
            job,
            overwrite=overwrite,
            tablets=tablets,
            before=lambda started: submitted.append(submit_job(started, options)),
        )
    except BaseException as error:
        if submitted:
            _cancel(submitted[0], error)
        raise
    return job, submitted[0]


def _cancel(submission: Submission, error: BaseException) -> None:
    """Stop a job that has no table, because of `error`."""
    try:
        submission.cancel()
    except Exception as other:  # of Dataflow, or of the way to it
        raise SubmitError(
            f"{error}; cancel job {submission.job_id}, which is still running: {other}"
        ) from error


def print_submitted(job: StageJob, project: str, region: str, job_id: str, more: str = "") -> None:
    """That Dataflow has the job, and how to follow it; `more` are further options of ``status``."""
    print(f"submitted {job.title} to Dataflow as job {job_id}")
    print(f"  job       {console_url(project, region, job_id)}")
    print(f"  progress  beam-ingest status {job.where}{more} --watch")
    print(f"  stop      gcloud dataflow jobs cancel {job_id} --project={project} --region={region}")


def say_complete(job: StageJob) -> None:
    """Print that there is nothing to resume."""
    print(f"{job.title[0].upper()}{job.title[1:]} {job.verb} already complete: nothing to resume")
