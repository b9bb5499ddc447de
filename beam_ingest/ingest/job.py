"""One ingest: what is built, from what, into which store, under which timestamp."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from beam_ingest import document
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.files import Folder
from beam_ingest.format import table
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.format.meta import encode_meta
from beam_ingest.format.splits import check_tablets, split_keys, tablet_count
from beam_ingest.ingest.rollback import blocks_around, clear_block
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.stages import failures, progress
from beam_ingest.stages.removal import check_removable, refuse_existing, remove_graph
from beam_ingest.stages.scope import BLOCK_LAYER, Scope
from beam_ingest.stores import Store, open_store
from beam_ingest.stores.names import check_table
from beam_ingest.version import __version__


@dataclass(frozen=True)
class IngestJob:
    """One ingest; travels to the workers with every transform.

    Attributes:
      graph_id: the graph to build.
      dataset: what it is built from.
      grid: the chunk grid.
      resolution: size of a voxel in nanometres along x, y and z.
      store: URL of the store (`beam_ingest.stores.store_url`).
      graph_version: 3 or 2, the major version of PyChunkedGraph that opens it.
      raw: read raw agglomeration instead of edges and components files.
      test: write only the eight chunks at the centre, and their parent.
      require_files: an absent edges or components file is an error.
      timestamp: of every cell, microseconds since 1970, whole milliseconds; 0 until it is started.
      resume: chunks that are marked done are not written again.
      replace_files: files that raw agglomeration becomes take the place of others in EDGES and COMPONENTS.
    """

    graph_id: str
    dataset: Dataset
    grid: ChunkGrid
    resolution: tuple[float, float, float]
    store: str
    graph_version: int = 3
    raw: bool = False
    test: bool = False
    require_files: bool = False
    timestamp: int = 0
    resume: bool = False
    replace_files: bool = False

    def __post_init__(self) -> None:
        where = self.dataset.path
        check_table(self.graph_id, self.dataset.id_prefix)
        if self.graph_version not in table.VERSIONS:
            raise ConfigError(f"graph version {self.graph_version}: expected one of {sorted(table.VERSIONS)}")
        for fault in missing_keys(self.dataset, self.raw):
            raise ConfigError(fault)
        if self.test and self.grid.layer_count < 4:
            raise ConfigError(
                f"{where}: --test takes eight chunks at the centre: this grid has no more than that"
            )

    @property
    def options(self) -> dict[str, object]:
        """What changes the graph, for the manifest."""
        return {
            "graph_version": self.graph_version,
            "raw": self.raw,
            "test": self.test,
            "require_files": self.require_files,
        }

    def open_store(self) -> Store:
        """The store, opened by whoever asks."""
        return open_store(self.store)


def make_job(
    graph_id: str,
    dataset: Dataset,
    store: str,
    *,
    graph_version: int = 3,
    raw: bool = False,
    test: bool = False,
    require_files: bool = False,
) -> IngestJob:
    """Check what is asked for against the dataset and its watershed; nothing is written.

    Raises:
      ConfigError: when it cannot be built.
    """
    watershed = read_watershed(dataset.watershed)
    for fault in missing_folders(dataset, raw):
        raise ConfigError(fault)
    return IngestJob(
        graph_id=graph_id,
        dataset=dataset,
        grid=chunk_grid(dataset, watershed),
        resolution=watershed.resolution,
        store=store,
        graph_version=graph_version,
        raw=raw,
        test=test,
        require_files=require_files,
    )


def missing_keys(dataset: Dataset, raw: bool) -> list[str]:
    """What is wrong about the keys of the dataset file that name the inputs, a line each."""
    where = dataset.path
    faults = []
    if dataset.use_raw and not raw:
        asked = " and ".join(dataset.use_raw)
        faults = [
            f"{where}: ingest_config.{asked}: true means raw agglomeration: add --raw, or set it to false"
        ]
    only_raw = " (only --raw does without)"
    if dataset.agglomeration:
        only_raw = ": to read ingest_config.AGGLOMERATION instead, add --raw"
    if raw:
        keys = [
            ("ingest_config", "AGGLOMERATION", dataset.agglomeration, ", which --raw reads"),
            ("data_source", "DATA_VERSION", dataset.data_version, ", which --raw needs"),
        ]
    else:
        keys = [
            ("data_source", "EDGES", dataset.edges, only_raw),
            ("data_source", "COMPONENTS", dataset.components, only_raw),
        ]
    return faults + [
        f"{where}: {section}: the key {key} is missing{why}"
        for section, key, value, why in keys
        if value is None
    ]


def missing_folders(dataset: Dataset, raw: bool) -> list[str]:
    """A line for each folder of inputs that is named and is certainly not there."""
    faults = []
    for key in ("AGGLOMERATION",) if raw else ("EDGES", "COMPONENTS"):
        url = getattr(dataset, key.lower())
        if url is not None and not Folder(url).may_exist():
            section = "ingest_config" if raw else "data_source"
            faults.append(
                f"{dataset.path}: {section}.{key}: expected a folder, found none at {Folder(url).path('')}"
            )
    return faults


def start_job(
    job: IngestJob,
    *,
    overwrite: bool = False,
    resume: bool = False,
    tablets: int | None = None,
    before: Callable[[IngestJob], object] = lambda job: None,
) -> IngestJob:
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
    store = job.open_store()
    try:
        if resume:
            return _resume(job, store, tablets)
        if not overwrite:
            refuse_existing(store)
        else:
            check_removable(store)
        splits = _splits(job, tablets)
        job = replace(job, timestamp=int(time.time() * 1000) * 1000, replace_files=overwrite)
        manifest = progress.Manifest(
            graph_id=job.graph_id,
            dataset=job.dataset.text,
            digest=progress.digest(job.dataset.text),
            chunks=job.grid.chunks,
            options=job.options,
            program=__version__,
            timestamp=job.timestamp,
            replace_files=job.replace_files,
            tablets=tablets,
        )
        meta = encode_meta(job.dataset, job.graph_id)
        version = table.VERSIONS[job.graph_version].encode()
        settings = [
            table.single(table.META, table.META_KEY, meta),
            table.single(table.VERSION, table.VERSION_KEY, version),
        ]
        before(job)
        if overwrite and remove_graph(store) and store.shared:
            time.sleep(progress.OWNED_SECONDS)  # until every other job has noticed that its table is gone
        _make_table(store, splits, [*settings, *manifest.cells()], job.timestamp)
        return job
    finally:
        store.close()


def _make_table(store: Store, splits: list[bytes], cells: table.Cells, timestamp: int) -> None:
    """Make a table with its first cells, or none: without its manifest it would only be in the way."""
    store.create(splits)
    try:
        store.write(cells, timestamp)
    except BaseException:
        with suppress(StoreError):
            store.drop()
        raise


def check_resumable(job: IngestJob, store: Store) -> progress.Manifest:
    """Find out whether `job` can finish the graph in `store`; nothing is changed.

    Comments, white space, the order of keys and secrets of the dataset file may differ.

    Returns:
      The manifest of the graph that was begun.

    Raises:
      ConfigError: when there is no graph, or it was begun differently.
      StoreError: when the store cannot be read, or has no sound manifest.
    """
    if not store.exists():
        raise ConfigError(f"{store.place}: there is no graph to resume; leave --resume out")
    manifest = progress.read_manifest(store)
    asked = {"graph_id": job.graph_id, "program": __version__, **job.options}
    begun = {**vars(manifest), **manifest.options}
    for name, value in asked.items():
        if begun[name] != value:
            raise _begun_otherwise(store, f"{_NAMES[name]} {begun[name]}, not {value}")
    where = job.dataset.path
    try:  # through the same checks, whatever version wrote it
        before = Dataset.from_text(manifest.dataset, where).text
    except ConfigError as error:
        raise StoreError(
            f"{store.place}: the dataset in its manifest cannot be read: {error}; "
            "--overwrite builds the graph from scratch"
        ) from None
    differs = document.difference(before, job.dataset.text, where)
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


def _resume(job: IngestJob, store: Store, tablets: int | None) -> IngestJob:
    manifest = check_resumable(job, store)
    _take_back(job, store, manifest, tablets or manifest.tablets)
    failures.clear_failures(store)
    return replace(job, timestamp=manifest.timestamp, resume=True, replace_files=manifest.replace_files)


def _take_back(job: IngestJob, store: Store, manifest: progress.Manifest, tablets: int | None) -> None:
    """Remove what was written of chunks whose files contradict each other: correct ones will change them."""
    contradictions = {
        (failure.layer, failure.coords)
        for failure in failures.read_failures(store, job.grid.chunk_id(BLOCK_LAYER, (0, 0, 0)))
    }
    if any(layer != BLOCK_LAYER or layer == job.grid.root_layer for layer, _ in contradictions):
        _clear(job, store, manifest.timestamp, tablets)
    elif contradictions:
        for block in blocks_around(job.grid, [coords for _, coords in contradictions]):
            clear_block(store, job.grid, block)


def _splits(job: IngestJob, tablets: int | None) -> list[bytes]:
    scope = Scope(job.grid, job.test)
    return split_keys(scope, tablet_count(scope) if tablets is None else tablets)


def _clear(job: IngestJob, store: Store, timestamp: int, tablets: int | None) -> None:
    """Remove all but what the job began with."""
    kept = store.read_rows([table.META_KEY, table.VERSION_KEY, progress.MANIFEST_KEY])
    cells = [table.single(name, key, cell.value) for key, row in kept.items() for name, cell in row.items()]
    splits = _splits(job, tablets)
    remove_graph(store)
    _make_table(store, splits, cells, timestamp)


_NAMES = {
    "graph_id": "graph id",
    "program": "beam-ingest",
    "graph_version": "--graph-version",
    "raw": "--raw",
    "test": "--test",
    "require_files": "--require-files",
}
