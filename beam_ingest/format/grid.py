"""Node ids, the chunk grid and cross layers (the "graphene" id format of PyChunkedGraph).

A node id is a uint64: ``layer | x | y | z | segment`` from the highest bit down. The layer takes
``layer_id_bits``; how many bits each of x, y and z takes depends on the layer; the rest is the
segment. A chunk id is a node id whose segment is 0. Layers 1 (supervoxels) and 2 share one grid of
chunks; from there on a chunk covers 2x2x2 chunks of the layer below, up to the root layer, which
has one chunk.

Source of the format: pychunkedgraph/graph/utils/id_helpers.py and graph/meta.py (2.21, 3.1.7).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids as Ids
from beam_ingest.errors import ConfigError

Layers: TypeAlias = npt.NDArray[np.uint8]
Coords: TypeAlias = npt.NDArray[np.int64]
"""Coordinates of n chunks, shape (n, 3)."""
Coordinates: TypeAlias = tuple[int, int, int]
"""Coordinates of one chunk, along x, y and z."""
Mask: TypeAlias = npt.NDArray[np.bool_]

SUPERVOXEL_LAYER = 1
ATOMIC_LAYER = 2
"""The layer of chunks that are read from files; its nodes are components of supervoxels."""
FANOUT = 2
"""Child chunks per axis of a parent chunk; PyChunkedGraph supports no other."""
FACES = np.concatenate([np.eye(3, dtype=np.int64), -np.eye(3, dtype=np.int64)])
"""Steps from a chunk to those that share a face with it, shape (6, 3)."""


def chunk_name(coords: Coordinates) -> str:
    """Chunk coordinates as they appear in file names and messages.

    >>> chunk_name((1, 0, 2))
    '1_0_2'
    """
    return "{}_{}_{}".format(*coords)


def as_coordinates(coords: Coords) -> list[Coordinates]:
    """The rows of an array of coordinates, shape (n, 3), as tuples of Python integers."""
    return [(x, y, z) for x, y, z in coords.tolist()]


@dataclass(frozen=True)
class ChunkGrid:
    """The chunk grid of one dataset and the id format that follows from it.

    Attributes:
      chunks: number of layer-2 chunks along x, y and z.
      layer_id_bits: bits of an id that hold the layer.
      spatial_bits: bits per axis for the chunk coordinates of layers 1 and 2.

    Raises:
      ConfigError: when the grid is empty or one chunk, or when ids cannot hold it.

    Examples:
      >>> grid = ChunkGrid((4, 4, 4))
      >>> grid.layer_count, grid.bounds(3), hex(grid.chunk_id(2, (1, 2, 3)))
      (4, (2, 2, 2), '0x20040200c000000')
    """

    chunks: tuple[int, int, int]
    layer_id_bits: int = 8
    spatial_bits: int = 10

    def __post_init__(self) -> None:
        if min(self.chunks) < 1:
            raise ConfigError(f"the chunk grid {self.chunks} has no chunks: check the watershed's size")
        if max(self.chunks) == 1:
            raise ConfigError(
                "the volume is one single chunk, which makes a graph without layers that no "
                "PyChunkedGraph server opens: take more chunks, or a smaller CHUNK_SIZE"
            )
        if not 1 <= self.layer_id_bits <= 32 or self.layer_count >= 1 << self.layer_id_bits:
            raise ConfigError(
                f"graph_config.LAYER_ID_BITS is {self.layer_id_bits}, but {self.layer_count} layers "
                f"need at least {self.layer_count.bit_length()} (at most 32)"
            )
        if self.spatial_bits < self.layer_count - 2:
            raise ConfigError(
                f"graph_config.SPATIAL_BITS is {self.spatial_bits}, but {max(self.chunks)} chunks "
                f"along an axis need at least {self.layer_count - 2}"
            )
        if self.segment_bits(ATOMIC_LAYER) < 1:
            raise ConfigError(
                f"LAYER_ID_BITS {self.layer_id_bits} and SPATIAL_BITS {self.spatial_bits} leave no "
                "bits of 64 for segments: make one of them smaller"
            )

    @functools.cached_property
    def layer_count(self) -> int:
        """The number of layers, which is also the root layer: ``ceil(log2(max chunks)) + 2``."""
        return (max(self.chunks) - 1).bit_length() + 2

    @property
    def root_layer(self) -> int:
        """The layer of the one chunk that holds the roots."""
        return self.layer_count

    def axis_bits(self, layer: int) -> int:
        """Bits that each of x, y and z takes in an id of `layer`."""
        if layer <= ATOMIC_LAYER:
            return self.spatial_bits
        return max(1, self.layer_count - layer)

    def segment_bits(self, layer: int) -> int:
        """Bits that the segment takes in an id of `layer`: those that layer and coordinates leave."""
        return 64 - self.layer_id_bits - 3 * self.axis_bits(layer)

    def bounds(self, layer: int) -> tuple[int, int, int]:
        """Number of chunks along x, y and z at `layer`; the root layer has one chunk."""
        if layer >= self.root_layer:
            return (1, 1, 1)
        shift = max(0, layer - ATOMIC_LAYER)
        x, y, z = (-(-n >> shift) for n in self.chunks)
        return (x, y, z)

    def chunk_count(self, layer: int) -> int:
        """Number of chunks at `layer`."""
        x, y, z = self.bounds(layer)
        return x * y * z

    def contains(self, coords: Coords, layer: int = ATOMIC_LAYER) -> Mask:
        """Whether each of `coords`, shape (n, 3), is a chunk of the grid at `layer`; shape (n,).

        >>> ChunkGrid((4, 4, 4)).contains(np.array([[3, 0, 0], [4, 0, 0], [0, -1, 0]]))
        array([ True, False, False])
        """
        inside: Mask = np.all((coords >= 0) & (coords < self.bounds(layer)), axis=1)
        return inside

    def face_neighbours(self, chunk_id: int) -> list[int]:
        """Ids of the chunks in the grid that share a face with chunk `chunk_id`, in its own layer.

        >>> grid = ChunkGrid((4, 4, 4))
        >>> [grid.chunk_coords(chunk) for chunk in grid.face_neighbours(grid.chunk_id(2, (0, 0, 3)))]
        [(1, 0, 3), (0, 1, 3), (0, 0, 2)]
        """
        layer = self.layer_of(chunk_id)
        around = np.array(self.chunk_coords(chunk_id)) + FACES
        chunks: list[int] = self.chunk_ids(layer, around[self.contains(around, layer)]).tolist()
        return chunks

    def chunk_id(self, layer: int, coords: Coordinates) -> int:
        """The id of the chunk at `coords`."""
        return int(self.chunk_ids(layer, np.array([coords]))[0])

    def chunk_ids(self, layer: int, coords: npt.ArrayLike) -> Ids:
        """Ids, shape (n,), uint64, of the chunks at `coords`, shape (n, 3), of `layer`."""
        xyz = np.asarray(coords).astype(np.uint64).reshape(-1, 3)
        bits = self.axis_bits(layer)
        packed = (xyz[:, 0] << np.uint64(2 * bits)) | (xyz[:, 1] << np.uint64(bits)) | xyz[:, 2]
        head = np.uint64(layer << 64 - self.layer_id_bits)
        return head | (packed << np.uint64(self.segment_bits(layer)))

    def coords(self, ids: Ids, layer: int) -> Coords:
        """Chunk coordinates, shape (n, 3), int64, of `ids`, shape (n,), uint64, all of `layer`."""
        bits = self.axis_bits(layer)
        packed = (ids >> np.uint64(self.segment_bits(layer))).astype(np.int64)
        mask = (1 << bits) - 1
        return np.stack([packed >> 2 * bits & mask, packed >> bits & mask, packed & mask], axis=1)

    def layers(self, ids: Ids) -> Layers:
        """The layer of each id, shape (n,), uint8 (ids of a wider layer field wrap)."""
        return (ids >> np.uint64(64 - self.layer_id_bits)).astype(np.uint8)

    def layer_of(self, node_or_chunk: int) -> int:
        """The layer of one id."""
        return int(node_or_chunk) >> (64 - self.layer_id_bits)

    def segments(self, ids: Ids, layer: int) -> Ids:
        """The segment of each of `ids`, shape (n,), all of `layer`; shape (n,), uint64."""
        return ids & np.uint64((1 << self.segment_bits(layer)) - 1)

    def chunk_coords(self, chunk_id: int) -> Coordinates:
        """Coordinates of one chunk (or of the chunk of one node)."""
        x, y, z = self.coords(np.array([chunk_id], np.uint64), self.layer_of(chunk_id))[0].tolist()
        return (x, y, z)

    def ancestors(self, ids: Ids, layer: int) -> Ids:
        """Ids of the chunks at `layer` in which `ids` lie; ids may be of any layers <= `layer`.

        Examples:
          >>> grid = ChunkGrid((4, 4, 4))
          >>> node = np.array([grid.chunk_id(2, (3, 0, 2)) + 7], np.uint64)
          >>> grid.ancestors(node, 3) == grid.chunk_ids(3, [(1, 0, 1)])
          array([ True])
        """
        own_layers = self.layers(ids)
        if own_layers.size == 0 or (own_layers == own_layers[0]).all():
            return self._ancestors(ids, int(own_layers[0]) if own_layers.size else layer, layer)
        chunks = np.empty_like(ids)
        for own_layer in np.unique(own_layers).tolist():
            at = np.flatnonzero(own_layers == own_layer)
            chunks[at] = self._ancestors(ids[at], own_layer, layer)
        return chunks

    def ancestor(self, node_or_chunk: int, layer: int) -> int:
        """Id of the chunk at `layer` in which one node or chunk lies."""
        return int(self.ancestors(np.array([node_or_chunk], np.uint64), layer)[0])

    def _ancestors(self, ids: Ids, own_layer: int, layer: int) -> Ids:
        shift = max(layer, ATOMIC_LAYER) - max(own_layer, ATOMIC_LAYER)
        return self.chunk_ids(layer, self.coords(ids, own_layer) >> shift)

    def children(self, layer: int, coords: Coordinates) -> Coords:
        """Coordinates, shape (n <= 8, 3), of the child chunks in bounds, in order of their ids."""
        edge = self.bounds(layer - 1)
        low = [2 * c for c in coords]
        high = [min(c + 2, n) for c, n in zip(low, edge, strict=True)]
        axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)

    def cross_layers(self, ids: Ids, partners: Ids) -> Layers:
        """The highest layer at which the chunks of two supervoxels differ, shape (n,), uint8.

        An edge of cross layer k joins nodes when layer k + 1 is built. 0 for supervoxels of one chunk.

        Examples:
          >>> grid = ChunkGrid((8, 8, 8))
          >>> at = lambda *xyz: grid.chunk_ids(1, [xyz]) + np.uint64(1)
          >>> [int(grid.cross_layers(at(3, 0, 0), at(*p))[0]) for p in [(2, 0, 0), (4, 0, 0), (3, 0, 0)]]
          [2, 4, 0]
        """
        bits = self.spatial_bits
        differing = (ids ^ partners) >> np.uint64(self.segment_bits(SUPERVOXEL_LAYER))
        axis = (differing >> np.uint64(2 * bits)) | (differing >> np.uint64(bits)) | differing
        axis &= np.uint64((1 << bits) - 1)
        # frexp gives the bit length exactly: coordinates have far fewer than 53 bits.
        bit_length = np.frexp(axis.astype(np.float64))[1]
        return np.where(axis == 0, 0, bit_length + 1).astype(np.uint8)
