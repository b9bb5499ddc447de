"""The regions of a sample: blocks of chunks that are built with their neighbours, and measured."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, FACES, ChunkGrid, Coordinates, Coords, as_coordinates
from beam_ingest.plan.presence import Presence
from beam_ingest.stages.scope import BLOCK_LAYER

_GOLDEN = (math.sqrt(5) - 1) / 2
_CLUSTER_SHARE = 3
"""One part in so many of the sample is spent on larger chunks, which show how contacts change with layers."""


class Region(NamedTuple):
    """A chunk that is built from its layer-2 chunks; around it, of layer 3 or above, those that touch it.

    Attributes:
      layer: its layer.
      coords: its coordinates.
    """

    layer: int
    coords: Coordinates


def choose(presence: Presence, blocks: int) -> list[Region]:
    """The regions of a sample of about `blocks` blocks, always the same ones.

    They are spread over the chunks that have files, as `check` spreads its chunks. A third of the sample
    goes to chunks of the highest layer that it allows; with as many blocks as there are, the whole grid is
    one region, and nothing is left to estimate.
    """
    grid = presence.grid
    there = presence.blocks()
    if blocks >= len(there):
        return [Region(grid.root_layer, (0, 0, 0))] if len(there) else []
    layer = BLOCK_LAYER
    while 8 ** (layer + 1 - BLOCK_LAYER) * _CLUSTER_SHARE <= blocks and layer + 1 < grid.root_layer:
        layer += 1
    regions = []
    if layer > BLOCK_LAYER:
        regions = [Region(layer, coords) for coords in _clusters(presence, there, layer, blocks)]
    taken = sum(8 ** (region.layer - BLOCK_LAYER) for region in regions)
    inside = np.zeros(len(there), bool)
    for region in regions:
        inside |= (there >> (region.layer - BLOCK_LAYER) == region.coords).all(axis=1)
    free = there[~inside]
    others = free[spread(len(free), blocks - taken)]
    return regions + [Region(BLOCK_LAYER, coords) for coords in as_coordinates(others)]


def _clusters(presence: Presence, there: Coords, layer: int, blocks: int) -> list[Coordinates]:
    """The fullest chunks of `layer`, spread over the grid, that a third of the sample is spent on."""
    parents, count = np.unique(there >> (layer - BLOCK_LAYER), axis=0, return_counts=True)
    parents = parents[count == count.max()]
    most = max(1, blocks // _CLUSTER_SHARE // 8 ** (layer - BLOCK_LAYER))
    return as_coordinates(parents[spread(len(parents), most)])


def spread(total: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`count` of the numbers 0..total-1, or all, spread evenly by steps near the golden section."""
    stride = max(1, round(total * _GOLDEN))
    while math.gcd(stride, max(total, 1)) > 1:
        stride += 1
    ks = np.arange(min(count, total), dtype=np.int64)
    return np.sort((ks * stride + stride // 2) % max(total, 1))


def chunks_of(grid: ChunkGrid, region: Region) -> tuple[Coords, Coords]:
    """Layer-2 chunks of a region, and those around it whose nodes' names it needs; shapes (n, 3), (m, 3).

    Around it are the chunks one layer below its own that share a face with it, whole.
    """
    below = region.layer - 1
    core = grid.children(region.layer, region.coords)
    around = np.unique((core[:, None] + FACES).reshape(-1, 3), axis=0)
    around = around[grid.contains(around, below)]
    outside = around[(around >> 1 != region.coords).any(axis=1)]
    if region.layer == grid.root_layer:
        core, outside = grid.children(region.layer, region.coords), outside[:0]
    return _atomic(grid, below, core), _atomic(grid, below, outside)


def _atomic(grid: ChunkGrid, layer: int, coords: Coords) -> Coords:
    """The layer-2 chunks of chunks of a layer, shape (n, 3)."""
    span = 1 << (layer - ATOMIC_LAYER)
    steps = np.stack(np.meshgrid(*3 * [np.arange(span)], indexing="ij"), axis=-1).reshape(-1, 3)
    chunks: Coords = (coords[:, None] * span + steps).reshape(-1, 3)
    return chunks[grid.contains(chunks)]
