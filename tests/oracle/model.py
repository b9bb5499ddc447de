"""Datasets as plain values: the chunk grid, the id format, and what lies in each chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Coords: TypeAlias = tuple[int, int, int]
Edge: TypeAlias = tuple[int, int]

SUPERVOXEL_LAYER = 1
ATOMIC_LAYER = 2


@dataclass(frozen=True)
class Grid:
    """The chunk grid of a dataset and the bit layout of its ids, as the format defines them.

    An id is ``layer | x | y | z | segment``, from the highest bit down. The layer takes `layer_id_bits`,
    each of x, y, z takes `axis_bits(layer)`, the segment takes the rest of the 64 bits.

    >>> grid = Grid((4, 4, 4))
    >>> grid.root_layer, [grid.axis_bits(layer) for layer in (1, 2, 3, 4)]
    (4, [10, 10, 1, 1])
    >>> hex(grid.chunk_id(2, (1, 2, 3)))
    '0x20040200c000000'
    """

    chunks: Coords
    spatial_bits: int = 10
    layer_id_bits: int = 8

    @property
    def root_layer(self) -> int:
        """The layer whose one chunk covers the grid: 1 chunk per axis at layer 2, twice that at each next."""
        layer, covered = ATOMIC_LAYER, 1
        while covered < max(self.chunks):
            layer, covered = layer + 1, covered * 2
        return layer

    def axis_bits(self, layer: int) -> int:
        """Bits of each of x, y and z in an id of `layer`."""
        if layer <= ATOMIC_LAYER:
            return max(self.spatial_bits, self.root_layer - 2)
        return max(1, self.root_layer - layer)

    def segment_bits(self, layer: int) -> int:
        """Bits of the segment in an id of `layer`."""
        return 64 - self.layer_id_bits - 3 * self.axis_bits(layer)

    def node_id(self, layer: int, coords: Coords, segment: int) -> int:
        """The id of node `segment` of the chunk at `coords`."""
        if not 0 <= segment < (1 << self.segment_bits(layer)):
            raise ValueError(
                f"segment {segment} does not fit in {self.segment_bits(layer)} bits at layer {layer}"
            )
        node = layer
        for coordinate in coords:
            if not 0 <= coordinate < (1 << self.axis_bits(layer)):
                raise ValueError(f"coordinates {coords} do not fit in an id of layer {layer}")
            node = node * (1 << self.axis_bits(layer)) + coordinate
        return node * (1 << self.segment_bits(layer)) + segment

    def chunk_id(self, layer: int, coords: Coords) -> int:
        """The id of a chunk: that of a node with segment 0."""
        return self.node_id(layer, coords, 0)

    def layer_of(self, node: int) -> int:
        """The layer of a node."""
        return node >> (64 - self.layer_id_bits)

    def segment_of(self, node: int) -> int:
        """The segment of a node."""
        return node % (1 << self.segment_bits(self.layer_of(node)))

    def coords_of(self, node: int) -> Coords:
        """The coordinates of the chunk in which a node was made, in chunks of its own layer."""
        layer = self.layer_of(node)
        bits = self.axis_bits(layer)
        packed = node >> self.segment_bits(layer)
        x, y, z = (packed >> (shift * bits) & ((1 << bits) - 1) for shift in (2, 1, 0))
        return (x, y, z)

    def chunk_of(self, node: int) -> int:
        """The id of the chunk in which a node was made."""
        return node - self.segment_of(node)

    def coords_at(self, supervoxel: int, layer: int) -> Coords:
        """The coordinates of the chunk of `layer` that holds a supervoxel."""
        x, y, z = (c // 2 ** max(0, layer - ATOMIC_LAYER) for c in self.coords_of(supervoxel))
        return (x, y, z)

    def cross_layer(self, a: int, b: int) -> int:
        """The highest layer at which two supervoxels lie in different chunks, 0 when in the same."""
        for layer in range(self.root_layer, SUPERVOXEL_LAYER, -1):
            if self.coords_at(a, layer) != self.coords_at(b, layer):
                return layer
        return 0


@dataclass(frozen=True)
class Chunk:
    """The input of one chunk, just as its two files list it.

    Attributes:
      in_chunk: edges with both ends in the chunk; active when one component holds both.
      cross: edges to supervoxels of other chunks that are always active; the own end is first,
        unless swapped.
      between: edges to supervoxels of other chunks; active when one component holds both.
      components: groups of agglomerated supervoxels; ids of other chunks occur too.
    """

    in_chunk: tuple[Edge, ...] = ()
    cross: tuple[Edge, ...] = ()
    between: tuple[Edge, ...] = ()
    components: tuple[tuple[int, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.in_chunk or self.cross or self.between or self.components)


@dataclass(frozen=True)
class OracleDataset:
    """A whole dataset.

    Attributes:
      grid: chunk counts and id format.
      chunks: what is in each chunk, by coordinates; a chunk that is not named is empty.
    """

    grid: Grid
    chunks: Mapping[Coords, Chunk] = field(default_factory=dict)

    def all_coords(self) -> Iterator[Coords]:
        """The coordinates of every chunk in the grid, also of the empty ones."""
        nx, ny, nz = self.grid.chunks
        return ((x, y, z) for x in range(nx) for y in range(ny) for z in range(nz))
