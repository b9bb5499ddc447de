"""The real sample as a graph, once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.graphs import ingest, pinky256


@pytest.fixture(scope="session")
def pinky_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sample with its graph ``graph`` in graph.sqlite, not to be changed."""
    folder = tmp_path_factory.mktemp("pinky")
    for part in ("edges", "components", "ws", "dataset.yml"):
        source = pinky256() / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    assert ingest(folder / "dataset.yml", folder / "graph.sqlite") == 0
    return folder
