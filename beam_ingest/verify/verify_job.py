"""One verification: which graph, against which inputs."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.files import Folder
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.stages.failures import summarise
from beam_ingest.stages.manifest import Manifest, read_graph
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import BLOCK_LAYER, Scope
from beam_ingest.stores import Store, open_store
from beam_ingest.verify.cells import Reader
from beam_ingest.verify.key_space import CHUNKS, KeySpace, piece_count

ROOT_SHARDS = 256
"""Root counters that a graph has."""
COUNTS = table.ColumnName("0", b"counts")
MILLISECONDS = table.ColumnName("0", b"milliseconds")
COUNTS_BYTES = len(Counts().encode())


@dataclass(frozen=True)
class VerifyJob:
    """One verification; travels to the workers with every transform.

    Attributes:
      manifest: of the graph.
      dataset: where its inputs are.
      grid: the chunk grid.
      resolution: size of a voxel in nanometres along x, y and z.
      store: URL of the store (`beam_ingest.stores.store_url`).
      pieces: in how many pieces the root chunk is read.
      report: URL of the folder that the findings are written to.
    """

    manifest: Manifest
    dataset: Dataset
    grid: ChunkGrid
    resolution: tuple[float, float, float]
    store: str
    pieces: int
    report: str

    @property
    def graph_version(self) -> int:
        """2 or 3."""
        return int(self.manifest.options["graph_version"])

    @property
    def raw(self) -> bool:
        """Whether the graph was built from raw agglomeration."""
        return bool(self.manifest.options["raw"])

    @property
    def all_supervoxels(self) -> bool:
        """Whether supervoxels that no edge mentions became nodes."""
        return bool(self.manifest.options["all_supervoxels"])

    @property
    def scope(self) -> Scope:
        """Which chunks are written."""
        return Scope(self.grid, bool(self.manifest.options["test"]))

    @property
    def top(self) -> int:
        """The highest layer that is written."""
        return BLOCK_LAYER if self.scope.test else self.grid.root_layer

    @property
    def totals(self) -> dict[int, int | None]:
        """How many chunks of each layer are verified; of the root chunk, pieces."""
        layers = (ATOMIC_LAYER, *self.scope.layers)
        counts: dict[int, int | None] = {layer: self.scope.written(layer) for layer in layers}
        return counts if self.scope.test else counts | {self.grid.root_layer: self.pieces}

    @functools.cached_property
    def keys(self) -> KeySpace:
        """Who reads which keys."""
        return KeySpace(self.scope, self.pieces)

    @property
    def reader(self) -> Reader:
        """What turns cells into arrays."""
        return Reader(self.grid, self.manifest.timestamp, self.graph_version, self.top)

    def unfinished(self) -> str | None:
        """What to say of a graph whose last row is not written: a line, or None when it is there."""
        with self.open_store() as store:
            if store.read_rows([CHUNKS + table.node_key(self.scope.last)]):
                return None
            failed = summarise(store)
        line = f"graph {self.manifest.graph_id} is not finished"
        if failed is None:
            return f"{line}: use --resume, then verify it"
        total = self.grid.chunk_count(failed.layer)
        return (
            f"{line}: {failed.count} of {total} chunks failed at layer {failed.layer} ({failed.causes[0]}); "
            "`beam-ingest failures` lists them; fix the input, use --resume, then verify the graph"
        )

    def open_store(self) -> Store:
        """Open the graph's store; the caller closes it."""
        return open_store(self.store)


def make_verify_job(graph_id: str, dataset: Dataset, store_url: str, report: str) -> VerifyJob:
    """Look at the graph's manifest and root counters, and prepare its verification.

    Raises:
      StoreError: when there is no graph, or another one, or one of another grid.
      ConfigError: when the watershed cannot be read, or the folders of the inputs are not named or not there.
    """
    with open_store(store_url) as store:
        manifest = read_graph(store, graph_id)
        missing = {"graph_version", "raw", "test", "all_supervoxels"} - manifest.options.keys()
        if missing:
            raise StoreError(f"{store.place}: its manifest lacks the options {', '.join(sorted(missing))}")
        _check_inputs(dataset, bool(manifest.options["raw"]))
        watershed = read_watershed(dataset.watershed)
        grid = chunk_grid(dataset, watershed)
        if manifest.chunks != grid.chunks:
            raise StoreError(
                f"{store.place}: it was built of a grid of {manifest.chunks} chunks, and {dataset.path} has "
                f"one of {grid.chunks}; verify it with the dataset file that it was built from"
            )
        pieces = 0 if manifest.options["test"] else _pieces(store, grid)
        return VerifyJob(manifest, dataset, grid, watershed.resolution, store_url, pieces, report)


def _check_inputs(dataset: Dataset, raw: bool) -> None:
    """Folders must be named and there: an absent file is an empty chunk, an absent folder is not."""
    section = "ingest_config" if raw else "data_source"
    for key in ("AGGLOMERATION",) if raw else ("EDGES", "COMPONENTS"):
        url = getattr(dataset, key.lower())
        if url is None:
            raise ConfigError(
                f"{dataset.path}: {section}: the key {key} is missing, which the graph was built from"
            )
        if not Folder(url).may_exist():
            raise ConfigError(
                f"{dataset.path}: {section}.{key}: expected a folder, found none at {Folder(url).path('')}"
            )
    if raw and dataset.data_version is None:
        raise ConfigError(
            f"{dataset.path}: data_source: the key DATA_VERSION is missing, which raw input needs"
        )


def _pieces(store: Store, grid: ChunkGrid) -> int:
    root_chunk = grid.chunk_id(grid.root_layer, (0, 0, 0))
    counters = store.read_rows([table.root_counter_key(root_chunk, n) for n in range(ROOT_SHARDS)])
    highest = [_number(row[table.COUNTER].value) for row in counters.values() if table.COUNTER in row]
    key = CHUNKS + table.node_key(root_chunk)
    row = store.read_rows([key]).get(key, {})
    # Without a sound number of roots, the counters alone say how far the pieces go.
    roots = max(highest, default=0)
    if COUNTS in row and len(row[COUNTS].value) >= COUNTS_BYTES:
        roots = max(0, Counts.decode(row[COUNTS].value[:COUNTS_BYTES]).nodes)
    return piece_count(max(highest, default=0), roots)


def _number(value: bytes) -> int:
    return max(0, int.from_bytes(value[:8], "big", signed=True))
