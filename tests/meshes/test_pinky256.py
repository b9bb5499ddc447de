"""The meshes of the real sample, against those that PyChunkedGraph itself made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.build import MeshBuilder
from beam_ingest.meshes.config import MeshConfig
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.stores import open_store
from tests.graphs import pinky256
from tests.meshes.measure import measures

pytestmark = pytest.mark.shared_data
GRID = ChunkGrid((4, 4, 4))
CONFIG = MeshConfig("meshes", 0, 4, 40.0, {2: 1, 3: 3, 4: 5}, "dynamic")


def golden() -> dict[int, list[float]]:
    with np.load(pinky256() / "golden_meshes.npz") as file:
        return dict(zip(file["node"].tolist(), file["stats"][:, 1:].tolist(), strict=True))


def assert_golden(watershed: Path, nodes: set[int]) -> None:
    expected = {node: stats for node, stats in golden().items() if node in nodes}
    assert expected
    reader = MeshReader(f"{watershed}/meshes/initial", GRID, CONFIG.minishard_bits)
    places = reader.locate(np.array(list(expected), np.uint64))
    found = reader.read([place for place in places if place is not None])
    for (node, stats), data in zip(expected.items(), found, strict=True):
        np.testing.assert_allclose(measures(data), stats, rtol=1e-9, atol=1e-6, err_msg=str(node))


def build(folder: Path, watershed: Path, chunks: list[int]) -> set[int]:
    """Mesh some chunks; gives the original's nodes in them."""
    with open_store(f"sqlite:{folder}/graph.sqlite") as store:
        builder = MeshBuilder(store, GRID, watershed.as_uri(), CONFIG, (64, 64, 64))
        meshes = sum(builder.chunk(chunk).meshes for chunk in chunks)
    of = {node: GRID.ancestor(node, GRID.layer_of(node)) for node in golden()}
    nodes = {node for node, chunk in of.items() if chunk in chunks}
    assert meshes == len(nodes)
    return nodes


def test_meshes_of_a_parent_chunk_are_the_original_s(pinky_graph: Path, tmp_path: Path) -> None:
    watershed = shutil.copytree(pinky_graph / "ws", tmp_path / "ws")
    children = GRID.chunk_ids(2, GRID.children(3, (1, 0, 1))).tolist()
    nodes = build(pinky_graph, watershed, [*children, GRID.chunk_id(3, (1, 0, 1))])
    assert_golden(watershed, nodes)


@pytest.mark.slow
def test_every_mesh_is_the_original_s(pinky_graph: Path, tmp_path: Path) -> None:
    watershed = shutil.copytree(pinky_graph / "ws", tmp_path / "ws")
    chunks = [GRID.chunk_id(layer, at) for layer in (2, 3, 4) for at in np.ndindex(*GRID.bounds(layer))]
    nodes = build(pinky_graph, watershed, chunks)
    assert nodes == set(golden())
    assert_golden(watershed, nodes)
