"""Cells of the table from the nodes that a kernel built."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from beam_ingest.arrays import Indices, group_starts, offsets
from beam_ingest.format import table
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Ids, Layers
from beam_ingest.format.table import Cells, Column
from beam_ingest.kernels.atomic import AtomicChunk
from beam_ingest.kernels.parent import ParentChunk


def atomic_cells(grid: ChunkGrid, chunk: AtomicChunk, graph_version: int) -> Cells:
    """Cells of a layer-2 chunk: parents of its supervoxels, its nodes, its counters."""
    if chunk.supervoxels.size == 0:
        return []
    nodes = np.arange(1, chunk.node_count + 1, dtype=np.uint64) + np.uint64(chunk.chunk_id)
    keys = table.node_keys(nodes)
    order = np.argsort(chunk.parents, kind="stable")
    child_offsets = offsets(group_starts(chunk.parents[order]), order.size)
    cells = [
        table.fixed(table.PARENT, table.node_keys(chunk.supervoxels), table.encode_ids(chunk.parents)),
        table.id_arrays(table.CHILDREN, keys, chunk.supervoxels[order], child_offsets),
        *_pair_columns(
            chunk.cross_node,
            chunk.cross_layer,
            np.column_stack([chunk.cross_own, chunk.cross_partner]),
            table.atomic_cross_edges,
        ),
        table.counter(table.counter_key(chunk.chunk_id), chunk.node_count),
    ]
    if graph_version == 3:
        supervoxel_chunk = grid.chunk_id(SUPERVOXEL_LAYER, grid.chunk_coords(chunk.chunk_id))
        highest = int(chunk.supervoxels[-1]) - supervoxel_chunk
        cells.append(table.counter(table.counter_key(supervoxel_chunk), highest))
    return cells


def parent_cells(chunk_id: int, chunk: ParentChunk, parents: Ids, graph_version: int) -> Cells:
    """Cells of a chunk at layer 3 or above.

    Args:
      chunk_id: the chunk.
      chunk: its nodes.
      parents: ids of the parents, shape (p,), in the order of ``chunk.child_offsets``; none at
        the root layer, whose roots are numbered, and counted, elsewhere.
      graph_version: 2 or 3.
    """
    cells: Cells = []
    if parents.size:
        cells += hierarchy_cells(parents, chunk.children, chunk.child_offsets)
        cells.append(table.counter(table.counter_key(chunk_id), parents.size))
    if graph_version == 3:
        pairs = np.column_stack([chunk.cross_own, chunk.cross_partner])
        cells += _pair_columns(chunk.cross_own, chunk.cross_layer, pairs, table.cross_edges)
    return cells


def hierarchy_cells(parents: Ids, children: Ids, child_offsets: Indices) -> Cells:
    """The parents cell of every child and the children cell of every parent."""
    parent_of = np.repeat(parents, np.diff(child_offsets))
    return [
        table.fixed(table.PARENT, table.node_keys(children), table.encode_ids(parent_of)),
        table.id_arrays(table.CHILDREN, table.node_keys(parents), children, child_offsets),
    ]


def _pair_columns(node: Ids, cross_layer: Layers, pairs: Ids, name: table.ColumnsByLayer) -> Iterator[Column]:
    """One column per cross layer, of pairs (e, 2) that are sorted by node and cross layer."""
    for layer in np.unique(cross_layer).tolist():
        at = np.flatnonzero(cross_layer == layer)
        own = node[at]
        starts = group_starts(own)
        keys = table.node_keys(own[starts])
        yield table.id_arrays(name(layer), keys, pairs[at].reshape(-1), offsets(2 * starts, 2 * at.size))
