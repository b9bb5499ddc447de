"""What is taken for a supervoxel of the grid, against plain Python on the id's bits."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.errors import InputError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.check import ChunkChecker
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import Edges

GRID = ChunkGrid((5, 3, 4), layer_id_bits=7, spatial_bits=4)
SEGMENT_BITS = 64 - 7 - 3 * 4
COORDS = (2, 1, 3)
SEGMENTS = st.sampled_from([0, 1, 2, 2**SEGMENT_BITS - 1])


@st.composite
def ids(draw: st.DrawFn) -> int:
    """Ids that are sound, or wrong in one field or several."""
    layer = draw(st.sampled_from([1, 1, 1, 1, 0, 2, 3, 127]))
    x, y, z = (draw(st.integers(0, n - 1) | st.integers(0, 15)) for n in GRID.chunks)
    if draw(st.booleans()):
        x, y, z = COORDS
    segment = draw(SEGMENTS)
    return layer << 57 | x << 53 | y << 49 | z << SEGMENT_BITS | segment


def fault(number: int) -> str | None:
    """What is wrong with one id."""
    layer = number >> 57
    coords = [number >> shift & 15 for shift in (53, 49, SEGMENT_BITS)]
    if layer != 1:
        return f"{number} of layer {layer}"
    if any(c >= n for c, n in zip(coords, GRID.chunks, strict=True)):
        return "{} of chunk {}_{}_{}".format(number, *coords)
    return None


def first_fault(numbers: list[int]) -> str | None:
    """The fault that is told: of layers before chunks, the first id's."""
    found = [text for text in map(fault, numbers) if text]
    return min(found, key=lambda text: "chunk" in text, default=None)


def in_chunk(number: int) -> bool:
    return number >> SEGMENT_BITS == 1 << 12 | COORDS[0] << 8 | COORDS[1] << 4 | COORDS[2]


def told(check, *arguments) -> str | None:
    try:
        check(*arguments, "file")
    except InputError as error:
        return str(error)
    return None


def assert_told(message: str | None, expected: str | None) -> None:
    assert (message is None) == (expected is None)
    assert expected is None or f"found {expected};" in f"{message};"


@given(st.lists(ids(), max_size=20, unique=True))
def test_components(numbers: list[int]) -> None:
    numbers = sorted(numbers)
    mapping = Mapping(np.array(numbers, np.uint64), np.arange(len(numbers)))
    assert_told(told(ChunkChecker(GRID, COORDS).mapping, mapping), first_fault(numbers))


OWN = SEGMENTS.map(lambda segment: GRID.chunk_id(1, COORDS) | segment)


@given(st.lists(st.tuples(OWN, ids().filter(lambda i: not in_chunk(i)), st.booleans()), max_size=20))
def test_edges_that_leave_the_chunk(pairs: list[tuple[int, int, bool]]) -> None:
    own, partner = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
    first = np.array([b if swapped else a for a, b, swapped in pairs], np.uint64)
    second = np.array([a if swapped else b for a, b, swapped in pairs], np.uint64)
    edges = Edges(first, second, areas=first)
    check = partial(ChunkChecker(GRID, COORDS).group, "between_chunk")
    assert_told(told(check, edges), first_fault(own) or first_fault(partner))
    if not (first_fault(own) or first_fault(partner)):
        right = check(edges, "file")
        assert (right.node_ids1.tolist(), right.node_ids2.tolist()) == (own, partner)


@given(st.lists(st.tuples(OWN | ids(), OWN), max_size=10))
def test_edges_within_the_chunk(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, np.uint64).reshape(-1, 2).T
    sound = all(in_chunk(i) and fault(i) is None for pair in pairs for i in pair)
    message = told(partial(ChunkChecker(GRID, COORDS).group, "in_chunk"), Edges(first, second))
    assert (message is None) == sound


@pytest.mark.parametrize("layer", [0, 2, 127])
def test_an_id_of_another_layer_is_none_of_the_chunk(layer: int) -> None:
    number = layer << 57 | GRID.chunk_id(1, COORDS) & ((1 << 57) - 1) | 1
    mapping = Mapping(np.array([number], np.uint64), np.array([0]))
    assert_told(told(ChunkChecker(GRID, COORDS).mapping, mapping), f"{number} of layer {layer}")
