"""``beam-ingest cancel``."""

from __future__ import annotations

import argparse

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import DEFAULT_SETTINGS, add_graph, add_settings
from beam_ingest.errors import SubmitError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser, dataset_needed=False)
    add_settings(parser, default=DEFAULT_SETTINGS)


def run(arguments: argparse.Namespace) -> int:
    """Stop a graph's Dataflow job."""
    with importing():
        from beam_ingest.cli.place import bigtable_place
        from beam_ingest.runners import flex
        from beam_ingest.runners.settings import Settings

    settings = Settings.from_file(arguments.settings)
    place = bigtable_place(arguments, settings)
    job = flex.latest(settings, place)
    if job is None or job.ended:
        state = f"its last one ended as {job.state}" if job else "none is known"
        table = place.rpartition("/")[0]
        advice = "" if arguments.dataset else "; name the dataset file too if that names another place"
        raise SubmitError(f"graph {arguments.graph_id}: no job for {table} is running: {state}{advice}")
    flex.cancel(settings, job, place)
    print(f"cancelled job {job.job_id} of graph {arguments.graph_id}; --resume continues where it stopped")
    return 0
