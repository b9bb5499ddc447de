"""``prepare`` on Apache Flink writes what it writes on this machine alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.runners.flink.conftest import Flink
from tests.volumes.datasets import make_volumes, outputs, write_dataset, write_volume


@pytest.mark.slow
def test_the_files_are_the_same(flink: Flink, cli: Cli, tmp_path: Path) -> None:
    supervoxels, segmentation = make_volumes()
    folder = tmp_path / "here"
    write_volume(folder / "supervoxels", supervoxels)
    write_volume(folder / "segmentation", segmentation)
    here = write_dataset(folder, {"SUPERVOXELS": "./supervoxels", "SEGMENTATION": "./segmentation"})
    there = shutil.copytree(folder, tmp_path / "there") / here.name
    assert cli("prepare", here).status == 0
    outcome = cli("prepare", there, *flink.options, "--parallelism=2")
    assert (outcome.status, outcome.errors) == (0, [])
    assert outputs(there) == outputs(here)
