"""Finding and reading meshes in shard files by ranges of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from beam_ingest.arrays import Ids, Indices, find, pair_starts
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.shards import (
    Location,
    ShardError,
    decode_index,
    decode_minishard,
    index_size,
    minishards,
    shard_name,
)
from beam_ingest.meshes.storage import MeshFolder, Range

KEPT_BYTES = 64 << 20
"""Indices that are kept take up to about so much memory."""
_OVERHEAD = 500
"""What keeping a value takes besides."""
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Index: TypeAlias = tuple[Ids, Indices, Indices]


class MeshReader:
    """Reads meshes of one graph. Not for several threads at once.

    Args:
      url: the folder ``{watershed}/{dir}/initial``.
      grid: the chunk grid.
      bits: minishard bits by layer.
    """

    def __init__(self, url: str, grid: ChunkGrid, bits: Mapping[int, int]) -> None:
        self._folder = MeshFolder(url)
        self._grid = grid
        self._bits = bits
        self._heads: _Kept[str, Indices] = _Kept()
        self._indices: _Kept[tuple[str, int], _Index] = _Kept()

    def locate(self, nodes: Ids) -> list[Location | None]:
        """Where the mesh of each node is, shape (n,); None for those that have none.

        Raises:
          ShardError: when the shard file of a node's chunk is absent or damaged.
          FileError: when it cannot be read.
        """
        self._heads.trim()
        self._indices.trim()
        groups = list(self._groups(nodes))
        self._fetch_heads({f"{layer}/{name}": self._bits[layer] for layer, name, _, _ in groups})
        self._fetch_indices({(f"{layer}/{name}", n): self._bits[layer] for layer, name, n, _ in groups})
        found: list[Location | None] = [None] * nodes.size
        for layer, name, number, positions in groups:
            ids, begins, sizes = self._indices.get((f"{layer}/{name}", number))
            at, there = find(ids, nodes[positions])
            spans = zip(
                positions[there].tolist(), begins[at[there]].tolist(), sizes[at[there]].tolist(), strict=True
            )
            for position, begin, size in spans:
                found[position] = Location(layer, name, begin, size)
        return found

    def contents(self, chunk_id: int) -> tuple[Ids, list[Location]]:
        """The nodes with a mesh in the shard file of a chunk, shape (n,), and where each mesh is.

        Raises:
          ShardError: when the file is absent or damaged, or holds a node twice or where none looks for it.
          FileError: when it cannot be read.
        """
        layer, shard = self._grid.layer_of(chunk_id), shard_name(self._grid, chunk_id)
        name, bits = f"{layer}/{shard}", self._bits[layer]
        self._heads.trim()
        self._fetch_heads({name: bits})
        ranges = [Range(name, a, b - a) for a, b in self._heads.get(name).tolist() if a < b]
        nodes, places = [np.empty(0, np.uint64)], []
        for content in self._folder.read(ranges):
            ids, begins, sizes = decode_minishard(content, bits, self._folder.path(name))
            nodes.append(ids)
            places += [
                Location(layer, shard, a, n) for a, n in zip(begins.tolist(), sizes.tolist(), strict=True)
            ]
        every = np.concatenate(nodes)
        numbers = np.flatnonzero(np.diff(self._heads.get(name), axis=1)[:, 0])
        counts = [each.size for each in nodes[1:]]
        if not np.array_equal(minishards(every, bits), np.repeat(numbers, counts)):
            raise ShardError(self._folder.path(name), "nodes in minishards that are not theirs")
        return every, places

    def read(self, locations: Sequence[Location]) -> list[bytes]:
        """The bytes of meshes, which `locate` found.

        Raises:
          ShardError: when a file is not as it was.
          FileError: when they cannot be read.
        """
        return self._folder.read([Range(f"{at.layer}/{at.name}", at.begin, at.size) for at in locations])

    def supposed(self, nodes: Ids) -> list[str]:
        """Where the mesh of each node, shape (n,), is if it has one, without looking for it.

        Source of the form ``node:layer:chunk:file:minishard``: PyChunkedGraph's speculative manifests
        (pychunkedgraph/meshing/manifest/sharded.py, 3.1.7).
        """
        found = [""] * nodes.size
        for layer, name, number, positions in self._groups(nodes):
            chunk = self._grid.ancestor(int(nodes[positions[0]]), layer)
            for position in positions.tolist():
                found[position] = f"{nodes[position]}:{layer}:{chunk}:{name}:{number}"
        return found

    def file(self, node: int) -> str:
        """URL (local files: path) of the shard file that a node's mesh belongs to, for messages."""
        return self._folder.path(f"{self._grid.layer_of(node)}/{shard_name(self._grid, node)}")

    def _groups(self, nodes: Ids) -> Iterator[tuple[int, str, int, Indices]]:
        """Nodes of one minishard together: layer, file, number of the minishard, positions in `nodes`."""
        layers = self._grid.layers(nodes)
        chunks, numbers = np.empty_like(nodes), np.zeros(nodes.size, np.int64)
        for layer in np.unique(layers).tolist():
            own = layers == layer
            chunks[own] = nodes[own] - self._grid.segments(nodes[own], layer)
            numbers[own] = minishards(nodes[own], self._bits[layer])
        order = np.lexsort((numbers, chunks))
        starts = pair_starts(chunks[order], numbers[order])
        for positions in np.split(order, starts[1:]) if nodes.size else []:
            first = positions[0]
            chunk = int(chunks[first])
            yield int(layers[first]), shard_name(self._grid, chunk), int(numbers[first]), positions

    def _fetch_heads(self, files: Mapping[str, int]) -> None:
        missing = [name for name in files if not self._heads.has(name)]
        contents = self._folder.read([Range(name, 0, index_size(files[name])) for name in missing])
        for name, content in zip(missing, contents, strict=True):
            index = decode_index(content, files[name], self._folder.path(name))
            self._heads.put(name, index, index.nbytes)

    def _fetch_indices(self, wanted: Mapping[tuple[str, int], int]) -> None:
        nothing = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
        keys, ranges = [], []
        for key in wanted:
            if self._indices.has(key):
                continue
            begin, end = self._heads.get(key[0])[key[1]].tolist()
            if begin == end:
                self._indices.put(key, nothing, 0)
                continue
            keys.append(key)
            ranges.append(Range(key[0], begin, end - begin))
        for key, content in zip(keys, self._folder.read(ranges), strict=True):
            index = decode_minishard(content, wanted[key], self._folder.path(key[0]))
            self._indices.put(key, index, sum(array.nbytes for array in index))


class _Kept(Generic[_Key, _Value]):
    """Values of keys, of which those used longest ago are forgotten."""

    def __init__(self) -> None:
        self._values: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._bytes = 0

    def has(self, key: _Key) -> bool:
        if key in self._values:
            self._values.move_to_end(key)
            return True
        return False

    def get(self, key: _Key) -> _Value:
        return self._values[key][0]

    def put(self, key: _Key, value: _Value, nbytes: int) -> None:
        self._values[key] = value, nbytes + _OVERHEAD
        self._bytes += nbytes + _OVERHEAD

    def trim(self) -> None:
        """Forget what is too much: not while values are in use."""
        while self._bytes > KEPT_BYTES:
            _, (_, nbytes) = self._values.popitem(last=False)
            self._bytes -= nbytes
