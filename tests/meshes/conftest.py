"""The real sample as a graph, once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from beam_ingest.cli import main
from tests.graphs import pinky256
from tests.meshes.datasets import make_graph


@pytest.fixture(scope="session")
def pinky_graph(pinky256_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample with its graph ``graph`` in graph.sqlite, not to be changed."""
    folder = tmp_path_factory.mktemp("pinky")
    for part in ("edges", "components", "ws", "dataset.yml"):
        source = pinky256() / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    shutil.copy(pinky256_graph, folder / "graph.sqlite")
    return folder


@pytest.fixture(scope="session")
def small_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset file of a small graph ``g`` without meshes, not to be changed."""
    return make_graph(tmp_path_factory.mktemp("small") / "small")


@pytest.fixture(scope="session")
def small_meshes(small_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with meshes, made undisturbed in one go; not to be changed."""
    folder = shutil.copytree(small_graph.parent, tmp_path_factory.mktemp("meshed") / "small")
    assert main(["mesh", "g", str(folder / small_graph.name)]) == 0
    return folder / small_graph.name


@pytest.fixture
def dataset(small_graph: Path, tmp_path: Path) -> Path:
    """A copy of the small graph, in a folder of the test's own."""
    return shutil.copytree(small_graph.parent, tmp_path / "small") / small_graph.name
