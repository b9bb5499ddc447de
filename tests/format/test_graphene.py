"""Ids and the chunk grid, against plain Python arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ChunkGrid


@st.composite
def grids(draw: st.DrawFn, most: int = 70) -> ChunkGrid:
    chunks = draw(st.tuples(*[st.integers(1, most)] * 3).filter(lambda c: max(c) > 1))
    layer_count = plain_layer_count(chunks)
    spatial_bits = draw(st.integers(layer_count - 2, 14))
    layer_id_bits = draw(st.integers(layer_count.bit_length(), 12))
    return ChunkGrid(chunks, layer_id_bits, spatial_bits)


def plain_layer_count(chunks: tuple[int, int, int]) -> int:
    return math.ceil(math.log2(max(chunks))) + 2


def plain_id(grid: ChunkGrid, layer: int, coords: tuple[int, ...], segment: int) -> int:
    """An id put together as text of bits."""
    axis_bits = grid.spatial_bits if layer <= 2 else max(1, plain_layer_count(grid.chunks) - layer)
    text = f"{layer:0{grid.layer_id_bits}b}" + "".join(f"{c:0{axis_bits}b}" for c in coords)
    return int(text + f"{segment:0{64 - len(text)}b}", 2)


def some_nodes(draw: st.DrawFn, grid: ChunkGrid, layer: int, count: int) -> list[tuple[tuple[int, ...], int]]:
    bounds = grid.bounds(layer)
    coords = st.tuples(*[st.integers(0, n - 1) for n in bounds])
    segments = st.integers(1, (1 << grid.segment_bits(layer)) - 1)
    return draw(st.lists(st.tuples(coords, segments), min_size=1, max_size=count))


@given(st.data())
def test_ids_are_packed_bit_by_bit(data: st.DataObject) -> None:
    grid = data.draw(grids())
    layer = data.draw(st.integers(1, grid.layer_count))
    nodes = some_nodes(data.draw, grid, layer, 8)
    ids = np.array([plain_id(grid, layer, c, s) for c, s in nodes], np.uint64)
    coords = np.array([c for c, _ in nodes])
    np.testing.assert_array_equal(grid.chunk_ids(layer, coords) + grid.segments(ids, layer), ids)
    np.testing.assert_array_equal(grid.coords(ids, layer), coords)
    assert grid.segments(ids, layer).tolist() == [s for _, s in nodes]
    assert grid.layers(ids).tolist() == [layer] * len(nodes)
    assert grid.chunk_coords(int(ids[0])) == nodes[0][0]


@given(st.data())
def test_ancestors_of_ids_of_mixed_layers(data: st.DataObject) -> None:
    grid = data.draw(grids())
    top = data.draw(st.integers(2, grid.layer_count))
    ids, expected = [], []
    for layer in data.draw(st.lists(st.integers(1, top), min_size=1, max_size=6)):
        (coords, segment), *_ = some_nodes(data.draw, grid, layer, 1)
        ids.append(plain_id(grid, layer, coords, segment))
        steps = max(top, 2) - max(layer, 2)
        expected.append(plain_id(grid, top, tuple(c // 2**steps for c in coords), 0))
    assert grid.ancestors(np.array(ids, np.uint64), top).tolist() == expected


@given(st.data())
def test_cross_layer_is_the_highest_layer_at_which_chunks_differ(data: st.DataObject) -> None:
    grid = data.draw(grids())
    pairs = list(zip(some_nodes(data.draw, grid, 1, 8), some_nodes(data.draw, grid, 1, 8), strict=False))
    ids = np.array([[plain_id(grid, 1, c, s) for c, s in pair] for pair in pairs], np.uint64)
    expected = []
    for (a, _), (b, _) in pairs:
        layer, differs = 2, 0
        while a != b:
            differs = layer
            a, b, layer = tuple(n // 2 for n in a), tuple(n // 2 for n in b), layer + 1
        expected.append(differs)
    assert grid.cross_layers(ids[:, 0], ids[:, 1]).tolist() == expected


@given(grids(most=13))
def test_children_cover_every_layer_once(grid: ChunkGrid) -> None:
    assert grid.bounds(grid.layer_count) == (1, 1, 1)
    for layer in range(3, grid.layer_count + 1):
        found = []
        for coords in np.ndindex(grid.bounds(layer)):
            children = grid.children(layer, coords)
            assert 1 <= len(children) <= 8
            ids = grid.chunk_ids(layer - 1, children)
            assert (np.diff(ids.astype(np.int64)) > 0).all() or len(ids) == 1
            assert grid.ancestors(ids, layer).tolist() == [grid.chunk_id(layer, coords)] * len(ids)
            found += map(tuple, children.tolist())
        expected = {tuple(c) for c in np.ndindex(grid.bounds(layer - 1))}
        assert len(found) == len(expected) == grid.chunk_count(layer - 1)
        assert set(found) == expected


@pytest.mark.parametrize(
    ("chunks", "layer_id_bits", "spatial_bits", "message"),
    [
        ((1, 1, 1), 8, 10, "one single chunk"),
        ((0, 4, 4), 8, 10, "has no chunks"),
        ((4, 4, 17), 8, 4, "SPATIAL_BITS is 4, but 17 chunks along an axis need at least 5"),
        ((4, 4, 4), 2, 10, "LAYER_ID_BITS is 2, but 4 layers need at least 3"),
        ((4, 4, 4), 8, 19, "leave no bits of 64 for segments"),
    ],
)
def test_grids_that_ids_cannot_hold_are_refused(
    chunks: tuple[int, int, int], layer_id_bits: int, spatial_bits: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ChunkGrid(chunks, layer_id_bits, spatial_bits)
