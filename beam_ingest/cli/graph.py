"""``beam-ingest graph``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_stage

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.ingest.job import IngestJob


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_stage(parser)
    parser.add_argument(
        "--raw",
        action="store_true",
        help="read raw agglomeration (ingest_config.AGGLOMERATION) and write EDGES and COMPONENTS; with "
        "--overwrite, replace these files",
    )
    parser.add_argument(
        "--graph-version", type=int, choices=(3, 2), default=3, help="major version of PyChunkedGraph"
    )
    parser.add_argument(
        "--require-files",
        action="store_true",
        help="treat an absent edges or components file as an error, not as an empty chunk",
    )
    parser.add_argument(
        "--all-supervoxels",
        action="store_true",
        help="make nodes of supervoxels, too, that no edge mentions: every voxel of the watershed is read",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build a graph."""
    with importing():
        from beam_ingest.cli.run_stage import run_stage
        from beam_ingest.cli.summary import print_summary
    return run_stage(arguments, make_job, print_summary)


def make_job(arguments: argparse.Namespace, dataset: Dataset) -> IngestJob:
    """The job that the arguments ask for."""
    from beam_ingest.ingest import job
    from beam_ingest.stores import store_url

    made = job.make_job(
        arguments.graph_id,
        dataset,
        store_url(dataset, arguments.graph_id, arguments.store, arguments.bigtable_app_profile),
        graph_version=arguments.graph_version,
        raw=arguments.raw,
        test=arguments.test,
        require_files=arguments.require_files,
        all_supervoxels=arguments.all_supervoxels,
    )
    if made.raw and not dataset.edges:
        print("note: no data_source.EDGES: servers find no edges there and cannot split", file=sys.stderr)
    return made
