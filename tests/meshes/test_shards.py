"""Shard files against cloud-volume's own code, which reads them in the field."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cloudvolume.datasource.precomputed.sharding import ShardingSpecification

from beam_ingest.arrays import Ids
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes import shards
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.shards import MeshError, ShardError, shard_name, shard_order, write_shard
from beam_ingest.meshes.storage import MeshFolder, Range

GRID = ChunkGrid((4, 4, 4))
CHUNK = GRID.chunk_id(3, (1, 0, 1))


def some_meshes(count: int = 300) -> tuple[Ids, dict[int, bytes]]:
    rng = np.random.default_rng(count)
    nodes = np.unique(rng.integers(1, 1 << 30, count, dtype=np.uint64)) + np.uint64(CHUNK)
    return nodes, {node: rng.bytes(1 + node % 50) for node in nodes.tolist()}


def ordered(nodes: Ids, meshes: dict[int, bytes], bits: int) -> list[tuple[int, bytes]]:
    return [(node, meshes[node]) for node in nodes[shard_order(nodes, bits)].tolist()]


def specification(bits: int) -> ShardingSpecification:
    return ShardingSpecification.from_dict(shards.sharding(bits))


@pytest.mark.parametrize("bits", [0, 1, 5, 11])
def test_minishards_are_those_of_cloud_volume(bits: int) -> None:
    nodes, _ = some_meshes(100)
    nodes = np.append(nodes, np.array([0, 1, (1 << 64) - 1], np.uint64))
    spec = specification(bits)
    expected = [int(spec.compute_shard_location(node).minishard_number) for node in nodes]
    assert shards.minishards(nodes, bits).tolist() == expected


@pytest.mark.parametrize("bits", [0, 1, 5])
def test_a_shard_holds_what_cloud_volume_would_write(bits: int) -> None:
    nodes, meshes = some_meshes()
    file = io.BytesIO()
    written = write_shard(file, bits, ordered(nodes, meshes, bits))
    assert (written.meshes, written.nbytes) == (nodes.size, len(file.getvalue()))
    expected = specification(bits).synthesize_shard(dict(ordered(nodes, meshes, bits)))
    head = 16 << bits
    data = sum(map(len, meshes.values()))
    assert file.getvalue()[head : head + data] == expected[head : head + data]
    for minishard in range(1 << bits):
        ours, theirs = (_index_of(content, head, minishard) for content in (file.getvalue(), expected))
        assert ours == theirs


def _index_of(shard: bytes, head: int, minishard: int) -> bytes:
    begin, end = np.frombuffer(shard[:head], "<u8").reshape(-1, 2)[minishard].tolist()
    return gzip.decompress(shard[head + begin : head + end]) if begin < end else b""


def test_a_shard_without_meshes_is_an_index_of_nothing() -> None:
    file = io.BytesIO()
    write_shard(file, 3, [])
    assert file.getvalue() == bytes(16 << 3)


def test_meshes_are_found_by_ranges(tmp_path: Path) -> None:
    nodes, meshes = some_meshes()
    folder = MeshFolder(tmp_path.as_uri())
    with folder.writing(f"3/{shard_name(GRID, CHUNK)}") as file:
        write_shard(file, 2, ordered(nodes, meshes, 2))
    reader = MeshReader(str(tmp_path), GRID, {3: 2})
    asked = np.append(nodes[::-1], np.uint64(CHUNK + (1 << 40)))
    places = reader.locate(asked)
    assert places.pop() is None
    assert all(place is not None for place in places)
    found = reader.read([place for place in places if place is not None])
    assert found == [meshes[node] for node in nodes[::-1].tolist()]
    assert [path.name for path in (tmp_path / "3").iterdir()] == [shard_name(GRID, CHUNK)]


def test_files_are_named_as_cloud_volume_names_them() -> None:
    for layer, coords in ((2, (3, 1, 2)), (3, (1, 0, 1)), (4, (0, 0, 0))):
        chunk = GRID.chunk_id(layer, coords)
        bits = GRID.axis_bits(layer)
        x, y, z = coords
        assert shard_name(GRID, chunk + 5) == f"{(x << 2 * bits) + (y << bits) + z}-0.shard"


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "garbage"])
def test_a_damaged_shard_is_an_error(damage: str, tmp_path: Path) -> None:
    nodes, meshes = some_meshes(20)
    name = f"3/{shard_name(GRID, CHUNK)}"
    with MeshFolder(str(tmp_path)).writing(name) as file:
        write_shard(file, 1, ordered(nodes, meshes, 1))
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": content[:-9], "garbage": b"\xff" * len(content)}[damage])
    with pytest.raises(ShardError, match="expected a shard file of meshes, found"):
        MeshReader(str(tmp_path), GRID, {3: 1}).locate(nodes)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = MeshFolder(str(tmp_path))

    def meshes() -> Iterator[tuple[int, bytes]]:
        yield CHUNK, b"half"
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), folder.writing("2/0-0.shard") as file:
        write_shard(file, 0, meshes())
    assert not list((tmp_path / "2").iterdir())


def test_too_many_meshes_for_a_minishard_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, meshes = some_meshes(40)
    monkeypatch.setattr(shards, "MOST_IN_MINISHARD", 15)
    with pytest.raises(MeshError, match="meshes in one of 2 minishards, where 15 are the most"):
        write_shard(io.BytesIO(), 1, ordered(nodes, meshes, 1))


def test_ranges_of_a_remote_folder() -> None:
    folder = MeshFolder("mem://beam-ingest-meshes/initial")
    with folder.writing("2/a.shard") as file:
        file.write(bytes(range(100)))
    assert folder.read([Range("2/a.shard", 10, 5), Range("2/a.shard", 0, 2)]) == [
        bytes(range(10, 15)),
        b"\0\1",
    ]
    with pytest.raises(ShardError, match="found no file"):
        folder.read([Range("2/b.shard", 0, 2)])


def test_shard_files_of_a_remote_folder_are_removed_and_no_others() -> None:
    folder = MeshFolder("mem://beam-ingest-removal/initial")
    names = ["2/12-0.shard", "3/1-0.shard", "notes", "2/12-0.shard.txt"]
    for name in names:
        with folder.writing(name) as file:
            file.write(b"x")
    assert sorted(folder.names()) == sorted(names)
    folder.remove_shards(only_half_written=True)
    assert sorted(folder.names()) == sorted(names)
    folder.remove_shards()
    assert sorted(folder.names()) == ["2/12-0.shard.txt", "notes"]
