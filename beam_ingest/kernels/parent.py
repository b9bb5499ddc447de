"""Layers 3 and above: from the states of up to eight child chunks to one parent chunk.

See docs/design.md, step "Parent layers".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Indices, components, find, group_starts, offsets, unique_pairs
from beam_ingest.errors import BeamIngestError
from beam_ingest.format.grid import ChunkGrid, Ids, Layers
from beam_ingest.kernels.halo import halos
from beam_ingest.kernels.state import Message


class UnknownPartnerError(BeamIngestError):
    """Edges whose other end does not have them.

    Attributes:
      own: the ends that have them, supervoxel or node ids, shape (n,), uint64.
      partner: the ends that have not, shape (n,), uint64.
    """

    def __init__(self, own: Ids, partner: Ids) -> None:
        super().__init__(own, partner)
        self.own = own
        self.partner = partner


@dataclass(frozen=True, eq=False)
class ParentChunk:
    """The nodes of one chunk at layer 3 or above.

    Attributes:
      cross_own: nodes of the layer below with the partners they have there, shape (e,), uint64;
        sorted by own, cross layer, partner.
      cross_partner: the partner at the highest layer that is not above the own node's, shape (e,).
      cross_layer: shape (e,), uint8.
      children: nodes that get their parent here, shape (c,), uint64, grouped by parent, ascending
        in each group.
      child_offsets: where each parent's children begin, and the end, shape (parents + 1,), int64;
        parents are in order of their lowest child. Parent i has segment i + 1 (not at the root layer).
      state: what goes to the parent chunk, own names already new.
      halos: what goes to other chunks of the parent's layer: their ids and messages.
      dropped: positions of the parents without further edges, shape (d,), int64: children of roots.
    """

    cross_own: Ids
    cross_partner: Ids
    cross_layer: Layers
    children: Ids
    child_offsets: Indices
    state: Message
    halos: list[tuple[int, Message]]
    dropped: Indices


def build_parent_chunk(grid: ChunkGrid, layer: int, chunk_id: int, message: Message) -> ParentChunk:
    """Build one parent chunk.

    Args:
      grid: the chunk grid.
      layer: its layer, 3 or above.
      chunk_id: its id.
      message: the states of its children, and the halo from elsewhere, concatenated in any order.

    Raises:
      UnknownPartnerError: when the other ends of edges do not know them.
    """
    own, partner, cross_layer = _renamed_edges(message)
    nodes = own[group_starts(own)]
    joined = np.flatnonzero(cross_layer == layer - 1)
    right, found = find(nodes, partner[joined])
    if not found.all():
        lost = joined[~found]
        raise UnknownPartnerError(own[lost], partner[lost])
    position = np.searchsorted(nodes, own)
    label = components(nodes.size, position[joined], right)
    label, child_at, child_offsets = _parents_here(layer, label, position, cross_layer)

    renamed = nodes.copy()
    made_here = label >= 0
    renamed[made_here] = np.uint64(chunk_id + 1) + label[made_here].astype(np.uint64)
    remaining = np.flatnonzero(cross_layer >= layer)
    new_own = renamed[position[remaining]]
    distinct = unique_pairs(new_own, partner[remaining])
    with_edges, with_edges_at = np.unique(position[remaining], return_inverse=True)
    state = Message.make(
        own=new_own[distinct],
        partner=partner[remaining][distinct],
        cross_layer=cross_layer[remaining][distinct],
        old=nodes[with_edges],
        new=renamed[with_edges],
    )
    alone = np.ones(child_offsets.size - 1, bool)
    alone[label[with_edges][label[with_edges] >= 0]] = False

    made_below = np.flatnonzero(grid.layers(own) == layer - 1)
    order = made_below[np.lexsort((cross_layer[made_below], own[made_below]))]
    return ParentChunk(
        cross_own=own[order],
        cross_partner=partner[order],
        cross_layer=cross_layer[order],
        children=nodes[child_at],
        child_offsets=child_offsets,
        state=state,
        halos=[]
        if layer == grid.root_layer  # nothing is above it
        else halos(grid, chunk_id, state, with_edges_at, partner[remaining]),
        dropped=np.flatnonzero(alone),
    )


def _renamed_edges(message: Message) -> tuple[Ids, Ids, Layers]:
    """Unique edges sorted by own and partner, partners under their new names."""
    order = np.argsort(message.old)
    at, found = find(message.old[order], message.partner)
    if not found.all():
        raise UnknownPartnerError(message.own[~found], message.partner[~found])
    partner = message.new[order][at] if at.size else message.partner
    distinct = unique_pairs(message.own, partner)
    return message.own[distinct], partner[distinct], message.cross_layer[distinct]


def _parents_here(
    layer: int, label: Indices, position: Indices, cross_layer: Layers
) -> tuple[Indices, Indices, Indices]:
    """Which components get their parent at `layer`.

    A component of two or more nodes does; a single node does when `layer` is the lowest cross layer
    left to it, and is in transit otherwise.

    Returns:
      New labels per node (parents numbered in order of their lowest child, -1 in transit),
      positions of the nodes with a parent, grouped, and the offsets of the groups.
    """
    if label.size == 0:
        return label, label, np.zeros(1, np.int64)
    lowest = np.minimum.reduceat(cross_layer, group_starts(position))
    size = np.bincount(label)
    here = (size >= 2) | (np.bincount(label, weights=lowest == layer) > 0)
    number = np.where(here, np.cumsum(here) - 1, -1)
    label = number[label]
    child_at = np.argsort(label, kind="stable")[np.count_nonzero(label < 0) :]
    return label, child_at, offsets(group_starts(label[child_at]), child_at.size)
