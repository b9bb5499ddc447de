"""Whole graphs of random datasets, against the brute-force oracle, cell for cell."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.job import make_job
from beam_ingest.reader import GraphReader
from beam_ingest.stores import open_store
from testing.columns import listed
from testing.plain import build_all
from tests.examples import examples
from tests.graphs import ingest, read_cells
from tests.oracle.cells import Cells, count_from, decompress, differences, ids_from, pairs_from
from tests.oracle.datasets import Grid, OracleDataset, datasets, write
from tests.oracle.graph import build

MANY = examples(6, suppress_health_check=list(HealthCheck), database=None)
SOME = examples(2, suppress_health_check=list(HealthCheck), database=None)
VERSIONS = (2, 3)


def plain_cells(dataset: Path, version: int, seed: int) -> Cells:
    """Cells of a whole graph, chunks and messages in an order of `seed`."""
    job = make_job("graph", Dataset.from_file(dataset), "sqlite:unused", graph_version=version)
    cells: Cells = {}
    for built in build_all(job, np.random.default_rng(seed)):
        for key, family, qualifier, value in listed(built.cells):
            assert (key, family, qualifier) not in cells, "a cell is written twice"
            cells[key, family, qualifier] = value
    return cells


@MANY
@given(dataset=datasets(), seed=st.integers(0, 1000))
def test_builder_equals_the_oracle(dataset: OracleDataset, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(dataset, Path(folder))
        for version in VERSIONS:
            cells = decompress(plain_cells(path, version, seed))
            assert differences(build(dataset, version), cells) == []


@SOME
@given(dataset=datasets(), version=st.sampled_from(VERSIONS), offset=st.tuples(*[st.integers(-90, 90)] * 3))
def test_pipeline_equals_the_oracle(
    dataset: OracleDataset, version: int, offset: tuple[int, int, int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Volumes begin anywhere and need not be a whole number of chunks.
        chunk_size = (64, 50, 33)
        size = tuple(n * c - 7 for n, c in zip(dataset.grid.chunks, chunk_size, strict=True))
        path = write(dataset, Path(folder), offset=offset, size=size, chunk_size=chunk_size)
        store = Path(folder) / "graph.sqlite"
        expected = build(dataset, version)
        assume(expected)  # a dataset without any supervoxel is refused
        assert ingest(path, store, "--graph-version", str(version)) == 0
        cells = decompress(read_cells(store))
        assert differences(expected, cells) == []
        assert_invariants(cells, dataset.grid, version)
        assert_reader_agrees(store, cells, dataset.grid)


def assert_invariants(cells: Cells, grid: Grid, version: int) -> None:
    """What holds for every graph, whatever it was built from."""
    parent = {int(k): ids_from(v)[0] for (k, _, q), v in cells.items() if q == b"parents"}
    children = {int(k): ids_from(v) for (k, _, q), v in cells.items() if q == b"children"}
    assert {c: p for p, below in children.items() for c in below} == parent
    assert len(parent) == sum(len(below) for below in children.values())

    head = 64 - grid.layer_id_bits
    root_layer = (max(grid.chunks) - 1).bit_length() + 2
    assert {node >> head for node in children if node not in parent} <= {root_layer}

    product_grid = ChunkGrid(grid.chunks, grid.layer_id_bits, grid.spatial_bits)
    highest: dict[int, int] = {}
    for node in {*parent, *children}:
        segment_bits = product_grid.segment_bits(node >> head)
        chunk, segment = node >> segment_bits << segment_bits, node & ((1 << segment_bits) - 1)
        highest[chunk] = max(highest.get(chunk, 0), segment)
    for (key, _, qualifier), value in cells.items():
        if qualifier == b"counter" and b"_" not in key:
            assert count_from(value) == highest[int(key[1:])]
        elif qualifier == b"counter":
            root_chunk, shard = key[1:].split(b"_")
            roots = [n for n in children if n >> head == root_layer]
            ks = {(n - int(root_chunk)) >> 8 for n in roots if n & 255 == int(shard)}
            assert ks == set(range(1, count_from(value) + 1))

    mirrors = {}
    for (key, family, qualifier), value in cells.items():
        if family == "4":
            for own, partner in pairs_from(value):
                assert own == int(key)
                mirrors[own, partner] = int(qualifier.rpartition(b"_")[2])
    assert (version == 3) or not mirrors

    def ancestors(node: int) -> set[int]:
        above = {node}
        while node in parent:
            node = parent[node]
            above.add(node)
        return above

    for (own, partner), k in mirrors.items():
        # The partner has an edge back to this node, or, if it lies lower, to a node below it.
        back = [a for (p, a), layer in mirrors.items() if p == partner and layer == k]
        assert any(own in ancestors(a) or a in ancestors(own) for a in back)


def assert_reader_agrees(store: Path, cells: Cells, grid: Grid) -> None:
    """The reader module, against the cells themselves."""
    opened = open_store(f"sqlite:{store}")
    reader = GraphReader(opened, ChunkGrid(grid.chunks, grid.layer_id_bits, grid.spatial_bits))
    parent = {int(k): ids_from(v)[0] for (k, _, q), v in cells.items() if q == b"parents"}
    nodes = sorted(parent)
    roots = [_root(parent, node) for node in nodes]
    assert reader.roots(nodes).tolist() == roots
    assert reader.parents(nodes).tolist() == [parent[node] for node in nodes]
    tops = sorted(set(roots))
    assert not reader.parents(tops).any()
    leaves = dict(zip(tops, reader.leaves(tops), strict=True))
    for root in tops:
        below = {n for n in nodes if n >> (64 - grid.layer_id_bits) == 1 and _root(parent, n) == root}
        assert set(leaves[root].tolist()) == below
    assert reader.sizes(tops).tolist() == [leaves[root].size for root in tops]
    assert [i for some in reader.root_ids() for i in some.tolist()] == tops
    children = {int(key): ids_from(v) for (key, _, q), v in cells.items() if q == b"children"}
    asked = list(children)[::-1]
    found = dict(zip(asked, reader.children(asked), strict=True))
    assert {node: ids.tolist() for node, ids in found.items()} == children
    for read, of_family in ((reader.cross_edges, "4"), (reader.atomic_cross_edges, "3")):
        edges = read(asked)
        pairs = zip(edges.node.tolist(), edges.layer.tolist(), edges.pairs.tolist(), strict=True)
        assert {(asked[at], k, *pair) for at, k, pair in pairs} == {
            (int(key), int(q.rpartition(b"_")[2]), *pair)
            for (key, family, q), value in cells.items()
            if family == of_family
            for pair in pairs_from(value)
        }
    opened.close()


def _root(parent: dict[int, int], node: int) -> int:
    while node in parent:
        node = parent[node]
    return node
