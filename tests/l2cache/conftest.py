"""A small dataset of odd sizes with its finished graph, and what its cache must hold."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cloudvolume import CloudVolume

from beam_ingest.cli import main
from tests.graphs import read_cells
from tests.l2cache.oracle import Node, Triple, expect
from tests.volumes.datasets import SIZE, make_volumes, write_dataset, write_volume


@pytest.fixture(scope="session")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("l2cache") / "dataset"
    supervoxels, segmentation = make_volumes()
    supervoxels[8:16] = 0  # empty chunks
    write_volume(folder / "supervoxels", supervoxels)
    write_volume(folder / "segmentation", segmentation)
    path = write_dataset(
        folder,
        {"SUPERVOXELS": "./supervoxels", "SEGMENTATION": "./segmentation"},
        l2cache_config={"table_id": "cache", "cv_path": "graphene://https://server/g", "cave_token": "x"},
    )
    assert main(["prepare", str(path)]) == 0
    assert main(["graph", "g", str(path)]) == 0
    return path


@pytest.fixture
def whole(_whole: Path, tmp_path: Path) -> Path:
    """The dataset file of a graph `g` without a cache, in a folder of the test's own."""
    return shutil.copytree(_whole.parent, tmp_path / "dataset") / _whole.name


@pytest.fixture(scope="session")
def cached(_whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with its cache, filled undisturbed in one go; not to be changed."""
    path = shutil.copytree(_whole.parent, tmp_path_factory.mktemp("cached") / "dataset") / _whole.name
    assert main(["l2cache", "g", str(path)]) == 0
    return path


def change(dataset: Path, section: str, **values: Any) -> None:
    """Change keys of a section of the dataset file; None removes one."""
    content = yaml.safe_load(dataset.read_text())
    merged = {**content.get(section, {}), **values}
    content[section] = {key: value for key, value in merged.items() if value is not None}
    dataset.write_text(yaml.safe_dump(content))


@dataclass
class Expected:
    """Attributes:
    nodes: attributes by id.
    chunk_of: the chunk of each.
    shape: voxels of a chunk.
    """

    nodes: dict[int, Node]
    chunk_of: dict[int, Triple]
    shape: Triple


def expected_nodes(dataset: Path, resolution: Triple, mip: int = 0, factor: Triple = (1, 1, 1)) -> Expected:
    """What the graph's rows and the watershed's voxels say, node by node."""
    parents = {
        int(key): int.from_bytes(value, "little")
        for (key, _, name), value in read_cells(dataset.parent / "graph.sqlite").items()
        if name == b"parents" and int(key) >> 56 == 1
    }
    voxels = np.asarray(CloudVolume((dataset.parent / "ws").as_uri(), mip=mip, progress=False)[:])[..., 0]
    parent_of = np.vectorize(lambda label: parents.get(int(label), 0), otypes=[np.uint64])
    shape = tuple(n // f for n, f in zip(SIZE, factor, strict=True))
    found = Expected({}, {}, shape)  # type: ignore[arg-type]
    counts = [-(-n // s) for n, s in zip(voxels.shape, shape, strict=True)]
    padded = np.pad(voxels, [(0, c * s - n) for c, s, n in zip(counts, shape, voxels.shape, strict=True)])
    for chunk in np.ndindex(*counts):
        box = padded[tuple(slice(c * s, (c + 1) * s) for c, s in zip(chunk, shape, strict=True))]
        nodes = parent_of(box)
        for node in set(np.unique(nodes).tolist()) - {0}:
            assert node not in found.nodes
            found.nodes[node] = expect(nodes, node, resolution)
            found.chunk_of[node] = chunk
    return found
