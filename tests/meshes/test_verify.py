"""``beam-ingest verify --meshes``: what it says of sound meshes, and of every kind of damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import DracoPy
import numpy as np
import pytest

from beam_ingest.meshes.closed import open_edges
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.shards import shard_name, shard_order, write_shard
from beam_ingest.meshes.storage import MeshFolder
from beam_ingest.meshes.surface import Mesh
from tests.conftest import Cli
from tests.meshes.datasets import BITS, GRID

Meshes = dict[int, bytes]
CHUNK = GRID.chunk_id(3, (0, 0, 0))
ATOMIC = GRID.chunk_id(2, (0, 0, 0))


@pytest.fixture
def meshes(small_meshes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_meshes.parent, tmp_path / "meshed") / small_meshes.name


def change(dataset: Path, chunk: int, how: Callable[[Meshes], object]) -> None:
    """Write a chunk's shard file again with other meshes."""
    url = f"{dataset.parent}/ws/meshes/initial"
    reader = MeshReader(url, GRID, BITS)
    nodes, places = reader.contents(chunk)
    found = dict(zip(nodes.tolist(), reader.read(places), strict=True))
    how(found)
    every = np.array(sorted(found), np.uint64)
    layer = GRID.layer_of(chunk)
    with MeshFolder(url).writing(f"{layer}/{shard_name(GRID, chunk)}") as file:
        order = every[shard_order(every, BITS[layer])].tolist()
        write_shard(file, BITS[layer], ((node, found[node]) for node in order))


def encoded(points: np.ndarray, faces: np.ndarray) -> bytes:
    return DracoPy.encode(points, faces, quantization_bits=16, create_metadata=True)


def move(meshes: Meshes) -> None:
    node = min(meshes)
    mesh = DracoPy.decode(meshes[node])
    meshes[node] = encoded(mesh.points + 1000, mesh.faces)


def tear(meshes: Meshes) -> None:
    """Take away a triangle that is farthest from the faces of the chunk."""
    low, high = (np.array(corner) for corner in ([56, 800, 1320], [120, 848, 1720]))
    depths = {}
    for node, data in meshes.items():
        mesh = DracoPy.decode(data)
        corners = mesh.points[mesh.faces]
        depths[node] = (np.minimum(corners - low, high - corners) / [8, 8, 40]).min(axis=2).min(axis=1)
    node = max(depths, key=lambda each: depths[each].max())
    assert depths[node].max() > 1, "every triangle is near a face"
    mesh = DracoPy.decode(meshes[node])
    meshes[node] = encoded(mesh.points, np.delete(mesh.faces, depths[node].argmax(), axis=0))


def spoil(meshes: Meshes) -> None:
    meshes[min(meshes)] = b"DRACO" + bytes(30)


def test_sound_meshes(cli: Cli, small_meshes: Path) -> None:
    outcome = cli("verify", "g", small_meshes, "--meshes", "--json")
    assert (outcome.status, outcome.errors) == (0, [])
    report = outcome.json
    assert (report["total"], report["differences"]) == (0, {})
    assert report["counts"]["chunks"] == 15
    assert report["bounds_nm"].keys() == {"2", "3", "4"}
    assert "no problems found" in cli("verify", "g", small_meshes, "--meshes").out


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (lambda meshes: meshes.pop(min(meshes)), "nodes without a mesh whose parts have one"),
        (lambda meshes: meshes.update({CHUNK + 999: meshes[min(meshes)]}), "meshes of no node"),
        (move, "meshes outside their chunk"),
        (tear, "meshes that are open within their chunk"),
        (spoil, "meshes that cannot be decoded"),
    ],
)
def test_damaged_meshes(cli: Cli, meshes: Path, how: Callable[[Meshes], object], kind: str) -> None:
    change(meshes, ATOMIC if how is tear else CHUNK, how)
    outcome = cli("verify", "g", meshes, "--meshes")
    assert outcome.status == 1
    assert kind in outcome.out
    assert "shard files that were changed" in outcome.out


def test_a_shard_file_that_is_absent(cli: Cli, meshes: Path) -> None:
    (meshes.parent / "ws/meshes/initial/2" / shard_name(GRID, GRID.chunk_id(2, (2, 0, 0)))).unlink()
    outcome = cli("verify", "g", meshes, "--meshes")
    assert outcome.status == 1
    assert "shard files that are absent or damaged: 1\n  layer 2 chunk 2_0_0:" in outcome.out


def test_meshes_that_are_not_finished(cli: Cli, dataset: Path, meshes: Path) -> None:
    message = cli.refused("verify", "g", dataset, "--meshes", status=1)
    assert "there are no meshes of graph g; `beam-ingest mesh` makes them" in message
    shutil.copy(dataset.parent / "graph.sqlite", meshes.parent / "graph.sqlite")  # servers know nothing
    message = cli.refused("verify", "g", meshes, "--meshes", status=1)
    assert message == "meshes g-mesh are not finished: use --resume, then verify them"


def test_open_edges() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint32)
    assert len(open_edges(Mesh(corners, faces))[0]) == 0
    first, second = open_edges(Mesh(corners, faces[:3]))
    assert {frozenset(map(tuple, pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)} == {
        frozenset({(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)}),
        frozenset({(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)}),
        frozenset({(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}),
    }
    apart = Mesh(corners[faces.reshape(-1)], np.arange(12, dtype=np.uint32).reshape(4, 3))
    assert len(open_edges(apart)[0]) == 0, "vertices at one place are one"


def test_meshes_of_a_test_are_verified_as_far_as_they_go(cli: Cli, dataset: Path) -> None:
    assert cli("mesh", "g", dataset, "--test").status == 0
    outcome = cli("verify", "g", dataset, "--meshes", "--json")
    assert (outcome.status, outcome.json["total"], outcome.json["counts"]["chunks"]) == (0, 0, 5)
