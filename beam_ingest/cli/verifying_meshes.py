"""Running ``beam-ingest verify --meshes``."""

from __future__ import annotations

import argparse
import json
import time

from beam_ingest.cli.colour import coloured
from beam_ingest.cli.place import graph_place
from beam_ingest.cli.reporting import run_for_report
from beam_ingest.cli.sizes import count_of
from beam_ingest.cli.temporary import report_folder, temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError
from beam_ingest.meshes.job import MeshJob, make_mesh_job
from beam_ingest.meshes.places import mesh_url
from beam_ingest.meshes.verify_meshes import MeshFindings, VerifyMeshes, layer_totals
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.stages.manifest import read_manifest
from beam_ingest.stages.start import check_resumable
from beam_ingest.stores import open_store


def run(arguments: argparse.Namespace) -> int:
    """Verify the meshes of a graph; 1 when something is wrong with them."""
    begun = time.monotonic()
    dataset, options = Dataset.from_file(arguments.dataset), dict(arguments.beam)
    check_options(options)
    job = _finished_job(arguments, dataset)
    if is_local(options):
        options.setdefault("direct_num_workers", default_workers(job.grid, job.weight))
    with temporary_folder(is_local(options)):
        folder = report_folder(options, "verify")
        verify = VerifyMeshes(job, folder)
        totals: dict[int, int | None] = {**layer_totals(job)}
        found = run_for_report(f"Verify {job.graph_id}", verify, MeshFindings, folder, options, totals)
    if arguments.json:
        print(json.dumps({"graph_id": arguments.graph_id, "total": found.total} | found.as_dict()))
    else:
        _show(arguments.graph_id, job, found, time.monotonic() - begun)
    return 1 if found.total else 0


def _finished_job(arguments: argparse.Namespace, dataset: Dataset) -> MeshJob:
    """The job whose meshes are there.

    Raises:
      ConfigError: when they were made otherwise than the dataset file says.
      BeamIngestError: when they are not there, or not finished.
    """
    place = graph_place(arguments, dataset)
    with open_store(mesh_url(dataset, arguments.graph_id, place)) as store:
        if not store.exists():
            raise BeamIngestError(
                f"{store.place}: there are no meshes of graph {arguments.graph_id}; "
                "`beam-ingest mesh` makes them"
            )
        test = bool(read_manifest(store).options["test"])
        job = make_mesh_job(arguments.graph_id, dataset, place, test=test)
        job = job.taken_up(check_resumable(job, store))
        if not job.is_finished(store):
            raise BeamIngestError(f"{job.title} are not finished: use --resume, then verify them")
    return job


def _show(graph_id: str, job: MeshJob, found: MeshFindings, seconds: float) -> None:
    for name, count in sorted(found.counts.items()):
        print(f"{name:<30}{count:>16,}")
    for layer, (low, high) in sorted(found.bounds.items()):
        print(f"{f'layer {layer} bounds':<30}{low} to {high} nm")
    for kind, tally in sorted(found.problems.items()):
        print(f"\n{kind}: {tally.count:,}")
        for line in tally.examples:
            print(f"  {line}")
        if tally.count > len(tally.examples):
            print(f"  ... and {tally.count - len(tally.examples):,} more")
    if found.total:
        verdict = f"Meshes of graph {graph_id}: {count_of(found.total, 'problem')} found ({seconds:.1f} s)"
        print(f"\n{coloured(verdict, good=False)}")
        return
    meshes = sum(found.counts[f"layer {layer} meshes"] for layer in layer_totals(job))
    verdict = f"Meshes of graph {graph_id}: no problems found ({meshes:,} verified in {seconds:.1f} s)"
    print(f"\n{coloured(verdict, good=True)}")
