"""Layer 2: from the supervoxels and edges of one chunk to its nodes.

Nodes are the connected components of the chunk's supervoxels over active in-chunk edges, in order
of their lowest supervoxel. See docs/design.md, step "Layer 2".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Indices, components, unique_pairs
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Coordinates, Ids, Layers
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.kernels.halo import halos
from beam_ingest.kernels.state import Message
from beam_ingest.kernels.symmetry import listed_edges

NO_IDS: Ids = np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class AtomicChunk:
    """The nodes of one layer-2 chunk.

    Attributes:
      chunk_id: the layer-2 chunk.
      supervoxels: every supervoxel of the chunk, shape (s,), uint64, ascending.
      parents: the node of each, shape (s,), uint64.
      node_count: number of nodes; their segments are 1..node_count.
      cross_own: active edges that leave the chunk: own supervoxel, shape (e,), uint64; sorted by
        node, cross layer, own supervoxel, partner.
      cross_partner: partner supervoxels, shape (e,), uint64.
      cross_node: the node of the own supervoxel, shape (e,), uint64.
      cross_layer: shape (e,), uint8.
      state: what goes to the parent chunk.
      halos: what goes to other chunks of the parent's layer: their ids and messages.
      dropped: nodes without cross edges, shape (d,), uint64: children of roots.
      mapped: whether any of its supervoxels is in a component.
      between: number of between-chunk edges of which this chunk has the lower supervoxel.
      joined: number of those that are active.
    """

    chunk_id: int
    supervoxels: Ids
    parents: Ids
    node_count: int
    cross_own: Ids
    cross_partner: Ids
    cross_node: Ids
    cross_layer: Layers
    state: Message
    halos: list[tuple[int, Message]]
    dropped: Ids
    mapped: bool
    between: int
    joined: int


def build_atomic_chunk(
    grid: ChunkGrid, coords: Coordinates, edges: ChunkEdges, mapping: Mapping, more: Ids = NO_IDS
) -> AtomicChunk:
    """Build one layer-2 chunk.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
      edges: its edges, checked and put right (`beam_ingest.inputs.check`).
      mapping: its agglomerated components.
      more: supervoxels of the chunk that become nodes whether or not an edge mentions them, shape (m,).
    """
    chunk_id = grid.chunk_id(ATOMIC_LAYER, coords)
    within, between, cross = edges.in_chunk, edges.between_chunk, edges.cross_chunk
    supervoxels, (left, right, own_between, own_cross, _) = _index(
        grid.chunk_id(SUPERVOXEL_LAYER, coords),
        [within.node_ids1, within.node_ids2, between.node_ids1, cross.node_ids1, more],
    )
    component = mapping.component_of(supervoxels)
    active = (component[left] == component[right]) & (component[left] >= 0)
    label = components(supervoxels.size, left[active], right[active])
    node_count = int(label.max(initial=-1)) + 1
    parents = np.uint64(chunk_id + 1) + label.astype(np.uint64)

    active = (component[own_between] == mapping.component_of(between.node_ids2)) & (
        component[own_between] >= 0
    )
    lower = supervoxels[own_between] < between.node_ids2
    own = np.concatenate([own_between[active], own_cross])
    partner = np.concatenate([between.node_ids2[active], cross.node_ids2])
    distinct = unique_pairs(own, partner)
    own, partner = own[distinct], partner[distinct]
    node = parents[own]
    cross_layer = grid.cross_layers(supervoxels[own], partner)
    order = np.lexsort((cross_layer, node))  # stable: own supervoxel and partner stay in order
    state, halos = _outgoing(grid, chunk_id, supervoxels, parents, own, partner, cross_layer, edges)
    return AtomicChunk(
        chunk_id=chunk_id,
        supervoxels=supervoxels,
        parents=parents,
        node_count=node_count,
        cross_own=supervoxels[own[order]],
        cross_partner=partner[order],
        cross_node=node[order],
        cross_layer=cross_layer[order],
        state=state,
        halos=halos,
        dropped=_dropped(chunk_id, node_count, node),
        mapped=bool((component >= 0).any()),
        between=int(lower.sum()),
        joined=int((lower & active).sum()),
    )


def _index(chunk_id: int, columns: list[Ids]) -> tuple[Ids, list[Indices]]:
    """All ids of one chunk in `columns`, ascending, and each column as positions in them."""
    sizes = [column.size for column in columns]
    segments = (np.concatenate(columns) - np.uint64(chunk_id)).astype(np.int64)
    top = int(segments.max(initial=0))
    if top > 16 * segments.size + 1024:  # too sparse for a table over all segments
        distinct, positions = np.unique(segments, return_inverse=True)
    else:
        present = np.zeros(top + 1, bool)
        present[segments] = True
        distinct = np.flatnonzero(present)
        positions = (np.cumsum(present) - 1)[segments]
    ids = np.uint64(chunk_id) + distinct.astype(np.uint64)
    return ids, np.split(positions, np.cumsum(sizes)[:-1])


def _outgoing(
    grid: ChunkGrid,
    chunk_id: int,
    supervoxels: Ids,
    parents: Ids,
    own: Indices,
    partner: Ids,
    cross_layer: Layers,
    edges: ChunkEdges,
) -> tuple[Message, list[tuple[int, Message]]]:
    """The chunk's state and halos; `own` are positions of supervoxels in active edges."""
    distinct = unique_pairs(parents[own], partner)
    with_edges = np.flatnonzero(np.bincount(own, minlength=supervoxels.size))
    with_edges_at = np.searchsorted(with_edges, own)
    between, cross = edges.between_chunk, edges.cross_chunk
    state = Message.make(
        own=parents[own[distinct]],
        partner=partner[distinct],
        cross_layer=cross_layer[distinct],
        old=supervoxels[with_edges],
        new=parents[with_edges],
        **listed_edges(
            grid,
            np.concatenate([between.node_ids1, cross.node_ids1]),
            np.concatenate([between.node_ids2, cross.node_ids2]),
            supervoxels[own],
            partner,
        ),
    )
    return state, halos(grid, chunk_id, state, with_edges_at, partner)


def _dropped(chunk_id: int, node_count: int, nodes_with_edges: Ids) -> Ids:
    """Nodes of segments 1..node_count that are not among `nodes_with_edges`."""
    alone = np.ones(node_count, bool)
    alone[(nodes_with_edges - np.uint64(chunk_id + 1)).astype(np.int64)] = False
    return np.uint64(chunk_id + 1) + np.flatnonzero(alone).astype(np.uint64)
