"""``beam-ingest l2cache``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_stage
from beam_ingest.cli.sizes import size

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.l2cache.job import L2CacheJob
    from beam_ingest.stages.progress import LayerStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_stage(
        parser,
        test="compute only the nodes of the eight chunks at the centre",
        store=" of the graph",
        table="a new cache",
        replaced="the cache of an earlier run",
    )
    parser.add_argument(
        "--cache-store",
        metavar="PLACE",
        help="sqlite:PATH or bigtable:PROJECT/INSTANCE of the cache (default: beside the graph)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compute the L2 cache of a finished graph."""
    with importing():
        from beam_ingest.cli.run_stage import run_stage
    return run_stage(arguments, make_job, _print_summary)


def make_job(arguments: argparse.Namespace, dataset: Dataset) -> L2CacheJob:
    """The job that the arguments ask for."""
    from beam_ingest.l2cache.job import make_l2cache_job
    from beam_ingest.stores import store_url

    return make_l2cache_job(
        arguments.graph_id,
        dataset,
        store_url(dataset, arguments.graph_id, arguments.store, arguments.bigtable_app_profile),
        arguments.cache_store,
        test=arguments.test,
    )


def _print_summary(job: L2CacheJob, place: str, layers: list[LayerStatus], seconds: float) -> None:
    """What was computed, and where it is."""
    from beam_ingest.l2cache.totals import read_totals

    with job.open_store() as store:
        totals = read_totals(store)
    (layer,) = layers
    print(f"computed {job.title} of graph {job.graph} in {seconds:.1f} s")
    print(f"  chunks       {layer.done:,}")
    print(f"  supervoxels  {layer.counts.supervoxels:,}")
    print(f"  nodes        {layer.counts.nodes:,}")
    print(f"  written      {layer.counts.cells:,} cells, {size(layer.counts.nbytes)}")
    if totals.clamped:
        print(f"  clamped      {totals.clamped:,} values that their type does not hold")
    if totals.absent:
        print(f"  absent       {totals.absent:,} nodes without a voxel, which have no row")
    if totals.unknown:
        print(f"  unknown      {totals.unknown:,} supervoxels that the graph does not have, as background")
    print(f"  in           {place}")
