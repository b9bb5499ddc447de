"""Reading a graph: parents, children, roots, leaves and edges of many nodes at once, from any store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices
from beam_ingest.dataset import Dataset
from beam_ingest.errors import NodeNotFoundError, StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Coordinates, Coords, Ids
from beam_ingest.format.table import ColumnName
from beam_ingest.inputs.watershed import read_supervoxels
from beam_ingest.stages.manifest import read_graph
from beam_ingest.stores import Store, open_store, store_url

Missing: TypeAlias = Literal["raise", "zero"]
"""What to do about ids that the graph does not have: raise an error that names one, or give 0 for them."""
_BATCH = 10_000


@dataclass(frozen=True, eq=False)
class Groups:
    """Arrays of different lengths, one for each node that was asked for.

    Attributes:
      values: all of them, one after another, shape (total,) or (total, 2).
      offsets: where each begins, and the end of the last, shape (n + 1,), int64.

    Examples:
      >>> groups = Groups(np.array([7, 8, 9]), np.array([0, 2, 2, 3]))
      >>> len(groups), groups[0].tolist(), [group.size for group in groups]
      (3, [7, 8], [2, 0, 1])
    """

    values: npt.NDArray[np.uint64]
    offsets: Indices

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, at: int) -> npt.NDArray[np.uint64]:
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.values[self.offsets[at] : self.offsets[at + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[np.uint64]]:
        return (self[at] for at in range(len(self)))


@dataclass(frozen=True, eq=False)
class CrossEdges:
    """Edges that leave the chunks of n nodes.

    Attributes:
      node: position of the node that was asked for, shape (e,), int64, ascending.
      layer: cross layer: the highest layer at which the chunks of the two ends differ, shape (e,), int64.
      pairs: own id and partner's id, shape (e, 2), uint64.
    """

    node: Indices
    layer: Indices
    pairs: npt.NDArray[np.uint64]


class GraphReader:
    """Reads one graph. Not for several threads at once: open one reader in each.

    Methods take ids as an array, shape (n,), or as anything that numpy converts to one, and read the table
    in batches. Columns are PyChunkedGraph's (pychunkedgraph/graph/attributes.py, 2.21 and 3.1.7). All methods
    raise `StoreError` when the store cannot be read.

    Args:
      store: the graph's store, from `open_store`.
      grid: its chunk grid.
      dataset: the dataset file, for `supervoxels_at`; None when it is not needed.
    """

    def __init__(self, store: Store, grid: ChunkGrid, dataset: Dataset | None = None) -> None:
        self._store = store
        self._dataset = dataset
        self.grid = grid

    def __enter__(self) -> GraphReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the store's connections."""
        self._store.close()

    def exist(self, nodes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether the graph has each of `nodes`, shape (n,)."""
        ids, inverse = _unique(nodes)
        keys = table.node_keys(ids).tolist()
        found = [
            key in some for batch in _batches(keys) for some in [self._store.existing(batch)] for key in batch
        ]
        return np.array(found, bool)[inverse]

    def parents(self, nodes: npt.ArrayLike, missing: Missing = "raise") -> Ids:
        """The parent of each node, shape (n,), uint64; 0 for roots.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes, unless `missing` is "zero".
        """
        ids, inverse = _unique(nodes)
        found = self._parents(ids)
        if missing == "raise":
            self._require(ids[found == 0])
        return found[inverse]

    def roots(self, nodes: npt.ArrayLike, missing: Missing = "raise") -> Ids:
        """The root above each node or supervoxel, shape (n,), uint64; of a root, itself.

        In a graph of ``--test``, which has no roots, it is the highest node that was written.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes, unless `missing` is "zero".
        """
        ids, inverse = _unique(nodes)
        tops, climbing = ids.copy(), np.arange(ids.size)
        while climbing.size:
            above, back = np.unique(tops[climbing], return_inverse=True)
            parents = self._parents(above)[back]
            tops[climbing[parents != 0]] = parents[parents != 0]
            climbing = climbing[parents != 0]
        known = self.exist(tops)
        if missing == "raise" and not known.all():
            raise self._not_found(int(tops[~known][0]))
        return np.where(known, tops, np.uint64(0))[inverse]

    def children(self, nodes: npt.ArrayLike) -> Groups:
        """The children of each node, ascending; supervoxels have none.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes.
        """
        ids, inverse = _unique(nodes)
        found = self._children(ids)
        return _take(found, inverse)

    def leaves(self, nodes: npt.ArrayLike) -> Groups:
        """The supervoxels below each node, ascending; of a supervoxel, itself.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes, or one below them.
        """
        ids, inverse = _unique(nodes)
        below, owner = ids, np.arange(ids.size)
        found_ids, found_owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
        self._require(ids[self.grid.layers(ids) == SUPERVOXEL_LAYER])
        while below.size:
            atomic = self.grid.layers(below) == SUPERVOXEL_LAYER
            found_ids.append(below[atomic])
            found_owners.append(owner[atomic])
            groups = self._children(below[~atomic])
            owner = np.repeat(owner[~atomic], np.diff(groups.offsets))
            below = groups.values
        values, owners = np.concatenate(found_ids), np.concatenate(found_owners)
        order = np.lexsort((values, owners))
        counts = np.bincount(owners, minlength=ids.size)
        return _take(Groups(values[order], np.append(0, np.cumsum(counts))), inverse)

    def sizes(self, nodes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The number of supervoxels below each node, shape (n,), int64.

        Raises:
          NodeNotFoundError: as `leaves`.
        """
        ids, inverse = _unique(nodes)
        return np.diff(self.leaves(ids).offsets)[inverse]

    def cross_edges(self, nodes: npt.ArrayLike) -> CrossEdges:
        """Edges of nodes of layers 2 and above, from ``cross_edges_k``; only graphs of version 3 have them.

        A partner is an id at the highest layer that is not above the node's own.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes.
        """
        return self._pairs(nodes, table.cross_edges)

    def atomic_cross_edges(self, nodes: npt.ArrayLike) -> CrossEdges:
        """Edges (own supervoxel, partner supervoxel) of layer-2 nodes, from ``atomic_cross_edges_k``.

        Raises:
          NodeNotFoundError: when the graph does not have one of the nodes.
        """
        return self._pairs(nodes, table.atomic_cross_edges)

    def nodes(self, layer: int, chunk: Coordinates | None = None) -> Iterator[Ids]:
        """Ids of all nodes of a layer, or of one chunk of it, ascending, in batches of some thousands.

        Args:
          layer: 1 (supervoxels) to the root layer.
          chunk: coordinates of the chunk at that layer; None for all chunks.
        """
        if chunk is None:
            first = self.grid.chunk_id(layer, (0, 0, 0))
            end = first + (1 << (64 - self.grid.layer_id_bits))
        else:
            first = self.grid.chunk_id(layer, chunk)
            end = first + (1 << self.grid.segment_bits(layer))
        keys: list[bytes] = []
        for key in self._store.keys(table.node_key(first), table.node_key(end)):
            keys.append(key)
            if len(keys) == _BATCH:
                yield _ids_of(keys)
                keys = []
        if keys:
            yield _ids_of(keys)

    def root_ids(self) -> Iterator[Ids]:
        """Ids of all roots, ascending, in batches of some thousands."""
        return self.nodes(self.grid.root_layer)

    def supervoxels_at(self, positions: npt.ArrayLike) -> Ids:
        """The supervoxel at each position, shape (n,), uint64; 0 for background.

        Args:
          positions: voxels of the watershed's mip 0 along x, y and z, shape (n, 3), in its own coordinates
            (with its voxel_offset).

        Raises:
          ConfigError: when a position is outside the watershed.
          FileError: when its voxels cannot be read.
          StoreError: when the reader was opened without a dataset.
        """
        if self._dataset is None:
            raise StoreError(f"{self._store.place}: opened without a dataset file, which names the watershed")
        voxels: Coords = np.asarray(positions, np.int64).reshape(-1, 3)
        return read_supervoxels(self._dataset.watershed, self._dataset.chunk_size, voxels)

    def _parents(self, ids: Ids) -> Ids:
        """The parent of each, 0 where there is no such cell; ids unique."""
        values = self._values(ids, table.PARENT)
        return np.frombuffer(b"".join(value or bytes(8) for value in values), "<u8").astype(np.uint64)

    def _children(self, ids: Ids) -> Groups:
        values = self._values(ids, table.CHILDREN)
        self._require(ids[np.array([value is None for value in values], bool)])
        arrays = [np.empty(0, np.uint64) if value is None else table.decode_ids(value) for value in values]
        sizes = np.array([array.size for array in arrays], np.int64)
        return Groups(np.concatenate([np.empty(0, np.uint64), *arrays]), np.append(0, np.cumsum(sizes)))

    def _values(self, ids: Ids, column: ColumnName) -> list[bytes | None]:
        """The cell of each id, None where there is none."""
        found: list[bytes | None] = []
        for keys in _batches(table.node_keys(ids).tolist()):
            rows = self._store.read_rows(keys, [column])
            found += [rows[key][column].value if key in rows else None for key in keys]
        return found

    def _pairs(self, nodes: npt.ArrayLike, name: table.ColumnsByLayer) -> CrossEdges:
        asked = np.asarray(nodes, np.uint64).reshape(-1)
        columns = {name(k): k for k in range(self.grid.layer_count)}
        position, layer = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        pairs = [np.empty((0, 2), np.uint64)]
        self._require(asked)
        for start in range(0, asked.size, _BATCH):
            keys = table.node_keys(asked[start : start + _BATCH]).tolist()
            rows = self._store.read_rows(sorted(set(keys)), list(columns))
            for at, key in enumerate(keys, start):
                for column, cell in sorted(rows.get(key, {}).items(), key=lambda item: columns[item[0]]):
                    found = table.decode_ids(cell.value).reshape(-1, 2)
                    pairs.append(found)
                    position.append(np.full(len(found), at))
                    layer.append(np.full(len(found), columns[column]))
        return CrossEdges(np.concatenate(position), np.concatenate(layer), np.concatenate(pairs))

    def _require(self, ids: Ids) -> None:
        """Raise for the first of `ids` that the graph does not have."""
        known = self.exist(ids)
        if not known.all():
            raise self._not_found(int(ids[~known][0]))

    def _not_found(self, node: int) -> NodeNotFoundError:
        return NodeNotFoundError(f"{self._store.place}: no node {node}")


def open_graph(dataset: str | Path, graph_id: str, store: str | None = None) -> GraphReader:
    """Open a graph to read it.

    Args:
      dataset: path or URL of the dataset file.
      graph_id: the graph.
      store: ``sqlite:PATH`` or ``bigtable:PROJECT/INSTANCE``, if the graph is not where the file says.

    Raises:
      ConfigError: when the dataset file cannot be read.
      StoreError: when there is no such graph.

    Examples:
      >>> with open_graph("sample/dataset.yml", "sample_graph") as graph:  # doctest: +SKIP
      ...     roots = graph.roots(graph.supervoxels_at([[60, 60, 60]]))
    """
    file = Dataset.from_file(dataset)
    opened = open_store(store_url(file, graph_id, store))
    manifest = read_graph(opened, graph_id)
    begun = Dataset.from_text(manifest.dataset, file.path)  # the file may have changed since
    return GraphReader(opened, ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits), begun)


def _unique(nodes: npt.ArrayLike) -> tuple[Ids, Indices]:
    ids, inverse = np.unique(np.asarray(nodes, np.uint64).reshape(-1), return_inverse=True)
    return ids, inverse.reshape(-1)


def _batches(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))


def _take(groups: Groups, at: Indices) -> Groups:
    """The groups at positions `at`, in that order."""
    sizes = np.diff(groups.offsets)[at]
    ends = np.append(0, np.cumsum(sizes))
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], sizes)
    return Groups(groups.values[np.repeat(groups.offsets[at], sizes) + within], ends)


def _ids_of(keys: list[bytes]) -> Ids:
    return np.array([int(key) for key in keys], np.uint64)
