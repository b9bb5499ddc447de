"""Reading a graph: parents, children, cross edges, roots and leaves, from any store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import BeamIngestError
from beam_ingest.format import table
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Ids
from beam_ingest.stores.base import Row, Store

_BATCH = 10_000


class NodeNotFoundError(BeamIngestError):
    """A node that the graph does not have."""


class GraphReader:
    """Reads nodes of one graph.

    Args:
      store: its store.
      grid: its chunk grid.
    """

    def __init__(self, store: Store, grid: ChunkGrid) -> None:
        self._store = store
        self._grid = grid

    def parent(self, node: int) -> int | None:
        """The parent of a node, None for a root.

        Raises:
          NodeNotFoundError: when the graph has no such node.
        """
        row = self._row(node)
        if table.PARENT not in row:
            return None
        return int.from_bytes(row[table.PARENT].value, "little")

    def children(self, node: int) -> Ids:
        """The children of a node, shape (n,), ascending; none of a supervoxel.

        Raises:
          NodeNotFoundError: when the graph has no such node.
        """
        return self._ids(self._row(node), table.CHILDREN)

    def cross_edges(self, node: int) -> dict[int, npt.NDArray[np.uint64]]:
        """Edges (own id, partner id), shape (n, 2), of a node by cross layer; of graph version 3.

        Raises:
          NodeNotFoundError: when the graph has no such node.
        """
        return self._pairs(node, table.cross_edges)

    def atomic_cross_edges(self, node: int) -> dict[int, npt.NDArray[np.uint64]]:
        """Edges (own supervoxel, partner supervoxel), shape (n, 2), of a layer-2 node by cross layer.

        Raises:
          NodeNotFoundError: when the graph has no such node.
        """
        return self._pairs(node, table.atomic_cross_edges)

    def root(self, node: int) -> int:
        """The root above a node.

        Raises:
          NodeNotFoundError: when the graph has no such node, or a parent is not there.
        """
        while (above := self.parent(node)) is not None:
            node = above
        return node

    def leaves(self, node: int) -> Ids:
        """The supervoxels below a node, shape (n,), ascending.

        Raises:
          NodeNotFoundError: when the node, or one below it, is not there.
        """
        found = [np.empty(0, np.uint64)]
        nodes = np.array([node], np.uint64)
        while nodes.size:
            atomic = self._grid.layers(nodes) == SUPERVOXEL_LAYER
            found.append(nodes[atomic])
            nodes = self._children_of(nodes[~atomic])
        return np.sort(np.concatenate(found))

    def _children_of(self, nodes: Ids) -> Ids:
        below = [np.empty(0, np.uint64)]
        for start in range(0, nodes.size, _BATCH):
            keys = table.node_keys(nodes[start : start + _BATCH]).tolist()
            rows = self._store.read_rows(keys)
            for key in keys:
                if key not in rows:
                    raise NodeNotFoundError(f"{self._store.place}: no node {int(key)}")
                below.append(self._ids(rows[key], table.CHILDREN))
        return np.concatenate(below)

    def _row(self, node: int) -> Row:
        key = table.node_key(node)
        row = self._store.read_rows([key]).get(key)
        if row is None:
            raise NodeNotFoundError(f"{self._store.place}: no node {node}")
        return row

    def _ids(self, row: Row, column: table.ColumnName) -> Ids:
        if column not in row:
            return np.empty(0, np.uint64)
        return table.decode_ids(row[column].value)

    def _pairs(self, node: int, name: table.ColumnsByLayer) -> dict[int, npt.NDArray[np.uint64]]:
        row = self._row(node)
        layers: Sequence[int] = range(self._grid.layer_count)
        return {k: self._ids(row, name(k)).reshape(-1, 2) for k in layers if name(k) in row}
