"""``beam-ingest cancel``."""

from __future__ import annotations

import argparse

from beam_ingest.cli.place import bigtable_place
from beam_ingest.errors import SubmitError
from beam_ingest.runners import flex
from beam_ingest.runners.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Stop a graph's Dataflow job."""
    settings = Settings.from_file(arguments.settings)
    place = bigtable_place(arguments, settings)
    job = flex.latest(settings, place)
    if job is None or job.ended:
        state = f"its last one ended as {job.state}" if job else "none is known"
        table = place.rpartition("/")[0]
        advice = "" if arguments.dataset else "; name the dataset file too if that names another place"
        raise SubmitError(f"graph {arguments.graph_id}: no job for {table} is running: {state}{advice}")
    flex.cancel(settings, job, place)
    print(f"cancelled job {job.job_id} of graph {arguments.graph_id}; --resume goes on where it stopped")
    return 0
