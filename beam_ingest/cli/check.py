"""``beam-ingest check``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import apache_beam as beam

from beam_ingest.checks import inspect, listing
from beam_ingest.checks.before import check_regions, check_rights, configured_job
from beam_ingest.checks.check_dataset import CheckDataset
from beam_ingest.checks.check_job import SAMPLE, CheckJob
from beam_ingest.checks.findings import CONFIGURATION, Case, Findings
from beam_ingest.cli.engine import engine
from beam_ingest.cli.log import logged
from beam_ingest.cli.place import place_option, worker_of
from beam_ingest.cli.temporary import report_folder, temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, RunError
from beam_ingest.ingest.job import IngestJob
from beam_ingest.runners.dataflow import dataflow_options, is_dataflow
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.runners.pipeline import run_pipeline
from beam_ingest.runners.reasons import reason
from beam_ingest.stages.findings import Tallies
from beam_ingest.stages.report import read_report

_WRONG, _MISCONFIGURED = 1, 2


def run(arguments: argparse.Namespace) -> int:
    """Check a dataset."""
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
        options = _options(ingest, options, count)
        with temporary_folder(is_local(options)):
            job = CheckJob(ingest, count, report_folder(options, "check"))
            with engine(options) as options, logged():
                findings.merge(_inspected(job, options))
        listing.conclude(listing.file_kinds(dataset, job.grid, ingest.raw), dataset.chunk_size, findings)
        inspect.conclude(job, findings)
    if arguments.json:
        chunks = None if job is None else job.grid.chunks
        opened = 0 if job is None else job.selection.size
        head = {"dataset": dataset.path, "raw": arguments.raw, "grid": chunks, "sample": opened}
        print(json.dumps(head | {"wrong": findings.total} | findings.as_dict()))
    else:
        _show(dataset, job, findings, time.monotonic() - begun)
    return _MISCONFIGURED if CONFIGURATION in findings.problems else _WRONG if findings.total else 0


def _options(job: IngestJob, given: Mapping[str, Any], count: int | None) -> dict[str, Any]:
    """Beam's options for a check."""
    if is_dataflow(given):
        # Two checks do not disturb each other, so that they need not share a name as builders do.
        name = {"job_name": f"beam-ingest-check-{uuid4().hex[:8]}"}
        return dataflow_options(job, name | dict(given), any_region=True)
    if is_local(given):
        workers = 1 if count == SAMPLE else default_workers(job.grid, job.raw)
        return {"direct_num_workers": workers} | dict(given)
    return dict(given)


def _inspected(job: CheckJob, options: Mapping[str, Any]) -> Findings:
    """Run the check's pipeline to its end, and read what it found."""

    def build(pipeline: beam.Pipeline) -> None:
        pipeline | "Check" >> CheckDataset(job)

    try:
        run_pipeline(build, options)
    except Exception as error:
        known = reason(error)
        if known is error and not is_local(options):  # the runner's own page or log says more
            known = RunError(f"the check could not be run: {' '.join(str(error).split())}")
        raise known from error
    return read_report(Findings, job.report)


def _show(dataset: Dataset, job: CheckJob | None, findings: Findings, seconds: float) -> None:
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
    _show_tallies("WRONG", findings.problems)
    verdict = f"{findings.total:,} times something is wrong" if findings.total else "nothing is wrong"
    print(f"\n{dataset.path}: {verdict} (checked in {seconds:.1f} s)")


def _show_tallies(head: str, tallies: Tallies[Case]) -> None:
    for kind, tally in sorted(tallies.items()):
        print(f"\n{head}: {kind}: {tally.count:,}")
        for case in tally.examples:
            print(f"  {case.line}")
        if tally.examples and tally.count > len(tally.examples):
            print(f"  ... {tally.count:,} in all")
