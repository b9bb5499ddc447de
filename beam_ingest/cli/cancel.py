"""``beam-ingest cancel``."""

from __future__ import annotations

import argparse

from beam_ingest import flex
from beam_ingest.errors import SubmitError
from beam_ingest.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Stop a graph's Dataflow job."""
    settings = Settings.from_file(arguments.settings)
    job = flex.latest(settings, arguments.graph_id)
    if job is None or job.ended:
        state = f"its last one ended as {job.state}" if job else "there never was one"
        raise SubmitError(f"graph {arguments.graph_id}: no job of it is running: {state}")
    flex.cancel(settings, job.job_id)
    print(f"cancelled job {job.job_id} of graph {arguments.graph_id}; --resume goes on where it stopped")
    return 0
