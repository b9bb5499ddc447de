"""The halo: names of a chunk's nodes for chunks that are not its parent but have edges to it.

An edge that leaves a parent chunk has its other end in another parent's children, so that parent
must learn the new name too. Which chunk that is stands in the partner's id.
"""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import Indices, unique_pairs
from beam_ingest.format.grid import ChunkGrid, Ids
from beam_ingest.kernels.state import Message


def halos(
    grid: ChunkGrid, chunk_id: int, state: Message, own_at: Indices, partner: Ids
) -> list[tuple[int, Message]]:
    """What a built chunk tells chunks of the next layer other than its parent.

    Args:
      grid: the chunk grid.
      chunk_id: the built chunk.
      state: its state; old and new names, and listed edges, are taken from it.
      own_at: for every edge that leaves the chunk, where its own end stands in ``state.old``, shape (e,).
      partner: its other end, shape (e,), uint64.

    Returns:
      Chunk ids of the next layer with the message for each, ascending.
    """
    layer = grid.layer_of(chunk_id) + 1
    parent = np.uint64(grid.ancestor(chunk_id, layer))
    targets = grid.ancestors(partner, layer)
    outside = np.flatnonzero(targets != parent)
    targets, sent = targets[outside], own_at[outside].astype(np.uint64)
    distinct = unique_pairs(targets, sent)
    targets, sent = targets[distinct], sent[distinct]
    listed = grid.ancestors(state.listed_chunk, layer)

    messages = []
    for target in np.setdiff1d(np.concatenate([targets, listed]), parent):
        first, last = np.searchsorted(targets, target), np.searchsorted(targets, target, "right")
        names = sent[first:last].astype(np.int64)
        to_target = np.flatnonzero(listed == target)
        message = Message.make(
            old=state.old[names],
            new=state.new[names],
            listed_chunk=state.listed_chunk[to_target],
            listed_count=state.listed_count[to_target],
            listed_sum=state.listed_sum[to_target],
            active_count=state.active_count[to_target],
            active_sum=state.active_sum[to_target],
        )
        messages.append((int(target), message))
    return messages
