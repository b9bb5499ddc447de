"""The benchmarks run from end to end. What they measure is nothing a test could judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testing.emulator import require_emulator

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.emulator, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where benchmarks of few and small chunks keep what they make."""
    require_emulator()
    return tmp_path


def test_whole_builds_are_measured(folder: Path) -> None:
    cases = ["raw 3 bigtable in-process", "proto 3 sqlite", "proto 3 bigtable 2 workers"]
    sizes = ["--chunks", "8", "--chunk-size", "16", "--runs", "1"]
    said = python("-m", "benchmarks", *sizes, "--folder", str(folder), "--only", *cases)
    results = json.loads((folder / "results.json").read_text())["results"]
    assert [r["figures"]["case"] for r in results] == [cases[0], "proto 3 sqlite in-process", cases[2]]
    floors = [result["runs"]["floors"][0] for result in results]
    assert all((f["supervoxels"], f["rows"]) == (floors[0]["supervoxels"], floors[0]["rows"]) for f in floors)
    for result, floor in zip(results, floors, strict=True):
        figures, stages = result["figures"], result["runs"]["stages"]
        assert f"| {figures['case']} " in said
        assert all(figures[f"{stage}_cpu"] > 0 for stage in (*stages, "beam"))
        assert sum(stages.values()) < result["runs"]["staged_cpu"]
        assert figures["ratio"] == pytest.approx(figures["seconds"] / figures["floor"])
        assert 0 < figures["largest_bytes"] <= figures["peak_bytes"]
        assert floor["kernels"] > floor["read"] > 0
    raw, proto, workers = (result["figures"] for result in results)
    assert workers["peak_bytes"] > workers["largest_bytes"], "worker processes are not seen"
    assert workers["start_cpu"] > 2 * proto["start_cpu"], "worker processes have no clocks"
    assert raw["store_cpu"] > 0 == proto["store_cpu"]


def test_the_sink_is_measured(folder: Path) -> None:
    said = python(
        "-m", "benchmarks.sink", "--rows", "50", "--rounds", "1", "--chunks", "8", "--folder", str(folder)
    )
    assert len(said.splitlines()) == 1 + 2 * 3


def test_volumes_are_measured() -> None:
    said = python("-m", "benchmarks.volumes", "--voxels", "64", "--rounds", "1").splitlines()
    steps = ["read", "pieces", "planes", "contacts", "ids", "write", "all", "memory"]
    assert [line.split()[0] for line in said[1:]] == steps
    assert float(said[-1].split()[1]) < 40, "docs/volumes.md states how much memory a voxel takes"


def test_the_l2_cache_is_measured() -> None:
    """With the ratios that docs/l2cache.md states of larger chunks: two clocks of one process."""
    said = python("-m", "benchmarks.l2cache", "--shape", "64", "64", "32", "--rounds", "1").splitlines()
    steps = ["read", "edt", "l2cache", "loop", "faster", "slower", "memory"]
    assert [line.split()[0] for line in said[1:]] == steps


def test_meshing_is_measured() -> None:
    """With the ratios that docs/meshes.md states of larger chunks."""
    said = python("-m", "benchmarks.meshes", "--chunks", "8", "--chunk-size", "16").splitlines()
    assert [line.split()[0] for line in said[1:]] == ["layer", "2", "3", "stitching"]
    said = python("-m", "benchmarks.meshes", "--chunks", "8", "--chunk-size", "16", "--memory").splitlines()
    assert [line.split()[0] for line in said[1:]] == ["layer", "2", "3"]


def python(*arguments: str) -> str:
    """What a Python program prints."""
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
