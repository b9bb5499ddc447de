"""What a job keeps about itself in the graph's table, outside every key that servers read.

* ``beam_ingest``: the manifest, which says what is built and how (`beam_ingest.stages.manifest`);
* ``beam_ingest/%020d``: one row per built chunk, written after all of its cells;
* ``beam_ingest/roots/%020d``: the same for each chunk's share of the roots;
* ``beam_ingest/done/…`` and ``beam_ingest/layers/…``: in large grids, the same counted up
  (`beam_ingest.stages.tallies`);
* ``beam_ingest/failed/%020d``: one row per chunk that could not be built (`beam_ingest.stages.failures`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from zlib import crc32

import numpy as np

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.format.table import Cells, ColumnName
from beam_ingest.stages import tallies
from beam_ingest.stages.counts import Counts as Counts
from beam_ingest.stages.scope import Scope
from beam_ingest.stores.base import Store

_CHUNK_PREFIX = b"beam_ingest/"
_ROOTS_PREFIX = b"beam_ingest/roots/"
_COUNTS = ColumnName("0", b"counts")
_CHECKSUM_BYTES = 8
_MILLISECONDS = ColumnName("0", b"milliseconds")
AFTER_DIGITS = b":"
"""The character after 9: the end of a range of keys that go on with digits."""


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
      milliseconds: time spent on building, of all workers together; 0 where it is not known.
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


def read_status(store: Store, grid: ChunkGrid, top: int = 0, bottom: int = ATOMIC_LAYER) -> list[LayerStatus]:
    """Progress of every layer, from the store itself.

    Args:
      store: the graph's store, from `open_store`.
      grid: its chunk grid, as `IngestJob.grid` or `GraphReader.grid` gives it.
      top: the highest layer that the stage builds; 0 for the root layer.
      bottom: the lowest layer whose chunks it marks.

    Returns:
      One status per layer, from `bottom` up: chunks that are done, chunks in all, what was
      built, and the milliseconds it took.

    Raises:
      StoreError: when the store cannot be read.
    """
    return [read_layer(store, grid, layer) for layer in range(bottom, (top or grid.root_layer) + 1)]


class Watch:
    """Progress of every layer, read again and again: only what can still change.

    Args:
      store: the store.
      grid: its chunk grid.
      scope: the chunks that are written.
      top: the highest layer that the stage builds; 0 for the root layer.
      bottom: the lowest layer whose chunks it marks.
    """

    def __init__(
        self, store: Store, grid: ChunkGrid, scope: Scope, top: int = 0, bottom: int = ATOMIC_LAYER
    ) -> None:
        self._store = store
        self._grid = grid
        self._scope = scope
        self._layers = range(bottom, (top or grid.root_layer) + 1)
        self._whole: dict[int, LayerStatus] = {}

    def look(self) -> list[LayerStatus]:
        """The layers, from the lowest up; those that were whole are not read again.

        A layer may have chunks while the one below is not whole: a resumed job takes chunks back.
        """
        found: list[LayerStatus] = []
        for layer in self._layers:
            status = self._whole.get(layer) or read_layer(self._store, self._grid, layer)
            if status.done >= self._scope.written(layer):
                self._whole[layer] = status
            found.append(status)
        return found


def read_layer(store: Store, grid: ChunkGrid, layer: int) -> LayerStatus:
    """Progress of one layer, whose rows follow each other, since ids begin with the layer.

    Of a layer of very many chunks, what is counted up by blocks is read, and milliseconds are not known.
    Where nothing is, as in stages that do not count so, or at the beginning, the rows themselves are read.
    """
    done, found = tallies.read_layer(store, grid, layer) if tallies.is_tallied(grid, layer) else (0, None)
    if done and found is not None:
        return LayerStatus(layer, done, grid.chunk_count(layer), found, 0)
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
