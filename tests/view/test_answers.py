"""Answers of the graph server against PyChunkedGraph's own graph, and against the brute-force oracle."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given
from hypothesis import strategies as st

from beam_ingest.dataset import Dataset
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.stores import store_url
from beam_ingest.view.server import GraphServer
from testing.plain import build_all
from tests.examples import examples
from tests.graphs import pinky256
from tests.oracle.datasets import PINKY256, Coords, OracleDataset, datasets, write
from tests.oracle.graph import Graph, build_graph
from tests.view.client import Client, bounds_text, in_bounds, serve

Name = tuple[int, int]
SIZE = (64, 64, 64)


def golden_parents() -> dict[Name, Name]:
    """The parent of each node but the roots; a node is named by its layer and lowest supervoxel."""
    with np.load(pinky256() / "golden.npz") as file:
        return {(int(a), int(b)): (int(c), int(d)) for a, b, c, d in file["parents"]}


def ancestor(parents: dict[Name, Name], node: Name, layer: int) -> Name:
    """The lowest ancestor at or above a layer."""
    while node[0] < layer:
        node = parents[node]
    return node


@pytest.mark.shared_data
def test_every_supervoxel_of_the_golden_file(pinky: GraphServer) -> None:
    client, parents = Client(pinky), golden_parents()
    supervoxels = sorted(lowest for layer, lowest in parents if layer == 1)
    assert len(supervoxels) == 13_854
    below: dict[Name, set[int]] = defaultdict(set)
    for supervoxel in supervoxels:
        node = (1, supervoxel)
        while node in parents:
            node = parents[node]
            below[node].add(supervoxel)
    for layer in (2, 3, 4):
        answered = client.roots(supervoxels, stop_layer=layer)
        expected = [ancestor(parents, (1, s), layer) for s in supervoxels]
        name_of = dict(zip(answered, expected, strict=True))
        assert [name_of[node] for node in answered] == expected
        assert len(name_of) == len(set(expected))
        assert all(PINKY256.layer_of(node) == name[0] for node, name in name_of.items())
        leaves = client.post("node/leaves_many", name_of)
        assert {name_of[int(node)]: set(found) for node, found in leaves.items()} == {
            name: below[name] for name in set(expected)
        }
    assert client.roots(supervoxels) == client.roots(supervoxels, stop_layer=4)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("low", "high"),
    [((0, 0, 0), (64, 64, 64)), ((60, 64, 100), (70, 128, 101)), ((0, 0, 192), (999, 1, 256))],
)
def test_leaves_in_bounds_that_cut_objects(pinky: GraphServer, low: Coords, high: Coords) -> None:
    client = Client(pinky)
    supervoxels = [lowest for layer, lowest in golden_parents() if layer == 1]
    objects = defaultdict(set)
    for supervoxel, root in zip(supervoxels, client.roots(supervoxels), strict=True):
        objects[root].add(supervoxel)
    found = client.post("node/leaves_many", objects, bounds=bounds_text(low, high))
    expected = {
        root: {s for s in members if in_bounds(PINKY256, s, low, high, SIZE)}
        for root, members in objects.items()
    }
    assert {int(root): set(leaves) for root, leaves in found.items()} == expected
    assert any(0 < len(expected[root]) < len(members) for root, members in objects.items())


ODD = ((2, 1, 1), (3, 3, 3), (5, 4, 1), (7, 5, 2), (1, 1, 9), (16, 3, 2))
"""Grids that are no powers of two along some axis, of one to four layers of parents."""


@examples(4, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
@given(dataset=datasets(chunk_counts=ODD), offset=st.tuples(*[st.integers(-90, 90)] * 3), data=st.data())
def test_answers_equal_the_oracle(dataset: OracleDataset, offset: Coords, data: st.DataObject) -> None:
    size, graph = (20, 33, 8), build_graph(dataset)
    assume(graph.children)
    with tempfile.TemporaryDirectory() as folder:
        path = write(dataset, Path(folder), offset=offset, chunk_size=size)
        build_quickly(path)
        with serve(path) as server:
            client = Client(server)
            check_ancestors(client, graph)
            corners = [
                sorted(data.draw(st.tuples(*[st.integers(-5, n * s + 5)] * 2)))
                for n, s in zip(dataset.grid.chunks, size, strict=True)
            ]
            (x0, x1), (y0, y1), (z0, z1) = corners
            check_descendants(client, graph, (x0, y0, z0), (x1, y1, z1), size, offset)


def build_quickly(path: Path) -> None:
    """The same graph as a pipeline builds, without one."""
    dataset = Dataset.from_file(path)
    job = start_job(make_job("graph", dataset, store_url(dataset, "graph")))
    with job.open_store() as store:
        store.write([column for built in build_all(job) for column in built.cells], job.timestamp)


def check_ancestors(client: Client, graph: Graph) -> None:
    """Roots and ancestors at every layer, of every node."""
    grid, nodes = graph.grid, sorted({*graph.parents, *graph.children})
    for layer in range(1, grid.root_layer + 1):
        expected = []
        for node in nodes:
            while grid.layer_of(node) < layer:
                node = graph.parents[node]
            expected.append(node)
        assert client.roots(nodes, stop_layer=layer) == expected
    assert client.roots(nodes) == expected
    above, node = [], min(nodes)
    while node := graph.parents.get(node, 0):
        above.append(node)
    assert client.json(f"node/{min(nodes)}/parents")["parent_ids"] == above
    latest = client.post("is_latest_roots", nodes)["is_latest"]
    assert latest == [node not in graph.parents for node in nodes]


def check_descendants(
    client: Client, graph: Graph, low: Coords, high: Coords, size: Coords, offset: Coords
) -> None:
    """Nodes of every layer below every node, with and without bounds; children; a chunk's nodes."""
    grid, nodes = graph.grid, sorted({*graph.parents, *graph.children})
    below: dict[int, set[int]] = {node: {node} for node in nodes}
    for node in nodes:  # children have lower layers, and so lower ids
        below[node].update(*(below[child] for child in graph.children.get(node, [])))
    bounds = bounds_text(low, high, offset)
    for layer in range(1, grid.root_layer + 1):
        at_layer = {node: sorted(n for n in below[node] if grid.layer_of(n) == layer) for node in nodes}
        found = client.post("leaves_many", nodes, stop_layer=layer)
        assert {int(node): leaves for node, leaves in found.items()} == at_layer
    inside = {n for n in nodes if grid.layer_of(n) == 1 and in_bounds(grid, n, low, high, size)}
    found = client.post("leaves_many", nodes, bounds=bounds)
    expected = {node: sorted(below[node] & inside) for node in nodes}
    assert {int(node): leaves for node, leaves in found.items()} == expected
    some = max(nodes)
    assert client.json(f"node/{some}/children")["children_ids"] == sorted(graph.children[some])
    leaf = min(nodes)
    assert client.json(f"node/{leaf}/children")["children_ids"] == []
    pairs = client.get(f"l2_chunk_children_binary/{grid.chunk_of(graph.parents[leaf])}", as_array=True)
    chunk = [n for n in graph.children if grid.chunk_of(n) == grid.chunk_of(graph.parents[leaf])]
    assert np.frombuffer(pairs.content, "<u8").reshape(-1, 2).tolist() == [
        [node, child] for node in sorted(chunk) for child in sorted(graph.children[node])
    ]
