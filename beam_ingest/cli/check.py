"""``beam-ingest check``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from beam_ingest.cli.colour import coloured
from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_app_profile, add_dataset, add_json, add_settings
from beam_ingest.cli.sizes import count_of
from beam_ingest.errors import BeamIngestError, ConfigError

if TYPE_CHECKING:
    from beam_ingest.checks.check_job import CheckJob
    from beam_ingest.checks.findings import Case, Findings
    from beam_ingest.ingest.job import IngestJob
    from beam_ingest.stages.findings import Tallies

_WRONG, _MISCONFIGURED = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_dataset(parser)
    parser.add_argument(
        "--raw", action="store_true", help="check raw agglomeration (ingest_config.AGGLOMERATION)"
    )
    opened = parser.add_mutually_exclusive_group()
    opened.add_argument(
        "--sample", metavar="N", type=int, help="open N chunks, spread over the grid (default: 8)"
    )
    opened.add_argument("--all", action="store_true", help="open every chunk")
    add_app_profile(parser)
    add_settings(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check a dataset; 1 when there are problems, 2 when the dataset file itself has some."""
    with importing():
        from beam_ingest.checks import inspect, listing
        from beam_ingest.checks.before import check_regions, check_rights, configured_job
        from beam_ingest.checks.check_dataset import CheckDataset
        from beam_ingest.checks.check_job import SAMPLE, CheckJob
        from beam_ingest.checks.findings import CONFIGURATION, Findings
        from beam_ingest.cli.place import place_option, worker_of
        from beam_ingest.cli.reporting import run_for_report
        from beam_ingest.cli.temporary import report_folder, temporary_folder
        from beam_ingest.dataset import Dataset
        from beam_ingest.format.grid import ATOMIC_LAYER
        from beam_ingest.runners.options import check_options, is_local

    begun = time.monotonic()
    count = None if arguments.all else SAMPLE if arguments.sample is None else arguments.sample
    if count is not None and count < 1:
        raise ConfigError(f"--sample {count}: expected 1 or more; --all opens every chunk")
    dataset, options, findings = Dataset.from_file(arguments.dataset), dict(arguments.beam), Findings()
    check_options(options)
    store = place_option(arguments, dataset)
    ingest = configured_job(dataset, arguments.raw, store, findings, arguments.bigtable_app_profile)
    job = None
    if ingest is not None:
        check_rights(ingest, findings, worker_of(arguments, ingest.store))
        check_regions(ingest, options.get("region"), findings)
        options = _beam_options(ingest, options, count)
        with temporary_folder(is_local(options)):
            job = CheckJob(ingest, count, report_folder(options, "check"))
            total = job.grid.chunk_count(ATOMIC_LAYER) if job.selection.is_all else None
            findings.merge(
                run_for_report(
                    "Check", CheckDataset(job), Findings, job.report, options, {ATOMIC_LAYER: total}
                )
            )
        listing.conclude(listing.file_kinds(dataset, job.grid, ingest.raw), dataset.chunk_size, findings)
        inspect.conclude(job, findings)
    if arguments.json:
        chunks = None if job is None else job.grid.chunks
        opened = 0 if job is None else job.selection.size
        head = {"dataset": dataset.path, "raw": arguments.raw, "grid": chunks, "sample": opened}
        print(json.dumps(head | {"wrong": findings.total} | findings.as_dict()))
    else:
        _show(job, findings)
        if ingest is not None and not findings.total:
            _show_plan(ingest, options.get("region"))
        verdict = count_of(findings.total, "problem") if findings.total else "No problems"
        line = f"{verdict} found in {dataset.path} (checked in {time.monotonic() - begun:.1f} s)"
        print(f"\n{coloured(line, good=not findings.total)}")
    return _MISCONFIGURED if CONFIGURATION in findings.problems else _WRONG if findings.total else 0


def _beam_options(job: IngestJob, given: Mapping[str, Any], count: int | None) -> dict[str, Any]:
    """Beam's options for a check."""
    from beam_ingest.checks.check_job import SAMPLE
    from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
    from beam_ingest.runners.options import default_workers, is_local

    if is_dataflow(given):
        # Two checks do not disturb each other, so they need not share a name as builders do.
        name = {"job_name": f"beam-ingest-check-{uuid4().hex[:8]}"}
        return dataflow_options(job, name | dict(given), any_region=True)
    if is_local(given):
        workers = 1 if count == SAMPLE else default_workers(job.grid, job.weight)
        return {"direct_num_workers": workers} | dict(given)
    return dict(given)


def _show_plan(ingest: IngestJob, region: str | None) -> None:
    """What the graph will take, by a few blocks."""
    from beam_ingest.cli.plan_lines import short_lines
    from beam_ingest.cli.planning import Wishes, quick_plan
    from beam_ingest.plan.prices import DEFAULT_REGION

    try:
        lines = short_lines(quick_plan(ingest, Wishes(region=region or DEFAULT_REGION)))
    except BeamIngestError as error:  # in blocks that were not checked
        lines = [f"no plan: {error}"]
    print("", *lines, sep="\n")


def _show(job: CheckJob | None, findings: Findings) -> None:
    if job is not None:
        total = job.grid.chunk_count(2)
        grid = "x".join(map(str, job.grid.chunks))
        print(
            f"grid: {grid} = {total:,} chunks, {job.grid.layer_count} layers; opened {job.selection.size:,}"
        )
    for name, count in sorted(findings.counts.items()):
        print(f"  {name:<26}{count:>16,}")
    _show_tallies("note", findings.notes)
    for line in sorted(findings.unchecked):
        print(f"\nnot checked: {line}")
    _show_tallies("PROBLEM", findings.problems)


def _show_tallies(head: str, tallies: Tallies[Case]) -> None:
    for kind, tally in sorted(tallies.items()):
        print(f"\n{head}: {kind}: {tally.count:,}")
        for case in tally.examples:
            print(f"  {case.line}")
        if tally.examples and tally.count > len(tally.examples):
            print(f"  ... {tally.count:,} in all")
