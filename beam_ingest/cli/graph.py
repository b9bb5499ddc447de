"""``beam-ingest graph``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from beam_ingest.cli.display import ProgressDisplay, print_submitted, print_summary
from beam_ingest.cli.engine import engine
from beam_ingest.cli.log import logged
from beam_ingest.cli.temporary import temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError, StoppedError, SubmitError
from beam_ingest.ingest.job import IngestJob, make_job, start_job
from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.runners.run import Submission, run_job, submit_job
from beam_ingest.stages import progress
from beam_ingest.stages.removal import check_removable
from beam_ingest.stages.splits import check_tablets
from beam_ingest.stores import Store, store_url
from beam_ingest.stores.routing import read_routing


def run(arguments: argparse.Namespace) -> int:
    """Build a graph."""
    begun = time.monotonic()
    job = job_of(arguments, Dataset.from_file(arguments.dataset))
    options = dict(arguments.beam)
    if is_dataflow(options):
        options = dataflow_options(job, options, arguments.any_region)
    elif is_local(options):
        options.setdefault("direct_num_workers", default_workers(job.grid, job.raw))
    check_options(options)
    if arguments.overwrite:
        confirm_overwrite(job, arguments.yes)
    with engine(options) as options:  # or there would be a table that nothing is written to
        return _started(arguments, job, options, begun)


def _started(arguments: argparse.Namespace, job: IngestJob, options: dict[str, Any], begun: float) -> int:
    """Make or take up the table, and build the graph here or hand the job to Dataflow."""
    start = partial(
        start_job, overwrite=arguments.overwrite, resume=arguments.resume, tablets=arguments.bigtable_tablets
    )
    if is_dataflow(options) and not arguments.resume:
        _submit(job, options, start)
        return 0
    job = start(job)
    with job.open_store() as store:
        if job.resume and progress.is_finished(store, job.scope):
            print(f"graph {job.graph_id} is complete already: nothing to resume")
            return 0
        if is_dataflow(options):
            _print_submitted(job, submit_job(job, options), options)
            return 0
        return _build(job, store, options, begun)


def job_of(arguments: argparse.Namespace, dataset: Dataset) -> IngestJob:
    """The job that the arguments of ``graph`` ask for."""
    if arguments.bigtable_tablets is not None:
        check_tablets(arguments.bigtable_tablets)
    job = make_job(
        arguments.graph_id,
        dataset,
        store_url(dataset, arguments.graph_id, arguments.store, arguments.bigtable_app_profile),
        graph_version=arguments.graph_version,
        raw=arguments.raw,
        test=arguments.test,
        require_files=arguments.require_files,
    )
    fault = read_routing(job.store).fault
    if fault:
        raise ConfigError(fault)
    if job.raw and not dataset.edges:
        print("note: no data_source.EDGES: servers find no edges there, and cannot split", file=sys.stderr)
    return job


def _submit(job: IngestJob, options: dict[str, Any], start: Callable[..., IngestJob]) -> None:
    """Hand the job to Dataflow, make its table, and say how to follow it.

    In this order, since a job that Dataflow refuses must not cost the graph that is there. The table is
    ready long before the first worker is.
    """
    submitted: list[Submission] = []
    try:
        job = start(job, before=lambda started: submitted.append(submit_job(started, options)))
    except BaseException as error:
        if submitted:
            _cancel(submitted[0], error)
        raise
    _print_submitted(job, submitted[0], options)


def _cancel(submission: Submission, error: BaseException) -> None:
    """Stop a job that has no table, because of `error`."""
    try:
        submission.cancel()
    except Exception as other:  # of Dataflow, or of the way to it
        raise SubmitError(f"{error}; cancel job {submission.job_id}, which goes on: {other}") from error


def _print_submitted(job: IngestJob, submission: Submission, options: dict[str, Any]) -> None:
    if submission.job_id is None:
        print(f"wrote the job's description to {options['template_location']}")
    else:
        print_submitted(job, options["project"], options["region"], submission.job_id)


def _build(job: IngestJob, store: Store, options: dict[str, Any], begun: float) -> int:
    """Run the job to its end, and say what it built."""
    display = ProgressDisplay(store, job)
    try:
        with logged(), temporary_folder(is_local(options)), display:
            run_job(job, options, display.update, display.interval)
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted; --resume finishes graph {job.graph_id}") from None
    status = display.layers()
    if not progress.is_complete(status, job.scope):
        raise BeamIngestError(
            f"graph {job.graph_id}: the run ended before every chunk was built; --resume finishes it"
        )
    store.finish()
    print_summary(job, store.place, status, time.monotonic() - begun)
    return 0


def confirm_overwrite(job: IngestJob, yes: bool) -> None:
    """Ask before a table that others may be using is removed.

    Raises:
      ConfigError: when the answer is not its name, or nobody can be asked.
      StoreError: when it is not a graph that may be removed.
    """
    with job.open_store() as store:
        check_removable(store)
        if yes or not store.shared or not store.exists():
            return
        advice = f"{store.place} is not removed; type its name when asked, or add --yes"
        if not sys.stdin.isatty():
            raise ConfigError(advice)
        try:
            answer = input(f"{store.place} will be removed. Type {job.graph_id} to go on: ")
        except (EOFError, UnicodeDecodeError):  # Ctrl-D, or what is no text
            answer = ""
            print(file=sys.stderr)
        if answer.strip() != job.graph_id:
            raise ConfigError(advice)
