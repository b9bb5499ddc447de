"""``beam-ingest status``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_json, add_settings
from beam_ingest.cli.streams import reader_left
from beam_ingest.errors import UnavailableError

if TYPE_CHECKING:
    from beam_ingest.runners.flex import DataflowJob
    from beam_ingest.runners.settings import Settings

_SECONDS = 1.0
_PAUSES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    add_json(parser)
    parser.add_argument("--watch", action="store_true", help="repeat every second until it is complete")
    add_settings(parser, "; with them, the state of the Dataflow job is shown too")


def run(arguments: argparse.Namespace) -> int:
    """Show how far each layer is built; 1 when chunks have failed."""
    with importing():
        from beam_ingest.cli.place import product_place
        from beam_ingest.cli.progress_lines import Speed, print_progress
        from beam_ingest.dataset import Dataset
        from beam_ingest.format.grid import ChunkGrid
        from beam_ingest.runners.settings import Settings
        from beam_ingest.stages import progress
        from beam_ingest.stages.manifest import read_product
        from beam_ingest.stages.scope import Scope
        from beam_ingest.stores import open_store

    dataset = Dataset.from_file(arguments.dataset)
    place, stage = product_place(arguments, dataset)
    with open_store(place) as store:
        if arguments.settings and place.startswith("bigtable:") and not arguments.json:
            job = _show_job(Settings.from_file(arguments.settings), place)
            if job and not job.ended and not store.exists():
                print("The launcher has not made the table yet")
                return 0
        manifest = read_product(store, arguments.graph_id, stage)
        # As the graph was begun: the dataset file may be another by now.
        begun = Dataset.from_text(manifest.dataset, dataset.path)
        grid = ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits)
        scope = Scope(grid, manifest.options["test"])
        speed, watch = Speed(), progress.Watch(store, grid, scope, manifest.top, manifest.bottom)
        while True:
            begun_at = time.monotonic()
            layers = watch.look()
            failed = print_progress(
                store, manifest, layers, arguments.json, speed.of(layers, time.monotonic())
            )
            if not arguments.watch or progress.is_complete(layers, scope) or reader_left():
                return 1 if failed else 0
            store.close()  # it may be removed meanwhile, and the removed one would still be read
            # Reading may take one part in so many of the time, from the table that is written.
            time.sleep(max(_SECONDS, _PAUSES * (time.monotonic() - begun_at)))
            print()
            now = read_product(store, arguments.graph_id, stage)
            if now.timestamp != manifest.timestamp:  # begun from scratch: nothing of it is whole yet
                manifest, watch = now, progress.Watch(store, grid, scope, now.top)


def _show_job(settings: Settings, place: str) -> DataflowJob | None:
    """Print the state of the graph's Dataflow job, and why it failed if it did."""
    from beam_ingest.runners import flex

    try:
        job = flex.latest(settings, place)
        if job:
            print(f"job     : {job.job_id} {job.state}", flush=True)
        if job and job.failed:
            print(*(f"  {line}" for line in flex.why(settings, job.job_id)), sep="\n", flush=True)
    except UnavailableError as error:  # the table still shows progress
        print(f"job     : {error}", flush=True)
        return None
    return job
