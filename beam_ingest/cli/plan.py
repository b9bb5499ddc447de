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
from beam_ingest.cli.stages import DEFAULT_STAGE, STAGE, stage_module
from beam_ingest.errors import ConfigError

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.stages.job import StageJob

_CHUNKS_A_BLOCK = 32
"""Chunks that are read for a block: its own, and those around it."""
_SMALL = 1024
"""Chunks up to which a second process costs more than it does,"""
_FEW_VOXELS = 4_000_000
"""and voxels."""
_BY_WORKERS = ("prepare", "mesh")
"""Stages that write files, for which the size of a Bigtable cluster says nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_dataset(parser)
    parser.add_argument(
        f"--{STAGE}", metavar="NAME", default=DEFAULT_STAGE, help="the stage that the plan is for"
    )
    parser.add_argument(
        "--raw", action="store_true", help="plan for raw agglomeration (ingest_config.AGGLOMERATION)"
    )
    parser.add_argument(
        "--sample", metavar="N", type=int, help="measure N blocks of eight chunks (default: 64)"
    )
    parser.add_argument(
        "--nodes", metavar="N", type=int, nargs="+", help="sizes of the Bigtable cluster to compare"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        nargs="+",
        help="numbers of workers to compare, for prepare and mesh",
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
    """Estimate what a stage will take."""
    with importing():
        from beam_ingest.cli.plan_lines import lines_of, lines_of_stage
        from beam_ingest.cli.planning import Wishes, known_prices, make_plan
        from beam_ingest.cli.stage_planning import make_stage_plan, stage_sampler
        from beam_ingest.dataset import Dataset
        from beam_ingest.ingest.job import make_job
        from beam_ingest.plan.plan_dataset import SAMPLE
        from beam_ingest.plan.prices import DEFAULT_REGION
        from beam_ingest.runners.options import check_options

    stage = arguments.stage
    stage_module(stage)  # refuses others
    blocks = SAMPLE if arguments.sample is None else arguments.sample
    _check_numbers(arguments, blocks)
    given = dict(arguments.beam)
    wishes = Wishes(region=given.get("region") or DEFAULT_REGION, prices=arguments.prices)
    wishes = wishes._replace(machine_type=arguments.worker_type, hours=arguments.hours)
    if arguments.nodes:
        wishes = wishes._replace(nodes=arguments.nodes)
    wishes = wishes._replace(workers=arguments.workers)
    prices = known_prices(wishes)
    check_options(given)
    dataset = Dataset.from_file(arguments.dataset)
    store = _store(arguments, dataset, given)
    if stage == DEFAULT_STAGE:
        job = make_job("plan", dataset, store, raw=arguments.raw)
        small = min(blocks * _CHUNKS_A_BLOCK, job.grid.chunk_count(2)) * job.weight <= _SMALL
        plan = make_plan(job, blocks, _beam_options(job, given, small), wishes, prices)
        print(json.dumps(plan.as_dict()) if arguments.json else "\n".join(lines_of(plan)))
        return 0
    sampler = stage_sampler(stage, dataset, store, arguments.raw, blocks)
    small = min(sampler.most_voxels, sampler.volume) <= _FEW_VOXELS
    of_stage = make_stage_plan(sampler, _beam_options(sampler.job, given, small), wishes, prices)
    print(json.dumps(of_stage.as_dict()) if arguments.json else "\n".join(lines_of_stage(of_stage)))
    return 0


def _check_numbers(arguments: argparse.Namespace, blocks: int) -> None:
    if blocks < 1:
        raise ConfigError(f"--sample {blocks}: expected 1 or more")
    by_workers = arguments.stage in _BY_WORKERS
    for name, counts, used in (
        ("nodes", arguments.nodes, not by_workers),
        ("workers", arguments.workers, by_workers),
    ):
        if counts and not used:
            other = "workers" if by_workers else "nodes"
            raise ConfigError(f"--{name}: {arguments.stage} is compared by --{other}")
        for count in counts or ():
            if not 1 <= count <= 100_000:
                raise ConfigError(f"--{name} {count}: expected 1 to 100,000")
    if arguments.raw and arguments.stage == "prepare":
        raise ConfigError("--raw: prepare reads volumes, not raw agglomeration")
    if arguments.hours is not None and not 0 < arguments.hours < 1e9:
        raise ConfigError(f"--hours {arguments.hours}: expected more than 0")


def _store(arguments: argparse.Namespace, dataset: Dataset, given: Mapping[str, Any]) -> str:
    """Where the graph would go; a store that is none where nothing says so and nothing needs it."""
    from beam_ingest.cli.place import place_option
    from beam_ingest.runners.dataflow import is_dataflow
    from beam_ingest.stores import store_url

    try:
        return store_url(dataset, "plan", place_option(arguments, dataset))
    except ConfigError:
        if is_dataflow(given):  # whose jobs are known by their table
            raise
        return "sqlite:none"


def _beam_options(job: StageJob, given: Mapping[str, Any], small: bool) -> dict[str, Any]:
    """Beam's options for a plan; `small` if one process is enough."""
    from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
    from beam_ingest.runners.options import is_local

    if is_dataflow(given):
        name = {"job_name": f"beam-ingest-plan-{uuid4().hex[:8]}"}
        return dataflow_options(job, name | dict(given), any_region=True)
    if is_local(given):
        return {"direct_num_workers": 1 if small else os.cpu_count() or 1} | dict(given)
    return dict(given)
