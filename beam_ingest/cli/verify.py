"""``beam-ingest verify``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from beam_ingest import document
from beam_ingest.cli.engine import engine
from beam_ingest.cli.log import logged
from beam_ingest.cli.place import graph_place
from beam_ingest.cli.temporary import report_folder, temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.runners.pipeline import run_pipeline
from beam_ingest.runners.reasons import reason
from beam_ingest.stages.report import read_report
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.verify_graph import VerifyGraph
from beam_ingest.verify.verify_job import VerifyJob, make_verify_job


def run(arguments: argparse.Namespace) -> int:
    """Verify a graph."""
    begun = time.monotonic()
    dataset, options = Dataset.from_file(arguments.dataset), dict(arguments.beam)
    check_options(options)
    with temporary_folder(is_local(options)):
        job = make_verify_job(
            arguments.graph_id,
            dataset,
            graph_place(arguments, dataset),
            report_folder(options, "verify"),
        )
        if is_local(options):
            options.setdefault("direct_num_workers", default_workers(job.grid))
        changed = document.difference(job.manifest.dataset, dataset.text, dataset.path)
        if changed:
            key, was, now = changed
            print(f"note: the graph was built with {key} {was}, not {now}", file=sys.stderr)
        unfinished = job.unfinished()
        if unfinished is not None:
            raise BeamIngestError(unfinished)
        with engine(options) as options, logged():
            findings = _verified(job, options)
    if arguments.json:
        print(json.dumps({"graph_id": arguments.graph_id, "total": findings.total} | findings.as_dict()))
    else:
        _show(arguments.graph_id, findings, time.monotonic() - begun)
    return 1 if findings.total else 0


def _verified(job: VerifyJob, options: Mapping[str, Any]) -> Findings:
    def build(pipeline: beam.Pipeline) -> None:
        pipeline | f"Verify {job.manifest.graph_id}" >> VerifyGraph(job)

    try:
        run_pipeline(build, options)
    except Exception as error:
        raise reason(error) from error
    return read_report(Findings, job.report)


def _show(graph_id: str, findings: Findings, seconds: float) -> None:
    for name, count in sorted(findings.counts.items()):
        print(f"{name:<22}{count:>16,}")
    if not findings.total:
        print(f"\ngraph {graph_id} is what its inputs make it (verified in {seconds:.1f} s)")
        return
    for kind, tally in sorted(findings.problems.items()):
        print(f"\n{kind}: {tally.count:,}")
        for line in tally.examples:
            print(f"  {line}")
        if tally.count > len(tally.examples):
            print(f"  ... and {tally.count - len(tally.examples):,} more")
    print(f"\ngraph {graph_id} differs from its inputs: {findings.total:,} differences ({seconds:.1f} s)")
