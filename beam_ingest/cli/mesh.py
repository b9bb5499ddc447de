"""``beam-ingest mesh``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_stage
from beam_ingest.cli.sizes import size

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.meshes.job import MeshJob
    from beam_ingest.stages.progress import LayerStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_stage(
        parser,
        test="mesh only the eight chunks at the centre and their parent, and tell no server",
        store=" of the graph",
        table="a new table of progress, which has few rows",
        replaced="the meshes of an earlier run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Mesh a finished graph."""
    with importing():
        from beam_ingest.cli.run_stage import run_stage
    return run_stage(arguments, make_job, _print_summary)


def make_job(arguments: argparse.Namespace, dataset: Dataset) -> MeshJob:
    """The job that the arguments ask for."""
    from beam_ingest.meshes.job import make_mesh_job
    from beam_ingest.stores import store_url

    place = store_url(dataset, arguments.graph_id, arguments.store, arguments.bigtable_app_profile)
    return make_mesh_job(arguments.graph_id, dataset, place, test=arguments.test)


def _print_summary(job: MeshJob, place: str, layers: list[LayerStatus], seconds: float) -> None:
    """What was made, and where it is."""
    print(f"meshed graph {job.graph} in {seconds:.1f} s")
    for layer in layers:
        if layer.done:
            chunks, meshes = f"{layer.done:,} chunks", f"{layer.counts.nodes:,} meshes"
            print(f"  layer {layer.layer:<6} {chunks}, {meshes}, {size(layer.counts.nbytes)}")
    print(f"  in           {job.dataset.watershed}/{job.config.dir}")
    print(f"  progress in  {place}")
