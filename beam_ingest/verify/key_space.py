"""Where a node belongs, and which keys of the table are read with which chunk."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Ids
from beam_ingest.stages.scope import BLOCK_LAYER, Scope

PIECE = 1 << 16
"""The root chunk is read in pieces of so many ids, a power of two: all roots would not fit in one worker."""
_MOST_PIECES = 1 << 20
COUNTERS, CHUNKS, ROOTS = b"i", b"beam_ingest/", b"beam_ingest/roots/"
"""What stands before a chunk id in the keys of counters, of progress rows, and of those of its roots."""

Range = tuple[bytes, bytes]


def layers_of(grid: ChunkGrid, ids: Ids) -> npt.NDArray[np.int64]:
    """The layer of each id, shape (n,); any value that fits in its bits."""
    return (ids >> np.uint64(64 - grid.layer_id_bits)).astype(np.int64)


def chunks_of(grid: ChunkGrid, ids: Ids, layer: int) -> Ids:
    """The chunk of each id, shape (n,), all of `layer`: the id with segment 0."""
    bits = np.uint64(grid.segment_bits(layer))
    return ids >> bits << bits


def may_be_parents(grid: ChunkGrid, ids: Ids, parents: Ids) -> npt.NDArray[np.bool_]:
    """Whether each of `parents` is a node, at a higher layer, of a chunk around the one in `ids`, shape (n,).

    `ids` must be in bounds.
    """
    good = np.zeros(ids.size, bool)
    below, above = layers_of(grid, ids), layers_of(grid, parents)
    for layer in range(ATOMIC_LAYER, grid.root_layer + 1):
        at = np.flatnonzero((above == layer) & (below < layer))
        if at.size == 0:
            continue
        chunks = chunks_of(grid, parents[at], layer)
        good[at] = (grid.ancestors(ids[at], layer) == chunks) & (parents[at] != chunks)
    return good


def piece_of(roots: Ids) -> Ids:
    """The piece of the root chunk that each root is in, shape (n,): the lowest id of it."""
    return roots & ~np.uint64(PIECE - 1)


def piece_at(root_chunk: int, number: int) -> int:
    """The lowest id of piece `number` of the root chunk; that of the next one is where it ends."""
    return root_chunk + number * PIECE


def piece_count(highest_k: int, roots: int) -> int:
    """Pieces to look at.

    Args:
      highest_k: the highest root counter; a wrong one need not be believed:
      roots: how many roots there should be.
    """
    return min((min(highest_k, roots) + 1) * 256 // PIECE + 1, _MOST_PIECES)


@dataclass(frozen=True)
class KeySpace:
    """Which unit of a verification reads which keys; every key there can be is read once.

    Each chunk reads from its own first key up to that of the next chunk, so that keys between chunks
    come up as well; the pieces of the root chunk follow. `rest` is what is left.

    Attributes:
      scope: which chunks are written.
      pieces: in how many pieces the root chunk is read; 0 without one.
    """

    scope: Scope
    pieces: int

    def next_chunk(self, chunk_id: int) -> int:
        """The chunk whose rows follow; behind the last one, the id that its rows end before."""
        grid, layer = self.scope.grid, self.scope.grid.layer_of(chunk_id)
        if self.scope.test:
            at = int(np.searchsorted(self._written, np.uint64(chunk_id), "right"))
            if at < self._written.size:
                return int(self._written[at])
            return chunk_id + (1 << grid.segment_bits(layer))
        bounds = grid.bounds(layer)
        number = int(np.ravel_multi_index(grid.chunk_coords(chunk_id), bounds)) + 1
        if number == grid.chunk_count(layer):
            return grid.chunk_id(layer + 1, (0, 0, 0))
        x, y, z = (int(n) for n in np.unravel_index(number, bounds))
        return grid.chunk_id(layer, (x, y, z))

    def nodes(self, chunk_id: int) -> Range:
        """Keys of a chunk's nodes."""
        return self.prefixed(b"", chunk_id)

    def prefixed(self, prefix: bytes, chunk_id: int) -> Range:
        """Keys of rows about a chunk: COUNTERS, CHUNKS or ROOTS."""
        return _key(prefix, chunk_id), _key(prefix, self.next_chunk(chunk_id))

    def piece(self, first: int) -> Range:
        """Keys of the roots of a piece."""
        return _key(b"", first), _key(b"", piece_at(first, 1))

    def rest(self) -> list[Range]:
        """Ranges of keys that no chunk and no piece reads."""
        grid = self.scope.grid
        supervoxels, atomic = self._first(SUPERVOXEL_LAYER), self._first(ATOMIC_LAYER)
        end = grid.chunk_id(grid.root_layer, (0, 0, 0))
        if self.scope.test:
            end = self.next_chunk(int(self._written[-1]))
        return [
            (b"", _key(b"", supervoxels)),
            (_key(b"", piece_at(end, self.pieces)), _key(CHUNKS, atomic)),
            (_key(CHUNKS, end), _key(ROOTS, atomic)),
            (_key(ROOTS, end), _key(COUNTERS, supervoxels)),
            (_key(COUNTERS, end), b""),
        ]

    def _first(self, layer: int) -> int:
        if not self.scope.test:
            return self.scope.grid.chunk_id(layer, (0, 0, 0))
        return int(self._written[np.searchsorted(layers_of(self.scope.grid, self._written), layer)])

    @functools.cached_property
    def _written(self) -> Ids:
        """The chunks of a test, layers 1 to 3, ascending."""
        scope, grid = self.scope, self.scope.grid
        near = grid.chunk_ids(BLOCK_LAYER, scope.blocks(0, scope.block_count))
        block = next(chunk for chunk in near.tolist() if scope.writes(chunk))
        coords = grid.children(BLOCK_LAYER, grid.chunk_coords(block))
        layers = [grid.chunk_ids(layer, coords) for layer in (SUPERVOXEL_LAYER, ATOMIC_LAYER)]
        return np.sort(np.concatenate([*layers, np.array([block], np.uint64)]))


def _key(prefix: bytes, node: int) -> bytes:
    return prefix + table.node_key(node)
