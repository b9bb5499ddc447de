"""Which chunks of a grid are opened: all, or a sample spread over it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, FACES, ChunkGrid, Coords, Mask

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Selection:
    """Layer-2 chunks of a grid, always the same ones for the same grid and count.

    Chunk k of the selection is number ``(k * stride + stride / 2) mod chunks`` of the grid, with a stride
    near the golden section of all chunks, which spreads any count of them evenly. Since it has no
    divisor in common with the number of chunks, no chunk comes twice, and whether a chunk is
    selected can be computed from its coordinates: no list is kept.

    Attributes:
      grid: the chunk grid.
      count: how many chunks; None, or more than there are, for all.
    """

    grid: ChunkGrid
    count: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether every chunk is selected."""
        return self.count is None or self.count >= self._total

    @property
    def size(self) -> int:
        """How many chunks are selected."""
        return self._total if self.count is None else min(self.count, self._total)

    def chunks(self, first: int, last: int) -> Coords:
        """Coordinates, shape (n, 3), of chunks first..last-1 of the selection."""
        ks = np.arange(first, min(last, self.size), dtype=np.int64)
        numbers = (ks * self._stride + self._stride // 2) % self._total
        return np.stack(np.unravel_index(numbers, self.grid.bounds(ATOMIC_LAYER)), axis=1)

    def selected(self, coords: Coords) -> Mask:
        """Whether each of the chunks at `coords`, shape (n, 3), in the grid or not, is selected."""
        bounds = self.grid.bounds(ATOMIC_LAYER)
        inside = self.grid.contains(coords)
        if self.is_all:
            return inside
        numbers = np.ravel_multi_index(tuple(coords.T), bounds, mode="clip")
        inverse = pow(self._stride, -1, self._total)
        ks = (numbers - self._stride // 2) % self._total * inverse % self._total
        chosen: Mask = inside & (ks < self.size)
        return chosen

    def opened(self, coords: Coords) -> Mask:
        """Whether each of the chunks at `coords`, shape (n, 3), is selected or next to one that is."""
        if self.is_all or coords.size == 0:
            return self.selected(coords)
        around = np.concatenate([coords[None], coords + FACES[:, None]])
        near = self.selected(around.reshape(-1, 3)).reshape(len(around), -1).any(axis=0)
        opened: Mask = near & self.grid.contains(coords)
        return opened

    def neighbourhood(self, coords: Coords) -> Coords:
        """The chunks at `coords`, shape (n, 3), and those that share a face with one of them; each once."""
        around = np.concatenate([coords[None], coords + FACES[:, None]]).reshape(-1, 3)
        return np.unique(around[self.grid.contains(around)], axis=0)

    @property
    def _total(self) -> int:
        return self.grid.chunk_count(ATOMIC_LAYER)

    @functools.cached_property
    def _stride(self) -> int:
        stride = max(1, round(self._total * _GOLDEN))
        while math.gcd(stride, self._total) > 1:
            stride += 1
        return stride
