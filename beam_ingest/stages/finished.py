"""What stages read that follow the graph: a graph that is finished, and the nodes of its chunks."""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.dataset import Dataset
from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Coordinates
from beam_ingest.stages import progress
from beam_ingest.stages.manifest import Manifest, read_graph
from beam_ingest.stages.scope import Scope
from beam_ingest.stores.base import Store


def read_finished_graph(
    store: Store, graph_id: str, dataset: Dataset, grid: ChunkGrid, test: bool = False
) -> Manifest:
    """The manifest of a graph that is as it was built, whole.

    Args:
      store: where the graph is.
      graph_id: the graph.
      dataset: what the stage reads; the graph must be of the same.
      grid: its chunk grid.
      test: whether a graph of ``--test`` will do.

    Raises:
      StoreError: when the graph is not there, not complete, edited, or another dataset's.
    """
    manifest = read_graph(store, graph_id)
    place = f"{store.place}: graph {graph_id}"
    differs = dataset.difference(manifest.dataset)
    if differs is None and manifest.chunks != grid.chunks:
        differs = ("a grid of chunks", str(manifest.chunks), str(grid.chunks))
    if differs is not None:
        key, was, now = differs
        raise StoreError(
            f"{place}: expected one of this dataset, found one with {key} {was}, "
            f"not {now} as in {dataset.path}"
        )
    if manifest.options["test"] and not test:
        raise StoreError(
            f"{place}: expected a whole graph, found one of --test; add --test, or build it whole"
        )
    if not progress.is_finished(store, Scope(grid, manifest.options["test"])):
        raise StoreError(
            f"{place}: expected a complete graph, found one that is not; "
            "`beam-ingest graph` with --resume finishes it"
        )
    edit = _edit(store, grid)
    if edit is not None:
        raise StoreError(
            f"{place}: expected a graph as it was built, found the row {edit.decode()!r}: "
            "a PyChunkedGraph server has edited it"
        )
    return manifest


def _edit(store: Store, grid: ChunkGrid) -> bytes | None:
    """The row that tells of an edit: PyChunkedGraph counts operations, and logs each under its number."""
    first_node = table.node_key(grid.chunk_id(SUPERVOXEL_LAYER, (0, 0, 0)))
    for start, end in ((table.node_key(0), first_node), (b"i" + progress.AFTER_DIGITS, table.META_KEY)):
        for key in store.keys(start, end):
            return key
    return None


def read_chunk_nodes(store: Store, grid: ChunkGrid, coords: Coordinates) -> tuple[Ids, Ids]:
    """The supervoxels of a layer-2 chunk, and the node of each: one read of a range of rows.

    Args:
      store: where a finished graph is.
      grid: its chunk grid.
      coords: the chunk.

    Returns:
      Supervoxels, ascending, and their layer-2 nodes, both of shape (n,), uint64.

    Raises:
      StoreError: when rows cannot be read, or are not those of a graph.
    """
    first = grid.chunk_id(SUPERVOXEL_LAYER, coords)
    end = first + (1 << grid.segment_bits(SUPERVOXEL_LAYER))
    keys, parents = [], []
    for key, row in store.read_range(table.node_key(first), table.node_key(end)):
        value = row[table.PARENT].value if table.PARENT in row else b""
        if len(value) != 8 or len(key) != 20:
            raise progress.damaged_row(store, key, "a supervoxel with a parent of 8 bytes", f"{len(value)}")
        keys.append(key)
        parents.append(value)
    supervoxels = np.array(keys, "S20").astype(np.uint64)
    nodes = np.frombuffer(b"".join(parents), "<u8").astype(np.uint64, copy=False)
    chunk = grid.chunk_id(ATOMIC_LAYER, coords)
    wrong = np.flatnonzero(nodes - grid.segments(nodes, ATOMIC_LAYER) != np.uint64(chunk))
    if wrong.size:
        found = f"{nodes[wrong[0]]}"
        raise progress.damaged_row(store, keys[wrong[0]], f"a parent in chunk {chunk}", found)
    return supervoxels, nodes
