"""What requests ask of a graph's tree, for many threads at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import LifoQueue

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import BeamIngestError
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Ids
from beam_ingest.reader import GraphReader, Groups
from beam_ingest.view.bounds import ChunkBox, within

MOST_READERS = 16
"""Readers at once, each with a connection; further requests wait for one."""
CACHE_BYTES = 64 << 20
"""Most bytes of children that are kept: they never change, since edits make new nodes."""
MOST_LEAVES = 20_000_000
"""Most nodes in one answer, whose text takes some hundred MB."""
_FEW = 256
"""Nodes up to this number are looked up in the cache, one by one: of many, the table is faster."""


class UnknownNodeError(BeamIngestError):
    """A node that is not in the graph.

    Attributes:
      node: its id.
    """

    def __init__(self, node: int) -> None:
        super().__init__(f"node {node} is not in the graph")
        self.node = node


class TooManyError(BeamIngestError):
    """An answer would be too large."""


class _Children:
    """The children of nodes that were asked for last, up to a number of bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.nbytes = 0
        self._arrays: OrderedDict[int, Ids] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, nodes: list[int]) -> list[Ids | None]:
        """The children of each node, None where they are not known."""
        with self._lock:
            found = [self._arrays.get(node) for node in nodes]
            for node, array in zip(nodes, found, strict=True):
                if array is not None:
                    self._arrays.move_to_end(node)
            return found

    def keep(self, node: int, children: Ids) -> None:
        """Remember the children of a node, and forget those that were asked for the longest time ago."""
        with self._lock:
            if node in self._arrays or children.nbytes > self._most // 4:
                return
            self._arrays[node] = children
            self.nbytes += _cost(children)
            while self.nbytes > self._most:
                self.nbytes -= _cost(self._arrays.popitem(last=False)[1])


def _cost(array: Ids) -> int:
    """Bytes of an array in the cache, with what Python adds to it."""
    return array.nbytes + 256


class Hierarchy:
    """The tree of a graph. Methods may be called by many threads at once.

    All methods raise `StoreError` when the table cannot be read.

    Args:
      open_reader: opens a reader of the graph; called when a thread needs one and all others are busy.
      grid: the chunk grid.
      cache_bytes: most bytes of children to keep.
    """

    def __init__(
        self, open_reader: Callable[[], GraphReader], grid: ChunkGrid, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self.grid = grid
        self._open = open_reader
        self._readers: LifoQueue[GraphReader | None] = LifoQueue()
        for _ in range(MOST_READERS):
            self._readers.put(None)
        self._known = _Children(cache_bytes)

    @property
    def cached_bytes(self) -> int:
        """Bytes of children that are kept."""
        return self._known.nbytes

    @contextmanager
    def reader(self) -> Iterator[GraphReader]:
        """A reader for this thread alone, until the block ends."""
        reader = self._readers.get()
        try:
            reader = reader or self._open()
            yield reader
        finally:
            self._readers.put(reader)

    def close(self) -> None:
        """Close the readers, when no thread uses one any more."""
        for _ in range(MOST_READERS):
            reader = self._readers.get()
            if reader is not None:
                reader.close()
            self._readers.put(None)

    def roots(self, nodes: npt.ArrayLike, stop_layer: int | None = None) -> Ids:
        """The lowest ancestor at or above a layer, of each node.

        A node at or above it is its own. Where the graph ends below, as a graph of ``--test`` does, it is
        the highest one.

        Args:
          nodes: ids, shape (n,).
          stop_layer: the layer; None for the root layer.

        Returns:
          Shape (n,), uint64; 0 for ids that the graph does not have.
        """
        ids, inverse = np.unique(np.asarray(nodes, np.uint64).reshape(-1), return_inverse=True)
        stop = self.grid.root_layer if stop_layer is None else stop_layer
        tops = ids.copy()
        climbing = np.flatnonzero(self.grid.layers(ids) < stop)
        with self.reader() as reader:
            while climbing.size:
                parents = reader.parents(tops[climbing], missing="zero")
                climbing, parents = climbing[parents != 0], parents[parents != 0]
                tops[climbing] = parents
                climbing = climbing[self.grid.layers(parents) < stop]
            unmoved = np.flatnonzero(tops == ids)
            tops[unmoved[~reader.exist(ids[unmoved])]] = 0
        return tops[inverse.reshape(-1)]

    def parents(self, node: int) -> Ids:
        """All ancestors of a node, from its parent to its root.

        Raises:
          UnknownNodeError: when the graph does not have it.
        """
        above = []
        with self.reader() as reader:
            _require(reader, np.array([node], np.uint64))
            while node := int(reader.parents([node], missing="zero")[0]):
                above.append(node)
        return np.array(above, np.uint64)

    def exist(self, nodes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether the graph has each node, shape (n,)."""
        with self.reader() as reader:
            return reader.exist(nodes)

    def children(self, node: int) -> Ids:
        """The children of a node, ascending; supervoxels have none.

        Raises:
          UnknownNodeError: when the graph does not have it.
        """
        asked = np.array([node], np.uint64)
        with self.reader() as reader:
            _require(reader, asked)
            if self.grid.layer_of(node) <= SUPERVOXEL_LAYER:
                return np.empty(0, np.uint64)
            return self._children(reader, asked)[0]

    def leaves(
        self, nodes: npt.ArrayLike, box: ChunkBox | None = None, stop_layer: int = SUPERVOXEL_LAYER
    ) -> Groups:
        """The supervoxels, or nodes of another layer, below each node.

        Only nodes whose chunks share something with the box are looked at, so that the work depends on what
        is in the box and not on the size of the object.

        Args:
          nodes: ids, shape (n,).
          box: the chunks to stay within; None for all.
          stop_layer: the layer of the nodes to find; nodes that skip it are not found.

        Returns:
          For each node the ids below it, ascending; for a node of that layer, itself.

        Raises:
          UnknownNodeError: when the graph does not have one of the nodes.
          TooManyError: when it is more than MOST_LEAVES.
        """
        below = np.asarray(nodes, np.uint64).reshape(-1)
        owner, count = np.arange(below.size), below.size
        found_ids, found_owners, total = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], 0
        with self.reader() as reader:
            _require(reader, below)
            while below.size:
                if box is not None:
                    inside = within(self.grid, below, box)
                    below, owner = below[inside], owner[inside]
                layers = self.grid.layers(below)
                found, deeper = layers == stop_layer, layers > stop_layer
                found_ids.append(below[found])
                found_owners.append(owner[found])
                total += int(found.sum())
                if total + int(deeper.sum()) > MOST_LEAVES:
                    raise TooManyError(
                        f"expected up to {MOST_LEAVES:,} nodes in an answer, found more: ask within bounds"
                    )
                groups = self._children(reader, below[deeper])
                below, owner = groups.values, np.repeat(owner[deeper], np.diff(groups.offsets))
        ids, owners = np.concatenate(found_ids), np.concatenate(found_owners)
        order = np.lexsort((ids, owners))
        return Groups(ids[order], np.append(0, np.cumsum(np.bincount(owners, minlength=count))))

    def chunk_children(self, chunk_id: int) -> npt.NDArray[np.uint64]:
        """The layer-2 nodes of a chunk with their supervoxels.

        Args:
          chunk_id: of layer 2; a chunk without nodes, or outside the grid, gives none.

        Returns:
          Node and supervoxel, shape (n, 2), ascending.
        """
        with self.reader() as reader:
            coords = self.grid.chunk_coords(chunk_id)
            nodes = np.concatenate([np.empty(0, np.uint64), *reader.nodes(ATOMIC_LAYER, coords)])
            groups = self._children(reader, nodes)
        return np.stack([np.repeat(nodes, np.diff(groups.offsets)), groups.values], axis=1)

    def _children(self, reader: GraphReader, ids: Ids) -> Groups:
        """The children of nodes above layer 1; of few nodes those that are known are not read again."""
        if ids.size > _FEW:
            return reader.children(ids)
        known = self._known.find(ids.tolist())
        absent = np.array([array is None for array in known], bool)
        if absent.any():
            read = reader.children(ids[absent])
            for at, array in zip(np.flatnonzero(absent).tolist(), read, strict=True):
                known[at] = array
                self._known.keep(int(ids[at]), array.copy())
        arrays = [array for array in known if array is not None]
        sizes = np.array([array.size for array in arrays], np.int64)
        return Groups(np.concatenate([np.empty(0, np.uint64), *arrays]), np.append(0, np.cumsum(sizes)))


def _require(reader: GraphReader, ids: Ids) -> None:
    """Raise for the first of `ids` that the graph does not have."""
    known = reader.exist(ids)
    if not known.all():
        raise UnknownNodeError(int(ids[~known][0]))
