"""Boxes of the watershed, against arrays that cloud-volume wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cloudfiles.exceptions import DecompressionError
from cloudvolume import CloudVolume
from google.api_core.exceptions import ServiceUnavailable
from requests import RequestException

from beam_ingest.errors import ConfigError, InputError
from beam_ingest.inputs.voxels import WatershedVoxels, is_of_network
from tests.volumes.datasets import OFFSET, write_volume

SHAPE = (20, 11, 19)


@pytest.fixture
def volume(tmp_path: Path) -> tuple[str, np.ndarray]:
    """A volume of odd size that begins anywhere, and its voxels."""
    voxels = np.random.default_rng(3).integers(1, 1 << 60, SHAPE, dtype=np.uint64)
    return write_volume(tmp_path / "ws", voxels), voxels


@pytest.mark.parametrize("low", [(0, 0, 0), (3, 2, 1), (16, 8, 16), (-2, -1, 4), (20, 0, 0)])
def test_outside_the_volume_is_background(volume: tuple[str, np.ndarray], low: tuple[int, int, int]) -> None:
    url, voxels = volume
    around = np.pad(voxels, 20)
    x, y, z = (slice(20 + a, 20 + a + n) for a, n in zip(low, (9, 6, 7), strict=True))
    opened = WatershedVoxels(url)
    found = opened.read((0, 0, 0), low, (9, 6, 7))
    assert (found.ids == around[x, y, z]).all()
    assert found.ids.flags.f_contiguous
    assert found.ids.dtype == np.uint64
    assert found.stored
    assert (opened.size, opened.offset, opened.factor) == (SHAPE, OFFSET, (1, 1, 1))


def test_absent_blocks_are_background_and_told(volume: tuple[str, np.ndarray], tmp_path: Path) -> None:
    url, voxels = volume
    (block,) = (tmp_path / "ws").rglob(f"{OFFSET[0]}-{OFFSET[0] + 16}_100-108_33-41*")
    block.unlink()
    opened = WatershedVoxels(url)
    found = opened.read((0, 0, 0), (0, 0, 0), SHAPE)
    voxels[:16, :8, :8] = 0
    assert (found.ids == voxels).all()
    assert not found.stored
    assert opened.read((0, 0, 0), (16, 0, 0), (4, 8, 8)).stored


def test_damaged_blocks_are_named(volume: tuple[str, np.ndarray], tmp_path: Path) -> None:
    for block in (tmp_path / "ws").rglob("*_100-108_33-41*"):
        block.write_bytes(b"none")
    with pytest.raises(InputError, match=r"ws: chunk 1_2_3: expected voxels that can be read, found"):
        WatershedVoxels(volume[0]).read((1, 2, 3), (0, 0, 0), SHAPE)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ServiceUnavailable("503"), True),
        (ConnectionResetError("reset"), True),
        (RequestException("timeout"), True),
        (ValueError("no such encoding"), False),
        (DecompressionError("damaged"), False),
    ],
)
def test_what_may_be_gone_later(error: Exception, transient: bool) -> None:
    assert is_of_network(error) is transient


def test_another_level(tmp_path: Path) -> None:
    fine = np.random.default_rng(4).integers(1, 99, (16, 12, 10), dtype=np.uint64)
    url = write_volume(tmp_path / "ws", fine, offset=(4, 8, 3), resolution=(8, 8, 40))
    coarse = CloudVolume(url, progress=False)
    coarse.add_scale((2, 2, 1), chunk_size=(8, 8, 8))
    coarse.commit_info()
    CloudVolume(url, mip=1, progress=False)[:] = fine[::2, ::2]
    opened = WatershedVoxels(url, 1)
    assert (opened.resolution, opened.factor, opened.offset) == ((16, 16, 40), (2, 2, 1), (2, 4, 3))
    assert opened.chunk_size((8, 6, 5)) == (4, 3, 5)
    assert (opened.read((0, 0, 0), (4, 3, 5), (4, 3, 5)).ids == fine[8::2, 6::2, 5:]).all()
    with pytest.raises(
        ConfigError, match=r"mip 1: expected a level whose voxels divide chunks of \[8, 5, 5\]"
    ):
        opened.chunk_size((8, 5, 5))
    with pytest.raises(ConfigError, match="expected a volume with mip 2, found an error"):
        WatershedVoxels(url, 2)
    with pytest.raises(ConfigError, match="expected a volume with mip 0, found an error"):
        WatershedVoxels((tmp_path / "none").as_uri())
