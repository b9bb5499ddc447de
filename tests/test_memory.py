"""The estimate of memory, held against what building large groups really takes."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from beam_ingest.build import Builder
from beam_ingest.graphene import ChunkGrid
from beam_ingest.layers.state import Message, pack
from beam_ingest.memory import (
    CONTACTS_PER_FACE_VOXEL,
    NAMES_PER_CONTACT,
    PEAK_BYTES_PER_EDGE,
    group_edges,
)

GRID = ChunkGrid((4, 4, 4))
ROOT = GRID.chunk_id(4, (0, 0, 0))


def messages(edges: int) -> list[bytes]:
    """States of the root chunk's eight children with random edges between them, a dozen a node."""
    random = np.random.default_rng(edges)
    chunks = GRID.chunk_ids(3, GRID.children(4, (0, 0, 0)))
    left = random.integers(0, 8, edges // 2)
    right = (left + random.integers(1, 8, edges // 2)) % 8
    first, second = (
        chunks[at] + random.integers(1, edges // 96 + 2, at.size).astype(np.uint64) for at in (left, right)
    )
    own, partner = np.concatenate([first, second]), np.concatenate([second, first])
    where = np.concatenate([left, right])
    packed: list[bytes] = []
    for at, chunk in enumerate(chunks.tolist()):
        here = where == at
        nodes = np.unique(own[here])
        packed += pack(
            chunk,
            False,
            Message.make(
                own=own[here],
                partner=partner[here],
                cross_layer=np.full(int(here.sum()), 3, np.uint8),
                old=nodes,
                new=nodes,
            ),
        )
    return packed


@pytest.mark.parametrize("edges", [20_000, 1_000_000])
def test_building_a_parent_takes_the_memory_that_is_asked_for(edges: int) -> None:
    packed = messages(edges)
    job = SimpleNamespace(grid=GRID, graph_version=3)
    tracemalloc.start()
    try:
        built = Builder(job).parent(ROOT, packed)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert built.counts.edges == edges
    held = sum(map(len, packed))  # by the caller, and once more by the runner
    assert 0.5 * PEAK_BYTES_PER_EDGE < (peak + 2 * held) / edges < PEAK_BYTES_PER_EDGE


def test_edges_of_a_chunk_in_the_midst_of_a_large_grid() -> None:
    """By hand: of a chunk of layer 5, 8 x 8 x 8 chunks of 10 x 20 x 30 voxels."""
    grid = ChunkGrid((64, 64, 64))
    faces = 8 * 8 * (20 * 30 + 10 * 30 + 10 * 20)
    # The middle planes, seen from both sides, and both outer ones.
    assert group_edges(grid, (10, 20, 30), 5) == -(-4 * faces // (1 / CONTACTS_PER_FACE_VOXEL))


def test_edges_of_the_root_chunk() -> None:
    grid = ChunkGrid((8, 8, 1))  # flat: no plane divides it along z
    assert group_edges(grid, (10, 10, 10), 5) == -(-2 * 2 * 8 * 100 // (1 / CONTACTS_PER_FACE_VOXEL))


def test_layer_3_still_has_names_of_supervoxels() -> None:
    grid = ChunkGrid((64, 64, 64))
    ratio = group_edges(grid, (100, 100, 100), 4) / group_edges(grid, (100, 100, 100), 3)
    assert ratio == pytest.approx(4 / NAMES_PER_CONTACT, rel=1e-3)
