"""Taking chunks back: removing what was written of them, so that a resumed job builds them again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Coordinates, as_coordinates
from beam_ingest.stages import failures, progress, tallies
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import MANIFEST_KEY, Manifest
from beam_ingest.stages.removal import remove_table
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.start import make_table
from beam_ingest.stores.base import Store

_REACH = 2
"""Blocks around one whose chunks contradict each other that correct files may change: the other chunk is in
the next block, and the block next to that one knows its nodes by name."""


def blocks_around(grid: ChunkGrid, blocks: Iterable[Coordinates]) -> list[Coordinates]:
    """The blocks that change when files of chunks in or next to `blocks` are corrected."""
    steps = np.arange(-_REACH, _REACH + 1)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    around = np.unique((np.array(list(blocks))[:, None] + cube).reshape(-1, 3), axis=0)
    return as_coordinates(around[grid.contains(around, BLOCK_LAYER)])


def clear_block(store: Store, grid: ChunkGrid, block: Coordinates) -> None:
    """Remove everything of a layer-3 chunk and of the chunks below it, and first what says it is done."""
    parent = grid.chunk_id(BLOCK_LAYER, block)
    coords = grid.children(BLOCK_LAYER, block)
    atomic = grid.chunk_ids(ATOMIC_LAYER, coords).tolist()
    supervoxels = grid.chunk_ids(SUPERVOXEL_LAYER, coords).tolist()
    store.delete_rows([progress.chunk_key(chunk) for chunk in (parent, *atomic)])
    for chunk in (parent, *atomic, *supervoxels):
        end = chunk + (1 << grid.segment_bits(grid.layer_of(chunk)))
        store.delete_range(table.node_key(chunk), table.node_key(end))
        store.delete_rows([table.counter_key(chunk)])


def take_back(job: StageJob, store: Store, manifest: Manifest, tablets: int | None) -> None:
    """Remove what was written of chunks whose files contradict each other: correct ones will change them."""
    contradictions = {
        (failure.layer, failure.coords)
        for failure in failures.read_failures(store, job.grid.chunk_id(BLOCK_LAYER, (0, 0, 0)))
    }
    if any(layer != BLOCK_LAYER or layer == job.grid.root_layer for layer, _ in contradictions):
        _clear(job, store, manifest.timestamp, tablets)
    elif contradictions:
        blocks = blocks_around(job.grid, [coords for _, coords in contradictions])
        tallies.forget(store, job.grid, blocks)
        for block in blocks:
            clear_block(store, job.grid, block)


def _clear(job: StageJob, store: Store, timestamp: int, tablets: int | None) -> None:
    """Remove all but what the job began with."""
    kept = store.read_rows([table.META_KEY, table.VERSION_KEY, MANIFEST_KEY])
    cells = [table.single(name, key, cell.value) for key, row in kept.items() for name, cell in row.items()]
    splits = job.splits(tablets)
    remove_table(store, job.stage)
    make_table(store, splits, cells, timestamp)
