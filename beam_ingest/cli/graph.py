"""``beam-ingest graph``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from beam_ingest import progress
from beam_ingest.cli import INTERRUPTED
from beam_ingest.cli.display import ProgressDisplay, print_summary
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError
from beam_ingest.job import IngestJob, make_job, start_job
from beam_ingest.run import WorkerDiedError, check_options, default_workers, is_local, run_job
from beam_ingest.scope import Scope
from beam_ingest.stores import store_url


def run(arguments: argparse.Namespace) -> int:
    """Build a graph."""
    start = time.monotonic()
    dataset = Dataset.from_file(arguments.dataset)
    job = make_job(
        arguments.graph_id,
        dataset,
        store_url(dataset, arguments.graph_id, arguments.store, arguments.bigtable_app_profile),
        graph_version=arguments.graph_version,
        raw=arguments.raw,
        test=arguments.test,
        require_files=arguments.require_files,
    )
    if job.raw and not dataset.edges:
        print("note: no data_source.EDGES: servers find no edges there, and cannot split", file=sys.stderr)
    options = dict(arguments.beam)
    if is_local(options):
        options.setdefault("direct_num_workers", default_workers(job))
    check_options(options)
    if arguments.overwrite:
        _confirm(job, arguments.yes)
    job = start_job(
        job,
        overwrite=arguments.overwrite,
        resume=arguments.resume,
        tablets=arguments.bigtable_tablets,
    )
    store, scope = job.open_store(), Scope(job.grid, job.test)
    if job.resume and progress.is_complete(progress.read_status(store, job.grid), scope):
        print(f"graph {job.graph_id} is complete already: nothing to resume")
        return 0
    try:
        with _temporary_folder(is_local(options)), ProgressDisplay(store, job) as display:
            run_job(job, options, display.update)
    except (KeyboardInterrupt, WorkerDiedError) as error:
        what = error if isinstance(error, WorkerDiedError) else "interrupted"
        print(f"\nbeam-ingest: {what}; --resume finishes graph {job.graph_id}", file=sys.stderr, flush=True)
        if is_local(options):  # the pipeline's threads do not end when asked
            os._exit(1 if what is error else INTERRUPTED)
        return INTERRUPTED
    status = progress.read_status(store, job.grid)
    if not progress.is_complete(status, scope):
        raise BeamIngestError(
            f"graph {job.graph_id}: the run ended before every chunk was built; --resume finishes it"
        )
    store.finish()
    print_summary(job, store.place, status, time.monotonic() - start)
    return 0


@contextmanager
def _temporary_folder(own: bool) -> Iterator[None]:
    """Keep what a local run leaves in the folder for temporary files in one that goes with it.

    Other runners tidy up after themselves, when the process ends.
    """
    if not own:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="beam-ingest-", ignore_cleanup_errors=True) as folder:
        previous, tempfile.tempdir = tempfile.tempdir, folder
        try:
            yield
        finally:
            tempfile.tempdir = previous


def _confirm(job: IngestJob, yes: bool) -> None:
    """Ask before a table that others may be using is removed.

    Raises:
      ConfigError: when the answer is not its name, or nobody can be asked.
    """
    store = job.open_store()
    if yes or not store.shared or not store.exists():
        return
    advice = f"{store.place} is not removed; type its name when asked, or add --yes"
    if not sys.stdin.isatty():
        raise ConfigError(advice)
    if input(f"{store.place} will be removed. Type {job.graph_id} to go on: ").strip() != job.graph_id:
        raise ConfigError(advice)
