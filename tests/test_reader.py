"""Reading a graph in Python, against PyChunkedGraph's own answer for the real sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest import ConfigError, GraphReader, NodeNotFoundError, StoreError, open_graph
from tests.graphs import pinky256

SUPERVOXEL = 1


@pytest.fixture
def graph(pinky256_graph: Path) -> Path:
    return pinky256_graph


@pytest.fixture
def reader(graph: Path) -> GraphReader:
    with open_graph(pinky256() / "dataset.yml", "graph", f"sqlite:{graph}") as opened:
        return opened


def golden_roots() -> dict[int, int]:
    """The lowest supervoxel of the root of each supervoxel, from the file of PyChunkedGraph's graph."""
    with np.load(pinky256() / "golden.npz") as file:
        above = {(int(a), int(b)): (int(c), int(d)) for a, b, c, d in file["parents"]}
    found = {}
    for node in [node for node in above if node[0] == SUPERVOXEL]:
        top = node
        while top in above:
            top = above[top]
        found[node[1]] = top[1]
    return found


def test_roots_and_leaves_are_pychunkedgraphs(reader: GraphReader) -> None:
    expected = golden_roots()
    supervoxels = np.array(list(expected), np.uint64)
    roots = reader.roots(supervoxels)
    tops = np.unique(roots)
    leaves = reader.leaves(tops)
    lowest = {int(root): int(ids[0]) for root, ids in zip(tops, leaves, strict=True)}
    assert {int(s): lowest[int(r)] for s, r in zip(supervoxels, roots, strict=True)} == expected
    assert sum(reader.sizes(tops)) == len(expected)
    assert sum(ids.size for ids in reader.nodes(SUPERVOXEL)) == len(expected)


def test_supervoxels_at_positions_are_the_watersheds(reader: GraphReader) -> None:
    volume = CloudVolume((pinky256() / "ws").as_uri(), progress=False)
    positions = np.random.default_rng(1).integers(0, 256, (200, 3))
    expected = [int(volume[x, y, z][0, 0, 0, 0]) for x, y, z in positions[:20].tolist()]
    assert reader.supervoxels_at(positions)[:20].tolist() == expected
    assert reader.supervoxels_at([]).size == 0
    with pytest.raises(ConfigError, match=r"position \[0, 0, 256\]: expected one within"):
        reader.supervoxels_at([[0, 0, 256]])


def test_ids_that_the_graph_does_not_have(reader: GraphReader) -> None:
    (some, *_) = golden_roots()
    asked = [some, 1, some]
    assert reader.exist(asked).tolist() == [True, False, True]
    for read in (reader.roots, reader.parents):
        found = read(asked, missing="zero").tolist()
        assert found[1] == 0
        assert found[0] == found[2] != 0
        with pytest.raises(NodeNotFoundError, match=r"no node 1$"):
            read(asked)
    for ragged in (reader.children, reader.leaves, reader.cross_edges):
        with pytest.raises(NodeNotFoundError, match=r"no node 1$"):
            ragged([1])


def test_another_graph_or_none(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="it holds graph graph, not other"):
        open_graph(pinky256() / "dataset.yml", "other", f"sqlite:{graph}")
    with pytest.raises(StoreError, match="no graph is there"):
        open_graph(pinky256() / "dataset.yml", "graph", f"sqlite:{tmp_path / 'none.sqlite'}")
