"""Running a stage: on this machine, on another runner, or as a job on Dataflow."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from beam_ingest.cli.display import ProgressDisplay
from beam_ingest.cli.engine import engine
from beam_ingest.cli.kept_plan import keep, read_plan_file
from beam_ingest.cli.log import logged
from beam_ingest.cli.overwrite import confirm_overwrite
from beam_ingest.cli.submit import say_complete, submit
from beam_ingest.cli.temporary import temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError, StoppedError
from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.runners.run import run_job
from beam_ingest.stages.job import SomeJob, StageJob
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.stages.splits import check_tablets
from beam_ingest.stages.start import start_job
from beam_ingest.stages.usage import LayerUsage, add_usage
from beam_ingest.stores.routing import read_routing

MakeJob: TypeAlias = Callable[[argparse.Namespace, Dataset], SomeJob]
Report: TypeAlias = Callable[[SomeJob, str, list[LayerStatus], float], None]


def run_stage(arguments: argparse.Namespace, make_job: MakeJob[SomeJob], report: Report[SomeJob]) -> int:
    """Run a stage to its end, or hand its job to Dataflow.

    Args:
      arguments: of the stage's command.
      make_job: makes the job, given the arguments and the dataset.
      report: prints what was made, given the job, the place of its table, progress of its layers, and
        seconds.
    """
    begun = time.monotonic()
    job = checked_job(make_job, arguments, Dataset.from_file(arguments.dataset))
    options, plan = _beam_options(job, arguments), read_plan_file(arguments.plan)
    if arguments.overwrite:
        confirm_overwrite(job, arguments.yes)
    with engine(options) as options:  # before there is a table, since it may fail to start
        if is_dataflow(options):
            submit(job, arguments, options, plan)
            return 0
        job = start_job(
            job,
            overwrite=arguments.overwrite,
            resume=arguments.resume,
            tablets=arguments.bigtable_tablets,
        )
        keep(job, plan)
        with job.open_store() as store:
            if job.resume and job.is_finished(store):
                say_complete(job)
                return 0
            layers, used = _run(job, options, ProgressDisplay(store, job))
            add_usage(store, job.timestamp, used)
            store.finish()
    report(job, store.place, layers, time.monotonic() - begun)
    return 0


def checked_job(make_job: MakeJob[SomeJob], arguments: argparse.Namespace, dataset: Dataset) -> SomeJob:
    """The job that the arguments of a stage's command ask for.

    Raises:
      ConfigError: when it cannot be run as asked.
    """
    if arguments.bigtable_tablets is not None:
        check_tablets(arguments.bigtable_tablets)
    job = make_job(arguments, dataset)
    fault = read_routing(job.store).fault
    if fault:
        raise ConfigError(fault)
    return job


def _beam_options(job: StageJob, arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of Apache Beam: those given, and defaults that suit the job."""
    options = dict(arguments.beam)
    if is_dataflow(options):
        options = dataflow_options(job, options, arguments.any_region)
    elif is_local(options):
        options.setdefault("direct_num_workers", default_workers(job.grid, job.weight))
    check_options(options)
    return options


def _run(
    job: StageJob, options: dict[str, Any], display: ProgressDisplay
) -> tuple[list[LayerStatus], list[LayerUsage]]:
    """Run a started job to its end; returns the progress of its layers, and what they took."""
    try:
        with logged(), temporary_folder(is_local(options)), display:
            used = run_job(job, options, display.update, display.interval)
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted; --resume finishes {job.title}") from None
    layers = display.layers()
    if not job.is_complete(layers):
        raise BeamIngestError(f"{job.title}: the run ended before every chunk was done; --resume finishes it")
    return layers, used
