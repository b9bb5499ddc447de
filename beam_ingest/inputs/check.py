"""What must be true of a chunk's edges and components before a graph is built from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beam_ingest.arrays import group_starts
from beam_ingest.dataset import Dataset
from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import (
    ATOMIC_LAYER,
    SUPERVOXEL_LAYER,
    ChunkGrid,
    Coordinates,
    Ids,
    Mask,
    as_coordinates,
    chunk_name,
)
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import Edges

MANY_EDGES = 100
"""Of so many edges between chunks some are active, unless components were written chunk by chunk."""


def nothing_joined(
    dataset: Dataset, raw: bool, *, edges: int, mapped: int, between: int, joined: int
) -> str | None:
    """What is wrong when nothing is joined that should be: a line, or None.

    Args:
      dataset: where edges and components are from.
      raw: whether they are read from raw agglomeration.
      edges: number of edges, of all chunks together.
      mapped: number of chunks with supervoxels in components.
      between: number of edges between supervoxels of two chunks, other than cut ones.
      joined: number of those that are active.
    """
    key, folder = ("AGGLOMERATION", dataset.agglomeration) if raw else ("COMPONENTS", dataset.components)
    place = Folder(str(folder)).path("remap" if raw else "")
    if edges and not mapped:
        return (
            f"{place}: expected components of the supervoxels of {edges:,} edges, found none; correct {key} "
            f"in {dataset.path} (components of one supervoxel each say that nothing is to be joined)"
        )
    if between >= MANY_EDGES and not joined and not dataset.allow_unjoined_chunks:
        return (
            f"{place}: expected active edges between chunks, found 0 of {between:,}; components must hold "
            "ids of the chunks around as well (if no object is to cross a chunk's face, say so with "
            f"ingest_config.ALLOW_UNJOINED_CHUNKS: true in {dataset.path})"
        )
    return None


class ChunkChecker:
    """Checks the inputs of one chunk.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
    """

    def __init__(self, grid: ChunkGrid, coords: Coordinates) -> None:
        self._grid = grid
        self._name = chunk_name(coords)
        self._chunk = np.uint64(grid.chunk_id(SUPERVOXEL_LAYER, coords))
        self._shift = np.uint64(grid.segment_bits(SUPERVOXEL_LAYER))
        self._segments = np.uint64((1 << grid.segment_bits(SUPERVOXEL_LAYER)) - 1)

    def group(self, group: str, edges: Edges, file: str) -> Edges:
        """The edges of one group with swapped pairs put right.

        Args:
          group: one of `beam_ingest.inputs.edges.GROUPS`.
          edges: its edges.
          file: path of their file, for messages.

        Raises:
          InputError: naming the first id that is not a supervoxel of the grid, the first in-chunk
            edge that leaves the chunk, or the first other edge with no end or both ends in it.
        """
        if group != "in_chunk":
            return self._leaving(edges, group, file)
        for ids in (edges.node_ids1, edges.node_ids2):
            outside = np.flatnonzero(ids - self._chunk > self._segments)
            if outside.size:
                self._supervoxels(ids[outside[:1]], group, file)
                at = outside[0]
                found = f"the edge {edges.node_ids1[at]} - {edges.node_ids2[at]}"
                expected = "in_chunk edges with both ends in the chunk"
                raise InputError(file, self._name, expected, found, self._advice(edges))
        return edges

    def not_empty(self, content: bytes, edges: int, file: str) -> None:
        """Raise an `InputError` for a components file of no bytes in a chunk with edges."""
        if not content and edges:
            raise InputError(
                file,
                self._name,
                f"components in the file of a chunk with {edges} edges",
                "an empty file (0 bytes)",
                "restore it (a chunk where nothing is joined has no file, or components of one supervoxel)",
            )

    def mapping(self, mapping: Mapping, file: str) -> Mapping:
        """The mapping itself.

        Raises:
          InputError: naming the first id that is not a supervoxel of the grid.
        """
        # Ids are sorted, and what can be wrong with one is wrong with all of its chunk: the first tells.
        firsts = mapping.ids[group_starts(mapping.ids >> self._shift)]
        self._supervoxels(firsts, "components", file)
        return mapping

    def _in_chunk(self, ids: Ids) -> Mask:
        inside: Mask = (ids ^ self._chunk) >> self._shift == 0
        return inside

    def _leaving(self, edges: Edges, group: str, file: str) -> Edges:
        first, second = self._in_chunk(edges.node_ids1), self._in_chunk(edges.node_ids2)
        wrong = np.flatnonzero(first == second)
        if wrong.size:
            at = wrong[0]
            pair = f"the edge {edges.node_ids1[at]} - {edges.node_ids2[at]} with "
            found = pair + ("both ends in the chunk" if first[at] else "no end in the chunk")
            expected = f"{group} edges that leave the chunk"
            raise InputError(file, self._name, expected, found, self._advice(edges))
        if not first.all():
            own = np.where(first, edges.node_ids1, edges.node_ids2)
            partner = np.where(first, edges.node_ids2, edges.node_ids1)
            edges = replace(edges, node_ids1=own, node_ids2=partner)
        self._supervoxels(edges.node_ids2, group, file)
        return edges

    def _advice(self, edges: Edges) -> str:
        """What to do about edges of another chunk: of all the same one, when the file is out of place."""
        chunks = np.unique(edges.node_ids1 >> self._shift)
        if (
            chunks.size > 1
            or chunks[0] == self._chunk >> self._shift
            or not are_supervoxels(self._grid, edges.node_ids1)
        ):
            return "write the file again"
        name = chunk_name(self._grid.chunk_coords(int(edges.node_ids1[0])))
        return f"these ids are of chunk {name}: put each file in its place"

    def _supervoxels(self, ids: Ids, where: str, file: str) -> None:
        """Raise unless all `ids` are supervoxels of the grid."""
        if are_supervoxels(self._grid, ids):
            return
        grid = self._grid
        layers = ids >> np.uint64(64 - grid.layer_id_bits)
        wrong = np.flatnonzero(layers != SUPERVOXEL_LAYER)
        if wrong.size:
            found = f"{ids[wrong[0]]} of layer {layers[wrong[0]]}"
            raise InputError(file, self._name, f"{where} ids of layer {SUPERVOXEL_LAYER}", found)
        coords = grid.coords(ids, SUPERVOXEL_LAYER)
        wrong = np.flatnonzero(~grid.contains(coords))
        if wrong.size:
            (outside, *_) = as_coordinates(coords[wrong])
            raise InputError(
                file,
                self._name,
                f"{where} ids within the {'x'.join(map(str, grid.chunks))} chunks of the grid",
                f"{ids[wrong[0]]} of chunk {chunk_name(outside)}",
            )


def are_supervoxels(grid: ChunkGrid, ids: Ids) -> bool:
    """Whether all `ids`, shape (n,), are of layer 1 and of a chunk of the grid; segments begin at 0."""
    chunks = ids >> np.uint64(grid.segment_bits(SUPERVOXEL_LAYER))
    (x, y, z), bits = grid.bounds(ATOMIC_LAYER), grid.spatial_bits
    mask = np.uint64((1 << bits) - 1)
    # Layer and x at once: what is below the lowest chunk of the layer wraps around to a huge number.
    layer_and_x = (chunks >> np.uint64(2 * bits)) - np.uint64(SUPERVOXEL_LAYER << bits)
    return bool(((layer_and_x < x) & (chunks >> np.uint64(bits) & mask < y) & (chunks & mask < z)).all())
