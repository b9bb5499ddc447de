"""All layers of a job in one plain process: the builder without Beam and without a store."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from beam_ingest.ingest.build import Builder, BuiltChunk
from beam_ingest.ingest.job import IngestJob
from beam_ingest.kernels.root_ids import shard_of, shard_ranges
from beam_ingest.stages.scope import Scope


def build_all(job: IngestJob, order: np.random.Generator | None = None) -> list[BuiltChunk]:
    """What every chunk, and every share of the roots, of a whole graph comes to.

    Args:
      job: a job with proto input.
      order: shuffles chunks and messages, as a runner would.
    """
    builder, scope, grid = Builder(job), Scope(job.grid, False), job.grid

    def shuffled(items: list) -> list:
        return items if order is None else [items[i] for i in order.permutation(len(items))]

    built, messages = [], defaultdict(list)
    for block in shuffled(scope.blocks(0, scope.block_count).tolist()):
        chunks = scope.chunks(tuple(block))
        contents = builder.read(chunks)
        for coords, edges, components in zip(chunks, contents[::2], contents[1::2], strict=True):
            built.append(builder.atomic(coords, edges, components))
    below = built
    for layer in scope.layers:
        messages = defaultdict(list)
        for chunk in shuffled(below):
            for target, data in chunk.messages:
                messages[target].append(data)
        assert len(messages) == grid.chunk_count(layer)
        below = [builder.parent(chunk_id, shuffled(packed)) for chunk_id, packed in messages.items()]
        built += below
    shards = defaultdict(dict)
    senders = {f.sender: f for chunk in built for f in chunk.root_children}
    for sender, root_children in senders.items():
        shards[shard_of(sender)][sender] = root_children.root_count
    for counts in shards.values():
        built += [builder.roots(senders[sender], *told) for sender, told in shard_ranges(counts).items()]
    return built
