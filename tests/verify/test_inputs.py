"""Inputs that changed after the ingest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.inputs.components import Mapping, decode_components, encode_components
from beam_ingest.inputs.edges import ChunkEdges, Edges, decode_chunk_edges, encode_chunk_edges
from tests.oracle.datasets import Grid
from tests.verify import Graph, Table, lines, verify_plainly
from tests.verify.damages import joined


def edges_of(dataset: Path, grid: Grid, supervoxel: int) -> tuple[Path, ChunkEdges]:
    file = dataset.parent / "edges" / "edges_{}_{}_{}.proto.zst".format(*grid.coords_of(supervoxel))
    return file, decode_chunk_edges(file.read_bytes(), str(file), "")


def between_pairs(graph: Graph, supervoxel: int) -> list[tuple[int, int]]:
    """The edges to other chunks, but for cut supervoxels, that the file of a supervoxel's chunk lists."""
    between = edges_of(graph.dataset, graph.grid, supervoxel)[1].between_chunk
    return list(zip(between.node_ids1.tolist(), between.node_ids2.tolist(), strict=True))


@pytest.fixture
def copied(good: Graph, tmp_path: Path) -> Graph:
    """The sample with a copy of its inputs, to damage."""
    folder = shutil.copytree(good.dataset.parent, tmp_path / "inputs")
    return Graph(folder / "dataset.yml", folder / good.store.name, good.grid)


def without(edges: Edges, first: int, second: int) -> Edges:
    keep = (edges.node_ids1 != first) | (edges.node_ids2 != second)
    assert not keep.all()
    return Edges(*(column[keep] for column in vars(edges).values()))


@pytest.mark.parametrize("sides", [1, 2])
def test_an_edge_removed_from_the_inputs_is_found(copied: Graph, sides: int) -> None:
    """From the file of one end or of both: an edge between chunks that the table has."""
    table = Table(copied.store, copied.grid)
    edges = [pair for pairs in table.pairs("3").values() for pair in pairs]
    first, second = next(pair for pair in edges if pair in between_pairs(copied, pair[0]))
    for own, partner in [(first, second), (second, first)][:sides]:
        file, listed = edges_of(copied.dataset, copied.grid, own)
        between = without(listed.between_chunk, own, partner)
        file.write_bytes(encode_chunk_edges(ChunkEdges(listed.in_chunk, listed.cross_chunk, between)))
    found = verify_plainly(copied.dataset, copied.store)
    assert found.differences["atomic cross edge wrong"] >= sides
    assert (found.differences["one-sided edge"] > 0) == (sides == 1)
    assert f"{first}, {second}" in lines(found)


def test_an_edge_added_to_the_inputs_is_found(copied: Graph) -> None:
    """Between two objects, where a cut supervoxel is now said to go on."""
    table = Table(copied.store, copied.grid)

    def root(node: int) -> int:
        while node in table.parents:
            node = table.parents[node]
        return node

    first = table.nodes(1)[0]
    x, y, z = copied.grid.coords_of(first)
    second = next(
        n for n in table.nodes(1) if copied.grid.coords_of(n) == (x + 1, y, z) and root(n) != root(first)
    )
    for own, partner in ((first, second), (second, first)):
        file, listed = edges_of(copied.dataset, copied.grid, own)
        cut = listed.cross_chunk
        ids = [[*cut.node_ids1.tolist(), own], [*cut.node_ids2.tolist(), partner]]
        cut = Edges(*(np.array(column, np.uint64) for column in ids))
        file.write_bytes(encode_chunk_edges(ChunkEdges(listed.in_chunk, cut, listed.between_chunk)))
    found = verify_plainly(copied.dataset, copied.store)
    assert found.differences["atomic cross edge missing"] == 2
    assert found.differences["not joined"] or found.differences["one-sided edge"]
    assert f"{first}, {second}" in lines(found)


def test_a_change_of_the_components_is_found(copied: Graph) -> None:
    """All that a chunk's file joined is separate now."""
    table = Table(copied.store, copied.grid)
    node = joined(table, 2)
    coords = copied.grid.coords_of(node)
    file = copied.dataset.parent / "components" / "components_{}_{}_{}.proto".format(*coords)
    assert decode_components(file.read_bytes(), str(file), "").ids.size
    file.write_bytes(encode_components(Mapping.empty()))
    found = verify_plainly(copied.dataset, copied.store)
    assert found.differences["not connected"] > 0
    assert str(node) in lines(found)


def test_an_input_file_that_cannot_be_read_is_found(copied: Graph) -> None:
    file = sorted((copied.dataset.parent / "edges").iterdir())[-1]
    file.write_bytes(file.read_bytes()[:100])
    found = verify_plainly(copied.dataset, copied.store)
    assert found.differences["input"] == 1
    assert str(file) in lines(found)
    assert found.differences["supervoxel extra"] > 0


def test_an_absent_file_is_an_empty_chunk_and_counted(copied: Graph) -> None:
    sorted((copied.dataset.parent / "edges").iterdir())[-1].unlink()
    found = verify_plainly(copied.dataset, copied.store)
    assert found.counts["absent files"] >= 1
    assert found.differences["supervoxel extra"] > 0
