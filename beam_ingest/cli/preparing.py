"""Running ``beam-ingest prepare``."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from beam_ingest.cli.engine import engine
from beam_ingest.cli.log import logged
from beam_ingest.cli.sizes import size
from beam_ingest.cli.temporary import temporary_folder
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ChunksFailedError, ConfigError, StoppedError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.runners.dataflow import is_dataflow
from beam_ingest.runners.options import check_options, default_workers, is_local
from beam_ingest.runners.run import run_job
from beam_ingest.stages import progress
from beam_ingest.stages.removal import check_removable
from beam_ingest.stages.start import start_job
from beam_ingest.stores import Store
from beam_ingest.volumes.job import PrepareJob, make_prepare_job
from beam_ingest.volumes.totals import Totals, read_totals


def run(arguments: argparse.Namespace) -> int:
    """Make edges, components and a watershed of volumes."""
    begun = time.monotonic()
    job = make_prepare_job(Dataset.from_file(arguments.dataset), arguments.store, test=arguments.test)
    options = dict(arguments.beam)
    if is_dataflow(options):
        raise ConfigError(
            "prepare runs on this machine, on Prism and on Flink; Dataflow is not supported yet"
        )
    if is_local(options):
        options.setdefault("direct_num_workers", default_workers(job.grid))
    check_options(options)
    with job.open_store() as store:
        if arguments.overwrite:
            check_removable(store)
        if not arguments.resume and not (arguments.overwrite and store.exists()):
            job.check_outputs()  # without a table the owner of the files is unknown
    with engine(options) as options:  # or there would be a table that nothing is written to
        job = start_job(job, overwrite=arguments.overwrite, resume=arguments.resume)
        with job.open_store() as store:
            # Not before: a table that marks chunks as done must not outlive their files.
            if not _done(job, store):
                job.remove_outputs()
        job.write_info()
        return _run(job, options, begun)


def _run(job: PrepareJob, options: dict[str, Any], begun: float) -> int:
    with job.open_store() as store:
        if job.resume and _done(job, store) == job.written_count:
            print(f"{job.dataset.path}: everything is prepared already: nothing to resume")
            return 0
        _prepare(job, store, options)
        store.finish()
        _show(job, read_totals(store), time.monotonic() - begun)
    return 0


def _prepare(job: PrepareJob, store: Store, options: dict[str, Any]) -> None:
    """Run the job to its end."""
    console = Console(file=sys.stderr)
    bar = Progress(
        TextColumn("chunks"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
        redirect_stderr=False,
    )
    task = bar.add_task("chunks", total=job.written_count)
    try:
        with logged(), temporary_folder(is_local(options)), bar:
            run_job(job, options, lambda: bar.update(task, completed=_done(job, store)))
    except KeyboardInterrupt:
        raise StoppedError("interrupted; the same command with --resume finishes it") from None
    except ChunksFailedError as error:
        listed = f"beam-ingest failures {job.graph_id} {shlex.quote(job.dataset.path)}"
        place = job.store if job.store.startswith("sqlite:") else "/".join(job.store.split("/")[:2])
        raise ChunksFailedError(
            str(error).replace(listed, f"{listed} --store {shlex.quote(place)}")
        ) from error
    if _done(job, store) != job.written_count:
        raise BeamIngestError("the run ended before every chunk was written; --resume finishes it")


def _done(job: PrepareJob, store: Store) -> int:
    return progress.read_layer(store, job.grid, ATOMIC_LAYER).done


def _show(job: PrepareJob, totals: Totals, seconds: float) -> None:
    """What was made, and where it is."""
    source = job.dataset
    print(f"prepared {source.path} in {seconds:.1f} s")
    print(f"  chunks       {job.written_count:,}")
    print(f"  pieces       {totals.pieces:,} of supervoxels, {totals.alone:,} of them touch nothing")
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
    print(f"  written      {size(totals.nbytes)}")
    print(f"  EDGES        {source.edges}")
    print(f"  COMPONENTS   {source.components}")
    print(f"  WATERSHED    {source.watershed}{' (read, not written)' if job.chunked else ''}")
