"""CHUNK_SIZE and SPATIAL_BITS that a dataset file leaves open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_ingest.volumes import source
from beam_ingest.volumes.choose import MOST_PIECES, MOST_VOXELS, chunk_size, spatial_bits
from beam_ingest.volumes.source import Extent
from tests.conftest import Cli
from tests.volumes.datasets import make_volumes, write_dataset, write_volume


@pytest.mark.parametrize(
    ("resolution", "density", "expected"),
    [
        ((8, 8, 40), 1e-3, (256, 256, 64)),
        ((8, 8, 40), 1e-5, (512, 512, 64)),
        ((4, 4, 40), 1e-5, (512, 512, 64)),
        ((10, 10, 10), 0, (256, 256, 256)),
        ((8, 8, 8), 1e-2, (64, 64, 64)),
        ((8, 8, 40), 1, (16, 16, 16)),
    ],
)
def test_chunks_are_cubes_that_hold_what_a_worker_can(
    resolution: tuple[float, float, float], density: float, expected: tuple[int, int, int]
) -> None:
    extent = Extent((100_000, 100_000, 10_000), (0, 0, 0), resolution)
    size = chunk_size(extent, density)
    assert size == expected
    voxels = int(np.prod(size))
    assert voxels == 16**3 or (voxels <= MOST_VOXELS and voxels * density <= MOST_PIECES)


def test_a_small_volume_has_more_than_one_chunk() -> None:
    for size in ((17, 16, 16), (64, 64, 64), (300, 20, 7)):
        extent = Extent(size, (0, 0, 0), (8, 8, 8))
        chunks = [-(-n // c) for n, c in zip(size, chunk_size(extent, 1e-4), strict=True)]
        assert max(chunks) > 1


def test_bits_hold_the_grid() -> None:
    for voxels, bits in ((1 << 16, 10), (1 << 20, 14), ((1 << 20) + 1, 15)):
        assert spatial_bits(Extent((voxels, 64, 64), (0, 0, 0), (8, 8, 8)), (64, 64, 64)) == bits


@pytest.mark.slow
def test_every_command_takes_what_prepare_chose(tmp_path: Path, cli: Cli) -> None:
    supervoxels, segmentation = make_volumes((24, 15, 19))
    volumes: dict[str, Any] = {
        "SUPERVOXELS": write_volume(tmp_path / "supervoxels", supervoxels),
        "SEGMENTATION": write_volume(tmp_path / "segmentation", segmentation),
    }
    dataset = write_dataset(tmp_path / "open", volumes, graph_config={})
    line = "graph_config: the key CHUNK_SIZE is missing; `beam-ingest prepare` chooses one"
    for name in ("edges", "components"):
        (dataset.parent / name).mkdir()
    write_volume(dataset.parent / "ws", supervoxels.astype(np.uint64))  # by another program: it says nothing
    assert line in cli.refused("graph", "g", dataset)
    for file in sorted((dataset.parent / "ws").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert "chunks" in cli("check", dataset).out  # those that prepare would choose
    outcome = cli("prepare", dataset)
    assert outcome.status == 0
    chosen = "CHUNK_SIZE [32, 16, 16], SPATIAL_BITS 10"
    assert f"note: {chosen}, as graph_config leaves it open" in outcome.err
    assert f"chunks       2; {chosen}" in outcome.out
    info = json.loads((dataset.parent / "ws" / "info").read_bytes())
    assert info["beam_ingest"] == {"CHUNK_SIZE": [32, 16, 16], "SPATIAL_BITS": 10}
    assert "nothing to resume" in cli("prepare", dataset, "--resume").out
    assert cli("graph", "g", dataset).status == 0
    assert cli("verify", "g", dataset).status == 0
    assert cli("check", dataset, "--all").status == 0
    # The same as if the file said it, and no other size is taken up.
    told = dataset.with_name("told.yml")
    text = dataset.read_text()
    told.write_text(text.replace("graph_config: {}", "graph_config: {CHUNK_SIZE: [32, 16, 16]}"))
    assert "nothing to resume" in cli("prepare", told, "--resume").out
    told.write_text(text.replace("graph_config: {}", "graph_config: {CHUNK_SIZE: [16, 16, 16]}"))
    assert "graph_config.CHUNK_SIZE [32, 16, 16], not [16, 16, 16]" in cli.refused(
        "prepare", told, "--resume"
    )


def test_ids_of_chunks_have_chunks_of_a_known_size(tmp_path: Path, cli: Cli) -> None:
    place = write_volume(tmp_path / "ws", make_volumes((24, 15, 19))[0].astype(np.uint64))
    dataset = write_dataset(tmp_path, {"SUPERVOXELS": place}, graph_config={})
    assert "are ids of chunks of a size that has to be told" in cli.refused("prepare", dataset)


def test_every_voxel_is_read_once(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    supervoxels, segmentation = make_volumes((20, 11, 11))
    volumes: dict[str, Any] = {
        "SUPERVOXELS": write_volume(tmp_path / "supervoxels", supervoxels),
        "SEGMENTATION": write_volume(tmp_path / "segmentation", segmentation),
    }
    dataset = write_dataset(tmp_path / "dataset", volumes)
    read: dict[str, np.ndarray] = {}
    original = source.VolumeReader._read

    def counted(self: Any, volume: Any, coords: Any, box: Any = None) -> Any:
        counts = read.setdefault(volume.cloudpath, np.zeros(supervoxels.shape, int))
        low, high = (np.array(c) - volume.voxel_offset for c in box or self.box(coords))
        counts[tuple(map(slice, low, high))] += 1
        return original(self, volume, coords, box)

    monkeypatch.setattr(source.VolumeReader, "_read", counted)
    assert cli("prepare", dataset, "--direct_num_workers", "1").status == 0
    assert len(read) == 2
    assert all((counts == 1).all() for counts in read.values())
