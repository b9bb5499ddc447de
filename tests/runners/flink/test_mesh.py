"""The same meshes on Apache Flink as on this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.meshes.conftest import dataset, small_graph, small_meshes  # noqa: F401  (fixtures)
from tests.meshes.datasets import shards
from tests.runners.flink.conftest import Flink


@pytest.mark.slow
def test_flink_writes_the_same_bytes(
    flink: Flink,
    cli: Cli,
    dataset: Path,  # noqa: F811
    small_meshes: Path,  # noqa: F811
) -> None:
    outcome = cli("mesh", "g", dataset, *flink.options, "--parallelism=2")
    assert (outcome.status, outcome.errors) == (0, [])
    assert shards(dataset) == shards(small_meshes)
