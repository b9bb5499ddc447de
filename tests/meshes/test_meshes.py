"""Every mesh against an oracle that goes over the whole volume, and what clients make of them."""

from __future__ import annotations

from pathlib import Path

import DracoPy
import numpy as np
import pytest
from cloudvolume import CloudVolume

from beam_ingest.meshes.build import MeshBuilder
from beam_ingest.meshes.config import MeshConfig
from beam_ingest.stores import open_store
from tests.meshes.datasets import BITS, GRID, meshes_of, parents_of
from tests.meshes.oracle import Oracle
from tests.volumes.datasets import SIZE


def oracle(dataset: Path, mip: int, max_error: float) -> Oracle:
    volume = CloudVolume((dataset.parent / "ws").as_uri(), mip=mip, progress=False)
    factor = volume.downsample_ratio
    return Oracle(
        volume=np.asarray(volume[:])[..., 0],
        offset=tuple(map(int, volume.voxel_offset)),
        block=tuple(int(size // f) for size, f in zip(SIZE, factor, strict=True)),
        resolution=tuple(map(int, volume.resolution)),
        parents=parents_of(dataset),
        layers=GRID.layer_count,
        max_layer=4,
        max_error=max_error,
    )


def assert_same(dataset: Path, expected: dict[int, bytes]) -> None:
    nodes = [node for node in {*parents_of(dataset), *parents_of(dataset).values()} if node >> 56 >= 2]
    found = meshes_of(dataset, nodes)
    assert {node >> 56 for node in expected} == {2, 3, 4}
    assert found.keys() == expected.keys()
    for node, data in expected.items():
        ours, theirs = DracoPy.decode(found[node]), DracoPy.decode(data)
        np.testing.assert_array_equal(ours.points, theirs.points, str(node))
        np.testing.assert_array_equal(ours.faces, theirs.faces, str(node))


def test_meshes_are_those_of_the_oracle(small_meshes: Path) -> None:
    assert_same(small_meshes, oracle(small_meshes, 0, 40).meshes())


@pytest.mark.parametrize(("mip", "max_error"), [(1, 0), (1, 60)])
def test_meshes_of_a_downsampled_watershed(dataset: Path, mip: int, max_error: float) -> None:
    """Its voxels begin before those of mip 0, so chunks hold some of their neighbours'."""
    config = MeshConfig("meshes", mip, 4, max_error, BITS, "dynamic")
    with open_store(f"sqlite:{dataset.parent}/graph.sqlite") as store:
        builder = MeshBuilder(store, GRID, (dataset.parent / "ws").as_uri(), config, SIZE)
        for layer in (2, 3, 4):
            for at in np.ndindex(*GRID.bounds(layer)):
                builder.chunk(GRID.chunk_id(layer, at))
    assert_same(dataset, oracle(dataset, mip, max_error).meshes())
