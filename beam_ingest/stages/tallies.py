"""Counts of done chunks in large grids, kept by block of the grid in rows that one range read returns.

Millions of progress rows take minutes to read. So in layers of more than `MOST_ROWS` chunks

* the rows ``beam_ingest/done/LAYER/%020d`` have a cell for each block of eight chunks of layer 2, or for each
  chunk of a higher layer: how many chunks are done in it, and their counts. A row has those of one chunk
  three layers further up, up to 512 cells;
* the row ``beam_ingest/layers/LAYER`` has the counts of the whole layer, once it is done.

A cell is written after everything that it counts, and holds nothing else than what was built: so bundles that
run twice, and resumed jobs, write the same bytes again. What is marked done is decided by the progress rows
alone (`beam_ingest.stages.progress`); these rows are for people who look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates
from beam_ingest.format.table import Cells, ColumnName
from beam_ingest.stages.counts import Counts
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.process import Once, PerProcess
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stores.base import Store

if TYPE_CHECKING:
    from beam_ingest.stages.job import StageJob

MOST_ROWS = 4096
"""Progress rows of a layer that are read one by one, in less than a second."""
_GROUP_LAYERS = 3
"""A row has the blocks of one chunk so many layers above them."""
BLOCKS, _LAYERS = b"beam_ingest/done/", b"beam_ingest/layers/"
KEYS = (rb"beam_ingest/done/[0-9]{2}/[0-9]{20}", rb"beam_ingest/layers/[0-9]{2}")
"""What the keys of these rows look like."""
_TOTAL = ColumnName("0", b"counts")
_NUMBERS = 1 + len(fields(Counts))
"""In a cell: chunks that are done, and their counts."""


def is_tallied(grid: ChunkGrid, layer: int) -> bool:
    """Whether the chunks of a layer are counted up by block."""
    return grid.chunk_count(layer) > MOST_ROWS


def block_cells(grid: ChunkGrid, layer: int, coords: Coordinates, done: int, counts: Counts) -> Cells:
    """The cell of one block; none when its layer is not counted up, or nothing is done.

    Args:
      grid: the chunk grid.
      layer: the layer whose chunks are counted.
      coords: of the block: at BLOCK_LAYER when chunks of layer 2 are counted, else of the chunk itself.
      done: how many of its chunks are done.
      counts: what they came to.
    """
    if not done or not is_tallied(grid, layer):
        return []
    own = _counted(layer)
    group = min(own + _GROUP_LAYERS, grid.root_layer)
    places = np.array(coords)
    within = places - (places >> (group - own) << (group - own))
    number = int(((within[0] << _GROUP_LAYERS) + within[1] << _GROUP_LAYERS) + within[2])
    above = grid.ancestor(grid.chunk_id(own, coords), group)
    return [table.single(ColumnName("0", b"%03d" % number), _key(layer, above), _encode(done, counts))]


def group_key(grid: ChunkGrid, layer: int, coords: Coordinates) -> bytes:
    """Key of the row that the block at `coords` has its cell in; arguments as of `block_cells`."""
    own = _counted(layer)
    group = min(own + _GROUP_LAYERS, grid.root_layer)
    return _key(layer, grid.ancestor(grid.chunk_id(own, coords), group))


def total_cells(layer: int, done: int, counts: Counts) -> Cells:
    """The cell of a whole layer."""
    return [table.single(_TOTAL, _LAYERS + b"%02d" % layer, _encode(done, counts))]


def read_layer(store: Store, grid: ChunkGrid, layer: int) -> tuple[int, Counts]:
    """How many chunks of a layer are done, and their counts.

    Raises:
      StoreError: when a row cannot be read, or is damaged.
    """
    key = _LAYERS + b"%02d" % layer
    whole = store.read_rows([key]).get(key)
    if whole is not None and _TOTAL in whole:
        return _sum(store, [(key, whole[_TOTAL].value)])
    prefix = BLOCKS + b"%02d/" % layer
    rows = store.read_values(prefix + b"0", prefix + b":")
    return _sum(store, ((key, value) for key, values in rows for value in values))


def done_of(key: bytes, value: bytes) -> tuple[int, int] | None:
    """The layer that a cell of `KEYS` counts, and how many of its chunks; None when it cannot be told."""
    size = len(value) // _NUMBERS
    if size not in (4, 8) or len(value) % _NUMBERS:
        return None
    layer = key.removeprefix(BLOCKS).removeprefix(_LAYERS)[:2]
    return int(layer), int(np.frombuffer(value, f"<u{size}", 1)[0])


def forget(store: Store, grid: ChunkGrid, blocks: Iterable[Coordinates]) -> None:
    """Remove what is counted of chunks that are built again, and of whole layers.

    Args:
      store: the table.
      grid: the chunk grid.
      blocks: at BLOCK_LAYER, the blocks whose chunks, and parents, are built again; whole rows go, and come
        back with the run that builds them.
    """
    store.delete_range(_LAYERS + b"0", _LAYERS + b":")
    keys = {group_key(grid, layer, block) for block in blocks for layer in (ATOMIC_LAYER, BLOCK_LAYER)}
    store.delete_rows(sorted(keys))


class LayerTotal:
    """Writes the counts of a layer when the next one begins, once a process; all write the same.

    Args:
      job: the job.
      layer: the layer that is done.
    """

    def __init__(self, job: StageJob, layer: int) -> None:
        self._job = job
        self._layer = layer
        self._once = PerProcess[Once[bool]](Once)

    def __call__(self, counts: Counts) -> None:
        """Note that the layer is done.

        Args:
          counts: of all its chunks.

        Raises:
          StoreError: when it cannot be written, or another job has begun the product from scratch.
        """
        if is_tallied(self._job.grid, self._layer):
            self._once.get().get(partial(self._write, counts))

    def _write(self, counts: Counts) -> bool:
        job = self._job
        with job.open_store() as store:
            Ownership(store, job.timestamp).check()
            done = job.scope.written(self._layer)
            store.write(total_cells(self._layer, done, counts), job.timestamp)
        return True


def _counted(layer: int) -> int:
    return BLOCK_LAYER if layer == ATOMIC_LAYER else layer


def _key(layer: int, group: int) -> bytes:
    return BLOCKS + b"%02d/%020d" % (layer, group)


def _encode(done: int, counts: Counts) -> bytes:
    """Little-endian numbers of four bytes each, or of eight where one needs more."""
    numbers = np.array([done, *astuple(counts)], np.uint64)
    return numbers.astype("<u8" if numbers.max() >> np.uint64(32) else "<u4").tobytes()


def _sum(store: Store, cells: Iterable[tuple[bytes, bytes]]) -> tuple[int, Counts]:
    values: dict[int, list[bytes]] = {4 * _NUMBERS: [], 8 * _NUMBERS: []}
    for key, value in cells:
        if len(value) not in values:
            raise StoreError(
                f"{store.place}: row {key.decode()}: expected cells of {' or '.join(map(str, values))} "
                f"bytes, found {len(value)}; the row is damaged: --overwrite builds the graph from scratch"
            )
        values[len(value)].append(value)
    total = np.zeros(_NUMBERS, np.int64)
    for size, some in values.items():
        numbers = np.frombuffer(b"".join(some), f"<u{size // _NUMBERS}").reshape(-1, _NUMBERS)
        total += numbers.sum(axis=0, dtype=np.int64)
    done, *counts = total.tolist()
    return done, Counts(*counts)
