"""Arrays of ids, against scipy and plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from beam_ingest.arrays import components


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """A number of nodes and edges between them: any, or chains and stars in a random order."""
    size = draw(st.integers(1, 60))
    node = st.integers(0, size - 1)
    order = draw(st.permutations(range(size)))
    chain = list(zip(order, order[1:], strict=False))
    star = [(order[0], other) for other in order]
    whole = draw(st.sampled_from([[], chain, star]))
    return size, draw(st.lists(st.tuples(node, node), max_size=80)) + [
        e for e in whole if draw(st.booleans())
    ]


@given(graphs())
def test_components_are_scipys_in_order_of_their_lowest_node(
    graph: tuple[int, list[tuple[int, int]]],
) -> None:
    size, edges = graph
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    found = components(size, left, right)
    matrix = coo_array((np.ones(left.size), (left, right)), shape=(size, size))
    count, expected = connected_components(matrix, directed=False)
    assert len(set(zip(found.tolist(), expected.tolist(), strict=True))) == count == found.max() + 1
    _, firsts = np.unique(found, return_index=True)
    assert (np.diff(firsts) > 0).all()


def test_components_of_long_chains_and_of_nothing() -> None:
    order = np.random.default_rng(1).permutation(100_000)
    assert not components(order.size, order[:-1], order[1:]).any()
    ends = np.empty(0, np.int64)
    assert components(3, ends, ends).tolist() == [0, 1, 2]
    assert components(0, ends, ends).tolist() == []
