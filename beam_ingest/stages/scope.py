"""Which chunks a job reads, builds and writes: all of them, or those of a test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Coords, as_coordinates

BLOCK_LAYER = ATOMIC_LAYER + 1
"""Layer-2 chunks are read in blocks: the children of one chunk of this layer."""


@dataclass(frozen=True)
class Scope:
    """The chunks of one job.

    A test writes the children of the parent chunk at the centre of the grid, and that parent. The
    chunks around them are built too, for the names their nodes have, but not written.

    Attributes:
      grid: the chunk grid.
      test: whether the job is a test.
    """

    grid: ChunkGrid
    test: bool

    @property
    def layers(self) -> range:
        """The layers above 2 that are built, the root layer included."""
        return range(BLOCK_LAYER, BLOCK_LAYER + 1 if self.test else self.grid.root_layer + 1)

    @property
    def last(self) -> int:
        """The chunk whose progress row is written last: the root chunk, or the parent of a test."""
        if not self.test:
            return self.grid.chunk_id(self.grid.root_layer, (0, 0, 0))
        return self.grid.chunk_id(BLOCK_LAYER, self._centre)

    @property
    def block_count(self) -> int:
        """Number of blocks of the grid; they are numbered from 0."""
        return self.grid.chunk_count(BLOCK_LAYER)

    @property
    def most_blocks_read(self) -> int:
        """At most so many blocks are read: of a test, the one at the centre and those around it."""
        return min(self.block_count, 27) if self.test else self.block_count

    def blocks(self, first: int, last: int) -> Coords:
        """Coordinates, shape (n, 3), at BLOCK_LAYER of the blocks first..last-1 that are read."""
        numbers = np.arange(first, min(last, self.block_count))
        coords: Coords = np.stack(np.unravel_index(numbers, self.grid.bounds(BLOCK_LAYER)), axis=1)
        if not self.test:
            return coords
        near: Coords = coords[np.abs(coords - np.array(self._centre)).max(axis=1, initial=0) <= 1]
        return near

    @property
    def last_chunk(self) -> int:
        """The chunk that is built when all others are written."""
        if self.test:
            return self.grid.chunk_id(BLOCK_LAYER, self._centre)
        return self.grid.chunk_id(self.grid.root_layer, (0, 0, 0))

    def written_chunks(self, numbers: npt.NDArray[np.int64]) -> Coords:
        """Coordinates, shape (n, 3), of layer-2 chunks that are written, numbered in order of their ids."""
        if self.test:
            return self.grid.children(BLOCK_LAYER, self._centre)[numbers]
        return np.stack(np.unravel_index(numbers, self.grid.bounds(ATOMIC_LAYER)), axis=1)

    def chunks(self, block: Coordinates) -> list[Coordinates]:
        """Coordinates of the layer-2 chunks of a block that are read."""
        coords = self.grid.children(BLOCK_LAYER, block)
        if self.test:
            low = 2 * np.array(self._centre)
            coords = coords[((coords >= low - 1) & (coords <= low + 2)).all(axis=1)]
        return as_coordinates(coords)

    def written(self, layer: int) -> int:
        """How many chunks of `layer` are written."""
        if not self.test:
            return self.grid.chunk_count(layer)
        if layer == ATOMIC_LAYER:
            return len(self.grid.children(BLOCK_LAYER, self._centre))  # fewer than eight at the grid's end
        return int(layer == BLOCK_LAYER)

    def writes(self, chunk_id: int) -> bool:
        """Whether the chunk's rows are written; at layers above 2, whether it is built at all."""
        if not self.test:
            return True
        grid = self.grid
        parent = grid.ancestors(np.array([chunk_id], np.uint64), BLOCK_LAYER)
        return bool((grid.coords(parent, BLOCK_LAYER)[0] == np.array(self._centre)).all())

    @property
    def _centre(self) -> Coordinates:
        # As PyChunkedGraph's own test run: half of the bounds of layer 3, rounded down.
        x, y, z = self.grid.bounds(BLOCK_LAYER)
        return (x // 2, y // 2, z // 2)
