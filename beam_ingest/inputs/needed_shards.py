"""Which files of raw agglomeration some chunks need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from beam_ingest.format.grid import FACES, ChunkGrid, Coordinates, Coords, as_coordinates
from beam_ingest.inputs.agglomeration import EDGE_KINDS, REMAP, ShardFile


def shard_files_of(grid: ChunkGrid, chunks: Sequence[Coordinates]) -> list[ShardFile]:
    """The files that some chunks are made from: no other holds edges of them or pairs around them.

    Edges are in files at a chunk's own coordinates or one below along any axis, which `read_shard` checks;
    pairs that were joined are taken from the chunks that share a face, too.
    """
    own = np.array(chunks).reshape(-1, 3)
    below = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=1)
    files = [
        ShardFile(kind, 0, coords) for coords in _within(grid, own[:, None] - below) for kind in EDGE_KINDS
    ]
    near = np.array(_within(grid, np.concatenate([own[:, None], own[:, None] + FACES], axis=1)))
    for mip in range(grid.layer_count - 1):
        files += [ShardFile(REMAP, mip, c) for c in as_coordinates(np.unique(near >> mip, axis=0))]
    return files


def _within(grid: ChunkGrid, coords: Coords) -> list[Coordinates]:
    """Those of some coordinates, shape (…, 3), that are chunks of the grid, each once."""
    unique = np.unique(coords.reshape(-1, 3), axis=0)
    return as_coordinates(unique[grid.contains(unique)])
