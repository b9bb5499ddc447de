"""``beam-ingest plan``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_dataset, add_json, add_settings
from beam_ingest.errors import ConfigError

if TYPE_CHECKING:
    from beam_ingest.ingest.job import IngestJob

_CHUNKS_A_BLOCK = 32
"""Chunks that are read for a block: its own, and those around it."""
_SMALL = 1024
"""Chunks up to which a second process costs more than it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_dataset(parser)
    parser.add_argument(
        "--raw", action="store_true", help="plan for raw agglomeration (ingest_config.AGGLOMERATION)"
    )
    parser.add_argument(
        "--sample", metavar="N", type=int, help="build N blocks of eight chunks (default: 64)"
    )
    parser.add_argument(
        "--nodes", metavar="N", type=int, nargs="+", help="sizes of the Bigtable cluster to compare"
    )
    parser.add_argument("--hours", metavar="H", type=float, help="longest time that the build may take")
    parser.add_argument(
        "--machine-type",
        metavar="TYPE",
        dest="worker_type",
        help="machine type of the workers (default: the smallest with enough memory)",
    )
    parser.add_argument(
        "--prices", metavar="FILE", help="prices of --region in place of the list prices in the package"
    )
    add_settings(parser)
    add_json(parser, "print the plan as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Estimate what a graph will take."""
    with importing():
        from beam_ingest.cli.place import place_option
        from beam_ingest.cli.planning import Wishes, known_prices, lines_of, make_plan
        from beam_ingest.dataset import Dataset
        from beam_ingest.ingest.job import make_job
        from beam_ingest.plan.plan_dataset import SAMPLE
        from beam_ingest.plan.prices import DEFAULT_REGION
        from beam_ingest.runners.dataflow import is_dataflow
        from beam_ingest.runners.options import check_options
        from beam_ingest.stores import store_url

    blocks = SAMPLE if arguments.sample is None else arguments.sample
    if blocks < 1:
        raise ConfigError(f"--sample {blocks}: expected 1 or more")
    for nodes in arguments.nodes or ():
        if not 1 <= nodes <= 100_000:
            raise ConfigError(f"--nodes {nodes}: expected 1 to 100,000")
    if arguments.hours is not None and not 0 < arguments.hours < 1e9:
        raise ConfigError(f"--hours {arguments.hours}: expected more than 0")
    given = dict(arguments.beam)
    wishes = Wishes(region=given.get("region") or DEFAULT_REGION, prices=arguments.prices)
    wishes = wishes._replace(machine_type=arguments.worker_type, hours=arguments.hours)
    if arguments.nodes:
        wishes = wishes._replace(nodes=arguments.nodes)
    prices = known_prices(wishes)
    check_options(given)
    dataset = Dataset.from_file(arguments.dataset)
    try:
        store = store_url(dataset, "plan", place_option(arguments, dataset))
    except ConfigError:
        if is_dataflow(given):  # whose jobs are known by their table
            raise
        store = "sqlite:none"
    job = make_job("plan", dataset, store, raw=arguments.raw)
    plan = make_plan(job, blocks, _beam_options(job, given, blocks), wishes, prices)
    print(json.dumps(plan.as_dict()) if arguments.json else "\n".join(lines_of(plan)))
    return 0


def _beam_options(job: IngestJob, given: Mapping[str, Any], blocks: int) -> dict[str, Any]:
    """Beam's options for a plan."""
    from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
    from beam_ingest.runners.options import is_local

    if is_dataflow(given):
        name = {"job_name": f"beam-ingest-plan-{uuid4().hex[:8]}"}
        return dataflow_options(job, name | dict(given), any_region=True)
    if is_local(given):
        read = min(blocks * _CHUNKS_A_BLOCK, job.grid.chunk_count(2))
        return {"direct_num_workers": 1 if read <= _SMALL else os.cpu_count() or 1} | dict(given)
    return dict(given)
