"""What a chunk takes while it is cut, in bytes a voxel: docs/volumes.md says how much."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from benchmarks.volumes import make, steps

BYTES = 17


@pytest.mark.parametrize("voxels", [64, 128])
def test_a_chunk_takes_what_is_stated(voxels: int, tmp_path: Path) -> None:
    job = make(tmp_path, voxels)
    steps(job, lambda _, call: call())  # modules are imported, caches are full
    tracemalloc.start()
    try:
        steps(job, lambda _, call: call())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < BYTES * voxels**3 + (1 << 20)
    stated = f"{BYTES}\nbytes of memory a voxel"
    assert stated in (Path(__file__).parents[2] / "docs" / "volumes.md").read_text()
