"""``beam-ingest verify``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from beam_ingest.cli.colour import coloured
from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_json, add_settings
from beam_ingest.cli.sizes import count_of
from beam_ingest.errors import BeamIngestError

if TYPE_CHECKING:
    from beam_ingest.verify.findings import Findings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    add_settings(parser)
    add_json(parser)
    parser.add_argument(
        "--meshes", action="store_true", help="verify the graph's meshes in place of its cells"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify a graph; 1 when it differs from its inputs."""
    if arguments.meshes:
        with importing():
            from beam_ingest.cli import verifying_meshes
        return verifying_meshes.run(arguments)
    with importing():
        from beam_ingest.cli.place import graph_place
        from beam_ingest.cli.reporting import run_for_report
        from beam_ingest.cli.temporary import report_folder, temporary_folder
        from beam_ingest.dataset import Dataset
        from beam_ingest.runners.options import check_options, default_workers, is_local
        from beam_ingest.verify.findings import Findings
        from beam_ingest.verify.verify_graph import VerifyGraph
        from beam_ingest.verify.verify_job import make_verify_job

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
        changed = dataset.difference(job.manifest.dataset)
        if changed:
            key, was, now = changed
            print(f"note: the graph was built with {key} {was}, not {now}", file=sys.stderr)
        unfinished = job.unfinished()
        if unfinished is not None:
            raise BeamIngestError(unfinished)
        findings = run_for_report(
            f"Verify {arguments.graph_id}", VerifyGraph(job), Findings, job.report, options, job.totals
        )
    if arguments.json:
        print(json.dumps({"graph_id": arguments.graph_id, "total": findings.total} | findings.as_dict()))
    else:
        _show(arguments.graph_id, findings, time.monotonic() - begun)
    return 1 if findings.total else 0


def _show(graph_id: str, findings: Findings, seconds: float) -> None:
    for name, count in sorted(findings.counts.items()):
        print(f"{name:<26}{count:>16,}")
    for kind, tally in sorted(findings.problems.items()):
        print(f"\n{kind}: {tally.count:,}")
        for line in tally.examples:
            print(f"  {line}")
        if tally.count > len(tally.examples):
            print(f"  ... and {tally.count - len(tally.examples):,} more")
    cells = findings.counts["cells"]
    if findings.total:
        verdict = f"Graph {graph_id} differs from its inputs: {count_of(findings.total, 'difference')} found"
        print(f"\n{coloured(f'{verdict} ({seconds:.1f} s)', good=False)}")
    else:
        verdict = f"Graph {graph_id} matches its inputs ({cells:,} cells verified in {seconds:.1f} s)"
        print(f"\n{coloured(verdict, good=True)}")
