"""Which chunks of a grid hold anything, by the names of their files, and how many faces they share."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Coords, Mask
from beam_ingest.stages.scope import BLOCK_LAYER


@dataclass(frozen=True, eq=False)
class Presence:
    """The chunks that have files.

    Attributes:
      grid: the chunk grid.
      mask: shape of the grid, bool.
    """

    grid: ChunkGrid
    mask: Mask

    @classmethod
    def full(cls, grid: ChunkGrid) -> Presence:
        """Every chunk: what is assumed of folders that cannot be listed."""
        return cls(grid, np.ones(grid.bounds(ATOMIC_LAYER), bool))

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return int(self.mask.sum())

    def encode(self) -> str:
        """The mask as text, a bit a chunk before compression."""
        return encode_bits(self.mask)

    @classmethod
    def decode(cls, grid: ChunkGrid, text: str) -> Presence:
        """What `encode` took."""
        return cls(grid, decode_bits(text, grid.bounds(ATOMIC_LAYER)))

    def blocks(self) -> Coords:
        """Coordinates, shape (n, 3), at BLOCK_LAYER of the blocks with files, in order of their ids."""
        return np.argwhere(_pooled(self.mask))

    def within(self, layer: int, coords: Coordinates) -> int:
        """How many chunks of a chunk of `layer` hold anything."""
        return int(self.mask[self._box(layer, coords)].sum())

    def faces(self, layer: int) -> int:
        """Faces of layer-2 chunks between chunks of `layer`, from either side, with files on both."""
        span = 1 << (layer - ATOMIC_LAYER)
        total = 0
        for axis in range(3):
            mask = np.moveaxis(self.mask, axis, 0)
            low, high = mask[span - 1 : -1 : span], mask[span::span]
            total += 2 * int((low & high).sum())
        return total

    def surface(self, layer: int, coords: Coordinates) -> int:
        """The faces of `faces` that one chunk of `layer` has, counted from its side."""
        box = self._box(layer, coords)
        total = 0
        for axis in range(3):
            mask = np.moveaxis(self.mask, axis, 0)
            own = [box[axis], *(box[other] for other in range(3) if other != axis)]
            low, end, across = own[0].start, own[0].stop, tuple(own[1:])
            if low > 0:
                total += int((mask[low - 1][across] & mask[low][across]).sum())
            if end < mask.shape[0]:
                total += int((mask[end - 1][across] & mask[end][across]).sum())
        return total

    def _box(self, layer: int, coords: Coordinates) -> tuple[slice, slice, slice]:
        span = 1 << (layer - ATOMIC_LAYER)
        bounds = self.mask.shape
        x, y, z = (slice(at * span, min((at + 1) * span, n)) for at, n in zip(coords, bounds, strict=True))
        return (x, y, z)


def encode_bits(mask: Mask) -> str:
    """A mask as text."""
    return base64.b85encode(zlib.compress(np.packbits(mask.ravel()).tobytes(), 6)).decode()


def decode_bits(text: str, shape: tuple[int, ...]) -> Mask:
    """The mask, of this shape, that `encode_bits` took."""
    packed = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    bits = np.unpackbits(packed, count=int(np.prod(shape))).astype(bool)
    return bits.reshape(shape)


def _pooled(mask: Mask) -> Mask:
    """Whether any of 2 x 2 x 2 chunks holds anything."""
    padded = np.pad(mask, [(0, n % 2) for n in mask.shape])
    x, y, z = (n // 2 for n in padded.shape)
    pooled: Mask = np.any(padded.reshape(x, 2, y, 2, z, 2), axis=(1, 3, 5))
    return pooled


BLOCK_SPAN = 1 << (BLOCK_LAYER - ATOMIC_LAYER)
"""Chunks along an axis of a block."""
