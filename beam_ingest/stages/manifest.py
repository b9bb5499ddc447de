"""The manifest, row ``beam_ingest``: what a table holds, of what it was built and how, and whose it is."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER
from beam_ingest.format.table import Cells, ColumnName
from beam_ingest.stores.base import Store

MANIFEST_KEY = b"beam_ingest"
_MANIFEST = ColumnName("0", b"manifest")
OptionTypes: TypeAlias = Mapping[str, "type | frozenset[object]"]
"""By name of an option: its type, or the values that it may have."""
GRAPH = "graph"
"""The stage that builds graphs, whose manifests others read: readers, verifications."""
GRAPH_OPTIONS: OptionTypes = {
    "graph_version": frozenset(table.VERSIONS),
    "raw": bool,
    "test": bool,
    "require_files": bool,
    "all_supervoxels": bool,
}


@dataclass(frozen=True)
class Manifest:
    """What a job builds and how; written when the table is made.

    Attributes:
      graph_id: the graph, or the name of what else the stage makes.
      dataset: what the dataset file says (`beam_ingest.dataset.Dataset.text`).
      digest: sha256 of that text.
      chunks: chunk counts along x, y and z.
      options: what changes the product; of every stage, `test`. Of a graph, GRAPH_OPTIONS.
      program: version of this program.
      timestamp: the one cell timestamp of the job, microseconds.
      replace_files: whether files that raw agglomeration becomes may take the place of others.
      tablets: tablets that were asked for; None for as many as the estimated rows need.
      stage: the stage that makes it (`beam_ingest.stages.job.StageJob.stage`).
      top: the highest layer whose chunks it builds; 0 for the root layer.
      bottom: the lowest layer whose chunks it marks.
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
    stage: str = GRAPH
    top: int = 0
    bottom: int = ATOMIC_LAYER

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
        kinds: dict[str, type] = dict.fromkeys(("graph_id", "dataset", "digest", "program", "stage"), str)
        kinds |= {"timestamp": int, "options": dict}
        sound = (
            all(type(getattr(manifest, name)) is kind for name, kind in kinds.items())
            and len(manifest.chunks) == 3
            and all(type(n) is int and 0 < n < 1 << 31 for n in manifest.chunks)
            and 0 <= manifest.timestamp < 1 << 63
            and type(manifest.replace_files) is bool
            and (manifest.tablets is None or manifest.tablets in range(1, 1000))
            and type(manifest.top) is int
            and 0 <= manifest.top < 64
            and manifest.bottom in (SUPERVOXEL_LAYER, ATOMIC_LAYER)
            and type(manifest.options.get("test")) is bool
            and (manifest.stage != GRAPH or manifest.has_options(GRAPH_OPTIONS))
        )
        if not sound:
            raise ValueError("values of other types than a manifest has")
        return manifest

    def has_options(self, types: OptionTypes) -> bool:
        """Whether its options are those of `types`, with values as they say."""
        if self.options.keys() != types.keys():
            return False
        return all(_suits(self.options[name], kind) for name, kind in types.items())


def _suits(value: object, kind: type | frozenset[object]) -> bool:
    if isinstance(kind, type):
        return type(value) is kind
    return any(type(value) is type(other) and value == other for other in kind)  # True is not 1


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
            return StoreError(f"{place}: its manifest is gone; another program has removed it")
        return StoreError(
            f"{place}: its manifest is not there after {APPEAR_SECONDS:.0f} s: another program has removed "
            "it, or it has not been replicated to this cluster yet; write through an app profile with "
            "single-cluster routing (--bigtable-app-profile)"
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
        raise damaged_manifest(store) from None


def damaged_manifest(store: Store) -> StoreError:
    """The error of a manifest that this program did not write so."""
    return StoreError(
        f"{store.place}: its manifest is damaged, or of another version of beam-ingest; "
        "--overwrite builds the graph from scratch"
    )


def read_graph(store: Store, graph_id: str) -> Manifest:
    """The manifest of an existing graph.

    Raises:
      StoreError: when there is none, or the store holds another one, or what another stage made.
    """
    manifest = read_product(store, graph_id)
    if manifest.stage != GRAPH:
        raise StoreError(f"{store.place}: expected a graph, found what `beam-ingest {manifest.stage}` made")
    return manifest


def read_product(store: Store, name: str, stage: str = GRAPH) -> Manifest:
    """The manifest of what a job of any stage made or began; raises as `read_graph`.

    Args:
      store: where it is.
      name: its name.
      stage: what makes it, for messages, as far as that is known.
    """
    if not store.exists():
        missing = "no graph is there; `beam-ingest graph` builds one"
        if stage != GRAPH:
            missing = f"there is no {name}; `beam-ingest {stage}` makes it"
        raise StoreError(f"{store.place}: {missing}")
    manifest = read_manifest(store)
    if manifest.graph_id != name:
        raise StoreError(f"{store.place}: it holds {manifest.stage} {manifest.graph_id}, not {name}")
    return manifest
