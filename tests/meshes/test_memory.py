"""What stitching holds at once: one object's mesh with its parts, however many a chunk has."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest.format import table
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes import build
from beam_ingest.meshes.build import MeshBuilder, initial_folder
from beam_ingest.meshes.config import MeshConfig
from beam_ingest.meshes.shards import shard_name, shard_order, write_shard
from beam_ingest.meshes.storage import MeshFolder
from beam_ingest.meshes.surface import Mesh, encode
from beam_ingest.stores.sqlite import SQLiteStore

GRID = ChunkGrid((2, 2, 2))
SIZE = (64, 64, 64)
CONFIG = MeshConfig("meshes", 0, 3, 40.0, {2: 2, 3: 2}, "dynamic")


def sheet(side: int, origin: tuple[float, ...]) -> Mesh:
    """A wavy sheet of side² vertices."""
    x, y = np.meshgrid(np.linspace(0, 1000, side), np.linspace(0, 1000, side), indexing="ij")
    points = np.stack([x, y, 500 + 400 * np.sin(x / 50) * np.cos(y / 70)], axis=-1).reshape(-1, 3) + origin
    corner = np.arange(side * side).reshape(side, side)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[:-1, 1:], corner[1:, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return Mesh(points.astype(np.float32), faces.astype(np.uint32))


def make(folder: Path, count: int, side: int) -> MeshBuilder:
    """A graph of `count` nodes of layer 3 with a part in each of two chunks, and the meshes of these."""
    info = CloudVolume.create_new_info(
        1, "segmentation", "uint64", "raw", (16, 16, 16), (0, 0, 0), (128,) * 3
    )
    watershed = CloudVolume(folder.as_uri(), info=info, progress=False)
    watershed.commit_info()
    store = SQLiteStore(str(folder / "graph.sqlite"))
    store.create()
    numbers = np.arange(1, count + 1, dtype=np.uint64)
    chunks = [GRID.chunk_id(2, (x, 0, 0)) for x in (0, 1)]
    children = np.stack([numbers + np.uint64(chunk) for chunk in chunks], axis=1)
    nodes = numbers + np.uint64(GRID.chunk_id(3, (0, 0, 0)))
    ends = 2 * np.arange(count + 1)
    store.write([table.id_arrays(table.CHILDREN, table.node_keys(nodes), children.reshape(-1), ends)], 1000)
    builder = MeshBuilder(store, GRID, folder.as_uri(), CONFIG, SIZE)
    meshes = MeshFolder(initial_folder(folder.as_uri(), CONFIG))
    for x, chunk in enumerate(chunks):
        space = builder.space
        data = encode(sheet(side, space.origin(2, (x, 0, 0))), space.atomic((x, 0, 0)))
        own = children[:, x][shard_order(children[:, x], 2)].tolist()
        with meshes.writing(f"2/{shard_name(GRID, chunk)}") as file:
            write_shard(file, 2, ((node, data) for node in own))
    return builder


def peak(builder: MeshBuilder, count: int) -> int:
    """Bytes that stitching takes at most."""
    tracemalloc.start()
    try:
        made = builder.chunk(GRID.chunk_id(3, (0, 0, 0)))
        assert made.meshes == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_stitching_holds_one_object_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "READ_BYTES", 1 << 16)
    side, found = 100, {}
    for count in (5, 40):
        folder = tmp_path / str(count)
        folder.mkdir()
        found[count] = peak(make(folder, count, side), count)
    mesh = sheet(side, (0, 0, 0))
    decoded = 2 * (mesh.vertices.nbytes + mesh.faces.nbytes)  # of both parts
    assert found[40] < 1.2 * found[5], "memory grows with the objects of a chunk"
    assert found[40] < 12 * decoded + (1 << 16) + (1 << 20), found
