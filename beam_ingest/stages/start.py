"""Starting a job of any stage: making its table, or taking up one that was begun."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.format import table
from beam_ingest.stages import failures
from beam_ingest.stages.job import SomeJob, StageJob
from beam_ingest.stages.manifest import OWNED_SECONDS, Manifest, damaged_manifest, read_manifest
from beam_ingest.stages.removal import check_removable, refuse_existing, remove_table
from beam_ingest.stages.splits import check_tablets
from beam_ingest.stores import Store
from beam_ingest.version import __version__


def start_job(
    job: SomeJob,
    *,
    overwrite: bool = False,
    resume: bool = False,
    tablets: int | None = None,
    before: Callable[[SomeJob], object] = lambda job: None,
) -> SomeJob:
    """Make the table with its manifest, meta and version rows, or take up an existing one.

    Args:
      job: what is to be built.
      overwrite: remove a graph that is there; with raw input, replace edges and components files too.
      resume: take up a graph that was begun.
      tablets: how many parts a table of many servers begins with; if None, as many as a resumed graph was
        begun with, or by the estimated rows.
      before: called with the job that is returned when all is checked, before a table is removed or made;
        when it raises, neither happens. Not called when a graph is resumed.

    Returns:
      The job with its timestamp, ready for `beam_ingest.IngestGraph`.

    Raises:
      GraphExistsError: when the graph is there and neither `overwrite` nor `resume` is asked for.
      ConfigError: when it is to be resumed but was begun differently, or `tablets` is a wrong number.
      StoreError: when the store cannot be written, or what is there is no graph that may be removed.
    """
    if tablets is not None:
        check_tablets(tablets)
    with job.open_store() as store:
        if resume:
            return _resume(job, store, tablets)
        if not overwrite:
            refuse_existing(store, job)
        else:
            check_removable(store, job.stage)
        job.check_files(store, overwrite)
        splits = job.splits(tablets)
        job = job.begun(int(time.time() * 1000) * 1000, overwrite)
        first = [*job.first_cells(), *job.manifest(__version__, tablets).cells()]
        before(job)
        if overwrite and remove_table(store, job.stage) and store.shared:
            time.sleep(OWNED_SECONDS)  # until every other job has noticed that its table is gone
        make_table(store, splits, first, job.timestamp)
        job.make_ready(store)
        return job


def make_table(store: Store, splits: list[bytes], cells: table.Cells, timestamp: int) -> None:
    """Make a table with its first cells, or none: without its manifest it would only be in the way."""
    store.create(splits)
    try:
        store.write(cells, timestamp)
    except BaseException:
        with suppress(StoreError):
            store.drop()
        raise


def check_resumable(job: StageJob, store: Store) -> Manifest:
    """Find out whether `job` can finish the graph in `store`; nothing is changed.

    Comments, white space, the order of keys and secrets of the dataset file may differ.

    Returns:
      The manifest of the graph that was begun.

    Raises:
      ConfigError: when there is no graph, or it was begun differently.
      StoreError: when the store cannot be read, or has no sound manifest.
    """
    if not store.exists():
        raise ConfigError(f"{store.place}: there {job.verb} no {job.noun} to resume; leave --resume out")
    manifest = read_manifest(store)
    asked = {"stage": job.stage, "graph_id": job.graph_id, "program": __version__, **job.options}
    begun = {**vars(manifest), **manifest.options}
    for name, value in asked.items():
        if begun.get(name) != value:
            shown = _NAMES.get(name) or job.key_of(name) or f"--{name.replace('_', '-')}"
            raise _begun_otherwise(store, f"{shown} {begun.get(name)}, not {value}")
    if not manifest.has_options(job.option_types):
        raise damaged_manifest(store)
    where = job.dataset.path
    try:  # through the same checks, whatever version wrote it
        before = Dataset.from_text(manifest.dataset, where).text
    except ConfigError as error:
        raise StoreError(
            f"{store.place}: the dataset in its manifest cannot be read: {error}; "
            f"--overwrite makes {job.title} from scratch"
        ) from None
    differs = job.dataset.difference(before)
    if differs is not None:
        key, was, now = differs
        raise _begun_otherwise(store, f"{key} {was}, not {now} as in {where}")
    if manifest.chunks != job.grid.chunks:
        raise _begun_otherwise(store, f"a grid of chunks {manifest.chunks}, not {job.grid.chunks}")
    return manifest


def _begun_otherwise(store: Store, differs: str) -> ConfigError:
    return ConfigError(
        f"{store.place}: it was begun with {differs}; "
        "resume it as it was begun, or build it from scratch with --overwrite"
    )


def _resume(job: SomeJob, store: Store, tablets: int | None) -> SomeJob:
    manifest = check_resumable(job, store)
    job.take_back(store, manifest, tablets or manifest.tablets)
    failures.clear_failures(store)
    job = job.taken_up(manifest)
    job.make_ready(store)
    return job


_NAMES = {
    "stage": "stage",
    "graph_id": "graph id",
    "program": "beam-ingest",
    "graph": "graph",
    "graph_built": "a graph built at",
}
"""What messages call what is compared, where it is no option."""
