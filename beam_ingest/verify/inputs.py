"""What the two files of a layer-2 chunk make of it: its supervoxels and its active edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import components, find, unique_pairs
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Ids
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges, Edges
from beam_ingest.verify.edges import SAME_CHUNK, ActiveEdges


@dataclass(frozen=True, eq=False)
class AtomicInputs:
    """One chunk's inputs.

    Attributes:
      supervoxels: all that occur in its edges, and maybe others, shape (s,), uint64, ascending.
      edges: its active edges, each once; those within the chunk from one end, the others from the
        chunk's own end.
      listed: number of edges of its file, active or not.
      mapped: whether any of its supervoxels is in a component.
      between: number of between-chunk edges of which this chunk has the lower supervoxel.
      joined: number of those that are active.
    """

    supervoxels: Ids
    edges: ActiveEdges
    listed: int
    mapped: bool
    between: int
    joined: int


def active_inputs(grid: ChunkGrid, listed: ChunkEdges, mapping: Mapping, more: Ids) -> AtomicInputs:
    """The supervoxels and active edges of a chunk.

    Args:
      grid: the chunk grid.
      listed: the chunk's edges, checked.
      mapping: its mapping.
      more: supervoxels of the chunk besides those of edges, shape (m,).
    """
    within, between, cut = listed.in_chunk, listed.between_chunk, listed.cross_chunk
    inside = _active(within, mapping)
    outside = _active(between, mapping)
    own = np.concatenate([inside[0], outside[0], cut.node_ids1])
    partner = np.concatenate([inside[1], outside[1], cut.node_ids2])
    once = unique_pairs(own, partner)
    own, partner = own[once], partner[once]
    cross_layers = grid.cross_layers(own, partner).astype(np.uint64)
    columns = (within.node_ids1, within.node_ids2, between.node_ids1, cut.node_ids1, more)
    supervoxels = np.unique(np.concatenate(columns))
    return AtomicInputs(
        supervoxels=supervoxels,
        edges=ActiveEdges(own, partner, np.maximum(cross_layers, SAME_CHUNK)),
        listed=len(listed),
        mapped=bool(find(mapping.ids, supervoxels)[1].any()),
        between=int((between.node_ids1 < between.node_ids2).sum()),
        joined=int((outside[0] < outside[1]).sum()),
    )


def node_names(grid: ChunkGrid, coords: Coordinates, inputs: AtomicInputs) -> Ids:
    """The node of each supervoxel, shape (s,), where no table tells it: around the chunks of a test.

    Nodes are components over the edges within the chunk, in order of their lowest supervoxel.
    """
    edges = inputs.edges.of_layer(SAME_CHUNK)
    left, right = (find(inputs.supervoxels, ids)[0] for ids in (edges.own, edges.partner))
    label = components(inputs.supervoxels.size, left, right)
    return np.uint64(grid.chunk_id(ATOMIC_LAYER, coords) + 1) + label.astype(np.uint64)


def _active(edges: Edges, mapping: Mapping) -> tuple[Ids, Ids]:
    """Both ends of those edges whose ends one component holds."""
    if mapping.ids.size == 0:
        return edges.node_ids1[:0], edges.node_ids2[:0]
    first, first_known = find(mapping.ids, edges.node_ids1)
    second, second_known = find(mapping.ids, edges.node_ids2)
    same = first_known & second_known & (mapping.components[first] == mapping.components[second])
    return edges.node_ids1[same], edges.node_ids2[same]
