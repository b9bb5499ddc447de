"""``beam-ingest prepare``."""

from __future__ import annotations

import argparse
import sys
from textwrap import fill
from typing import TYPE_CHECKING

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_stage
from beam_ingest.cli.sizes import size

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.stages.progress import LayerStatus
    from beam_ingest.volumes.job import PrepareJob


_INDENT = " " * 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_stage(
        parser,
        of_a_graph=False,
        test="make only what graph --test reads: the eight chunks at the centre and those around them",
        store=" of progress",
        table="a new table of progress",
        replaced="the files of an earlier run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make edges, components and a watershed from volumes."""
    with importing():
        from beam_ingest.cli.run_stage import run_stage
    return run_stage(arguments, make_job, _print_summary)


def make_job(arguments: argparse.Namespace, dataset: Dataset) -> PrepareJob:
    """The job that the arguments ask for."""
    from beam_ingest.volumes.job import make_prepare_job

    job = make_prepare_job(dataset, arguments.store, arguments.bigtable_app_profile, test=arguments.test)
    if "CHUNK_SIZE" in dataset.unchosen:
        print(f"note: {_chunks(job)}, as graph_config leaves it open", file=sys.stderr)
    return job


def _chunks(job: PrepareJob) -> str:
    return f"CHUNK_SIZE {list(job.dataset.chunk_size)}, SPATIAL_BITS {job.dataset.spatial_bits}"


def _print_summary(job: PrepareJob, place: str, layers: list[LayerStatus], seconds: float) -> None:
    """What was made, and where it is."""
    from beam_ingest.volumes.coherence import LabelTotals
    from beam_ingest.volumes.totals import read_label_totals, read_totals

    source = job.dataset
    with job.open_store() as store:
        totals, labels = read_totals(store), read_label_totals(store) or LabelTotals()
    print(f"prepared {source.path} in {seconds:.1f} s")
    print(f"  chunks       {layers[-1].done:,}; {_chunks(job)}")
    print(f"  supervoxels  {labels.supervoxels:,}, {labels.without_neighbour:,} of them without a neighbour")
    print(f"  pieces       {totals.pieces:,}, {totals.alone:,} of them touch nothing")
    for name, count, area in (
        ("in chunks", totals.in_chunk, totals.in_chunk_area),
        ("cut", totals.cross_chunk, totals.cross_chunk_area),
        ("between", totals.between_chunk, totals.between_chunk_area),
    ):
        print(f"  {name:<12} {count:,} contacts of {area:,} voxel faces")
    if totals.mixed:
        print(f"  several      {totals.mixed:,} pieces have several labels: the most frequent counts")
    if totals.unmapped:
        print(f"  unmapped     {totals.unmapped:,} pieces have the agglomerated label 0")
    if labels.incoherent:
        print(f"  apart        {labels.incoherent:,} agglomerated labels do not cohere: no contacts connect")
        named = ", ".join(f"{label} ({parts} parts)" for label, parts in labels.examples)
        more = ", ..." if labels.incoherent > len(labels.examples) else ""
        print(fill(f"their pieces: {named}{more}", 100, initial_indent=_INDENT, subsequent_indent=_INDENT))
    print(f"  written      {size(totals.nbytes)}")
    print(f"  EDGES        {source.edges}")
    print(f"  COMPONENTS   {source.components}")
    print(f"  WATERSHED    {source.watershed}{' (read, not written)' if job.chunked else ''}")
