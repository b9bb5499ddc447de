"""What a job keeps about itself in the graph's table, outside every key that servers read.

* ``beam_ingest``: the manifest, which says what is built and how;
* ``beam_ingest/%020d``: one row per built chunk, written after all of its cells;
* ``beam_ingest/roots/%020d``: the same for each chunk's share of the roots;
* ``beam_ingest/failed/%020d``: one row per chunk that could not be built (`beam_ingest.stages.failures`).
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, fields
from typing import Any
from zlib import crc32

import numpy as np

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.format.table import Cells, ColumnName
from beam_ingest.stages.scope import Scope
from beam_ingest.stores.base import Store

MANIFEST_KEY = b"beam_ingest"
_CHUNK_PREFIX = b"beam_ingest/"
_ROOTS_PREFIX = b"beam_ingest/roots/"
_MANIFEST = ColumnName("0", b"manifest")
_COUNTS = ColumnName("0", b"counts")
_CHECKSUM_BYTES = 8
_MILLISECONDS = ColumnName("0", b"milliseconds")
AFTER_DIGITS = b":"
"""The character after 9: the end of a range of keys that go on with digits."""


@dataclass(frozen=True)
class Counts:
    """What was built.

    Attributes:
      supervoxels: at layer 2, supervoxels.
      nodes: nodes made.
      edges: edges read (layer 2) or received from children.
      rows: rows of the table that were not there before.
      cells: cells written.
      nbytes: bytes of row keys, qualifiers and values written.
      missing: at layer 2, input files that were not there.
      failed: chunks that could not be built.
      empty: at layer 2, edges files of no bytes.
      mapped: at layer 2, supervoxels in components.
      between: at layer 2, edges between supervoxels of two chunks, other than cut ones.
      joined: those of them that are active.
    """

    supervoxels: int = 0
    nodes: int = 0
    edges: int = 0
    rows: int = 0
    cells: int = 0
    nbytes: int = 0
    missing: int = 0
    failed: int = 0
    empty: int = 0
    mapped: int = 0
    between: int = 0
    joined: int = 0

    def __add__(self, other: Counts) -> Counts:
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})

    def encode(self) -> bytes:
        """The fields as little-endian int64, in order."""
        return np.array(list(asdict(self).values()), "<i8").tobytes()

    @classmethod
    def decode(cls, value: bytes) -> Counts:
        """The counts that `encode` made."""
        return cls(*np.frombuffer(value, "<i8").tolist())


def chunk_key(chunk_id: int) -> bytes:
    """Row key of a built chunk's progress row."""
    return _CHUNK_PREFIX + b"%020d" % chunk_id


def roots_key(sender: int) -> bytes:
    """Row key of the progress row of the roots of one chunk's nodes."""
    return _ROOTS_PREFIX + b"%020d" % sender


ROOT_EDGES_KEY = _ROOTS_PREFIX + b"edges"
"""Row key of the progress row of the cross edges of the root chunk's children."""


def checksum(cells: Cells) -> int:
    """What tells the cells of one chunk from those that other input would have made of it."""
    return crc32(b"".join(column.checksum.to_bytes(4, "little") for column in cells))


def done_cells(key: bytes, counts: Counts, cells_checksum: int, milliseconds: int) -> Cells:
    """A progress row: one cell that says it is done, since a store may write cells one by one.

    Only the milliseconds, in a cell of their own, differ from one run to the next.
    """
    return [
        table.single(_COUNTS, key, counts.encode() + cells_checksum.to_bytes(8, "little")),
        table.single(_MILLISECONDS, key, milliseconds.to_bytes(8, "little")),
    ]


_COUNTS_BYTES = 8 * len(fields(Counts)) + _CHECKSUM_BYTES


def _of_size(store: Store, key: bytes, value: bytes, size: int) -> bytes:
    """The value, if it has the size it should have."""
    if len(value) != size:
        raise damaged_row(store, key, f"a cell of {size} bytes", f"{len(value)}")
    return value


def damaged_row(store: Store, key: bytes, expected: str, found: str) -> StoreError:
    """The error of a row of ours that this program did not write so."""
    return StoreError(
        f"{store.place}: row {key.decode(errors='backslashreplace')}: expected {expected}, found {found}; "
        "the row is damaged: --overwrite builds the graph from scratch"
    )


@dataclass(frozen=True)
class LayerStatus:
    """Progress of one layer.

    Attributes:
      layer: the layer.
      done: chunks built.
      total: chunks there are.
      counts: what was built so far.
      milliseconds: time spent on building, of all workers together.
    """

    layer: int
    done: int
    total: int
    counts: Counts
    milliseconds: int

    @property
    def line(self) -> str:
        """As PyChunkedGraph's own ``ingest status`` prints it."""
        return f"{self.layer:<8}: {self.done} / {self.total}"


def is_complete(layers: list[LayerStatus], scope: Scope) -> bool:
    """Whether every chunk that `scope` writes is marked done."""
    return all(layer.done >= scope.written(layer.layer) for layer in layers)


def is_finished(store: Store, scope: Scope) -> bool:
    """Whether the chunk that `scope` builds last is marked done: one row tells, however large the graph."""
    key = chunk_key(scope.last_chunk)
    return key in read_done(store, [key])


def read_status(store: Store, grid: ChunkGrid) -> list[LayerStatus]:
    """Progress of every layer, from the store itself."""
    return [read_layer(store, grid, layer) for layer in range(ATOMIC_LAYER, grid.root_layer + 1)]


def read_layer(store: Store, grid: ChunkGrid, layer: int) -> LayerStatus:
    """Progress of one layer, whose rows follow each other, since ids begin with the layer."""
    first = grid.chunk_id(layer, (0, 0, 0))
    end = first + (1 << (64 - grid.layer_id_bits))
    counts, times = [], []
    for key, row in store.read_range(chunk_key(first), chunk_key(end)):
        if _COUNTS in row:
            counts.append(_of_size(store, key, row[_COUNTS].value, _COUNTS_BYTES)[:-_CHECKSUM_BYTES])
            spent = row[_MILLISECONDS].value if _MILLISECONDS in row else bytes(8)
            times.append(_of_size(store, key, spent, 8))
    total = np.frombuffer(b"".join(counts), "<i8").reshape(-1, len(fields(Counts))).sum(axis=0)
    milliseconds = int(np.frombuffer(b"".join(times), "<i8").sum())
    return LayerStatus(layer, len(counts), grid.chunk_count(layer), Counts(*total.tolist()), milliseconds)


def read_done(store: Store, keys: list[bytes]) -> dict[bytes, int]:
    """Which of the progress rows `keys` are there, and the checksums in them."""
    return {
        key: int.from_bytes(
            _of_size(store, key, row[_COUNTS].value, _COUNTS_BYTES)[-_CHECKSUM_BYTES:], "little"
        )
        for key, row in store.read_rows(keys).items()
        if _COUNTS in row
    }


_OPTIONS = {"graph_version": int, "raw": bool, "test": bool, "require_files": bool}
"""What changes a graph (`beam_ingest.ingest.job.IngestJob.options`)."""


@dataclass(frozen=True)
class Manifest:
    """What a job builds and how; written when the table is made.

    Attributes:
      graph_id: the graph.
      dataset: what the dataset file says (`beam_ingest.dataset.Dataset.text`).
      digest: sha256 of that text.
      chunks: chunk counts along x, y and z.
      options: what changes the graph: graph version, raw input, test, …
      program: version of this program.
      timestamp: the one cell timestamp of the job, microseconds.
      replace_files: whether files that raw agglomeration becomes may take the place of others.
      tablets: tablets that were asked for; None for as many as the rows are worth.
    """

    graph_id: str
    dataset: str
    digest: str
    chunks: tuple[int, int, int]
    options: dict[str, Any]
    program: str
    timestamp: int
    replace_files: bool = False
    tablets: int | None = None

    def cells(self) -> Cells:
        """The manifest row."""
        return [table.single(_MANIFEST, MANIFEST_KEY, json.dumps(asdict(self)).encode())]

    @classmethod
    def decode(cls, value: bytes) -> Manifest:
        """The manifest that `cells` wrote.

        Raises:
          ValueError: when it is none, or one of another version of this program.
        """
        try:
            content = json.loads(value)
            manifest = cls(**(content | {"chunks": tuple(content["chunks"])}))
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(str(error)) from None
        kinds: dict[str, type] = dict.fromkeys(("graph_id", "dataset", "digest", "program"), str)
        kinds |= {"timestamp": int, "options": dict}
        sound = (
            all(type(getattr(manifest, name)) is kind for name, kind in kinds.items())
            and len(manifest.chunks) == 3
            and all(type(n) is int and 0 < n < 1 << 31 for n in manifest.chunks)
            and 0 <= manifest.timestamp < 1 << 63
            and type(manifest.replace_files) is bool
            and (manifest.tablets is None or manifest.tablets in range(1, 1000))
            and {name: type(option) for name, option in manifest.options.items()} == _OPTIONS
            and manifest.options["graph_version"] in table.VERSIONS
        )
        if not sound:
            raise ValueError("values of other types than a manifest has")
        return manifest


OWNED_SECONDS = 5.0
"""How long a writer to a shared table takes it for its own after it has looked: all writers read one row."""
APPEAR_SECONDS = 60.0
"""How long a manifest is waited for that was written a moment ago, maybe to another cluster."""


class Ownership:
    """Whether a table is still that of the job which made it; asked before each write.

    Args:
      store: the table.
      timestamp: of the job's manifest, microseconds.
    """

    def __init__(self, store: Store, timestamp: int) -> None:
        self._store = store
        self._timestamp = timestamp
        self._seen = -math.inf

    def check(self) -> None:
        """Make sure that no other job has taken over the table since this one began.

        Raises:
          StoreError: when another one has, or when there is no manifest.
        """
        if self._store.shared and time.monotonic() < self._seen + OWNED_SECONDS:
            return
        give_up, pause = time.monotonic() + APPEAR_SECONDS, 0.5
        while True:
            asked = time.monotonic()
            cell = self._store.read_rows([MANIFEST_KEY]).get(MANIFEST_KEY, {}).get(_MANIFEST)
            if cell is not None and cell.timestamp == self._timestamp:
                self._seen = asked
                return
            # An older one is that of the table which ours takes the place of.
            newer = cell is not None and cell.timestamp > self._timestamp
            if newer or not self._store.shared or asked >= give_up:
                raise self._failure(cell is None)
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _failure(self, absent: bool) -> StoreError:
        place = self._store.place
        if not absent:
            return StoreError(
                f"{place}: another job has begun this graph from scratch; only that one may write to it"
            )
        if not self._store.shared:
            return StoreError(f"{place}: its manifest is gone; somebody has removed it")
        return StoreError(
            f"{place}: its manifest is not there after {APPEAR_SECONDS:.0f} s: somebody has removed it, or "
            "it has not come to this cluster yet; write through an app profile with single-cluster routing "
            "(--bigtable-app-profile)"
        )


def digest(text: str) -> str:
    """What tells two dataset files apart."""
    return hashlib.sha256(text.encode()).hexdigest()


def has_manifest(store: Store) -> bool:
    """Whether the table was made by this program, in whatever version."""
    return _MANIFEST in store.read_rows([MANIFEST_KEY]).get(MANIFEST_KEY, {})


def no_manifest(store: Store) -> str:
    """What to say of a table without a manifest: it is not known to be ours, so it is left as it is."""
    return (
        f"{store.place}: it has no manifest: it was not made by beam-ingest, or its making was interrupted "
        f"at once; if nothing in it is needed, remove it with `{store.removal_command}`"
    )


def read_manifest(store: Store) -> Manifest:
    """The manifest of the job that made the table.

    Raises:
      StoreError: when there is none.
    """
    row = store.read_rows([MANIFEST_KEY]).get(MANIFEST_KEY)
    if row is None or _MANIFEST not in row:
        raise StoreError(no_manifest(store))
    try:
        return Manifest.decode(row[_MANIFEST].value)
    except ValueError:
        raise StoreError(
            f"{store.place}: its manifest is damaged, or of another version of beam-ingest; "
            "--overwrite builds the graph from scratch"
        ) from None


def read_graph(store: Store, graph_id: str) -> Manifest:
    """The manifest of a graph that is there.

    Raises:
      StoreError: when it is not, or the store holds another one.
    """
    if not store.exists():
        raise StoreError(f"{store.place}: no graph is there; `beam-ingest graph` builds one")
    manifest = read_manifest(store)
    if manifest.graph_id != graph_id:
        raise StoreError(f"{store.place}: it holds graph {manifest.graph_id}, not {graph_id}")
    return manifest
