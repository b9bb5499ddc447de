"""``beam-ingest launch``."""

from __future__ import annotations

import argparse
import shlex
import sys

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import DEFAULT_SETTINGS, add_settings, add_stage
from beam_ingest.cli.stages import STAGE, add_all_options, stage_module
from beam_ingest.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_stage(parser)
    parser.add_argument(f"--{STAGE}", metavar="NAME", default="graph", help="the stage to run")
    add_all_options(parser)
    add_settings(parser, default=DEFAULT_SETTINGS)
    parser.add_argument("--wait", action="store_true", help="wait for the job; fail if it fails")


def run(arguments: argparse.Namespace) -> int:
    """Launch the flex template, after everything that can be checked here was checked."""
    with importing():
        from beam_ingest.cli import launching
        from beam_ingest.cli.run_stage import checked_job
        from beam_ingest.cli.submit import print_submitted
        from beam_ingest.cli.template import parameters
        from beam_ingest.dataset import Dataset
        from beam_ingest.runners import flex
        from beam_ingest.runners.dataflow import check_places, labels, read_region_clusters
        from beam_ingest.runners.settings import Settings

    stage = stage_module(arguments.stage)
    settings = Settings.from_file(arguments.settings)
    options = arguments.beam
    for name in flex.DECIDED:
        if name in options:
            raise ConfigError(
                f"--{name}: launch takes it from {arguments.settings} and the graph; leave it out"
            )
    dataset = Dataset.from_file(arguments.dataset)
    arguments.store = settings.store_option(dataset, arguments.store)
    given = parameters(arguments)  # refuses options of other stages
    job = checked_job(stage.make_job, arguments, dataset)
    check_places(job)
    launching.say_who(settings)
    region = launching.workers_region(settings, options)
    read_region_clusters(job, region, arguments.any_region)
    plan = launching.Plan(job, arguments, region)
    if arguments.overwrite and not arguments.yes and sys.stdin.isatty():  # or it is shown afterwards
        plan.show()
    launching.check_table(arguments, job)
    given["dataset"] = launching.upload(job, settings)
    if plan.content is not None:
        given["plan"] = launching.upload_plan(job, settings, plan.content)
    given["store"] = "/".join(job.store.split("/")[:2])
    if arguments.overwrite:
        given["yes"] = "true"
    tags = {**settings.labels, **labels(job)}
    job_id = flex.launch(settings, job.store, given, options, tags)
    more = "" if arguments.settings == DEFAULT_SETTINGS else f" --settings={shlex.quote(arguments.settings)}"
    print_submitted(job, settings.project, settings.region, job_id, more)
    plan.show()
    if arguments.wait:
        launching.wait(job, settings, job_id)
    return 0
