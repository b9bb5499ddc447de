"""What a chunk takes while it is cut, in bytes a voxel: docs/volumes.md says how much."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.dataset import Dataset
from beam_ingest.files import Folder
from beam_ingest.volumes.cut import Cutter
from beam_ingest.volumes.job import make_prepare_job
from beam_ingest.volumes.source import VolumeReader
from beam_ingest.volumes.watershed import write_chunk
from benchmarks.volumes import CHUNK, make, steps
from tests.volumes.datasets import write_dataset, write_volume

BYTES, WITH_ALL = 17, 26
DOCS = Path(__file__).parents[2] / "docs" / "volumes.md"


def peak(call: Callable[[], object]) -> int:
    call()  # modules are imported, caches are full
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("voxels", [64, 128])
def test_a_chunk_takes_what_is_stated(voxels: int, tmp_path: Path) -> None:
    job = make(tmp_path, voxels)
    taken = peak(lambda: steps(job, lambda _, call: call()))
    assert taken < BYTES * voxels**3 + (1 << 20)
    assert f"{BYTES} bytes of memory a voxel" in " ".join(DOCS.read_text().split())


@pytest.mark.slow
def test_a_chunk_with_a_segmentation_and_affinities_takes_what_is_stated(tmp_path: Path) -> None:
    voxels = 128
    job = make(tmp_path / "labels", voxels)
    labels = np.concatenate([VolumeReader(job.dataset, job.extent).supervoxels(CHUNK)] * 2)
    block = (64,) * 3
    volumes = {
        "SUPERVOXELS": write_volume(tmp_path / "s", labels, block=block),
        "SEGMENTATION": write_volume(tmp_path / "g", labels // np.uint64(3), block=block),
        "AFFINITIES": write_volume(tmp_path / "a", np.zeros((*labels.shape, 3), np.float32), block=block),
    }
    job = make_prepare_job(Dataset.from_file(write_dataset(tmp_path, volumes, (voxels,) * 3)))

    def cut() -> None:
        cutter = Cutter(job, VolumeReader(job.dataset, job.extent), None)
        pieces, ids, agglomerated, _, affinities = cutter.read(CHUNK)
        cutter.planes(CHUNK, pieces, ids, agglomerated, affinities)
        cutter.contacts(pieces, affinities)
        known = np.append(np.uint64(0), ids)
        write_chunk(Folder(job.dataset.watershed), job.extent, job.block, CHUNK, pieces.numbers, known)

    assert peak(cut) < WITH_ALL * voxels**3 + (1 << 20)
    assert f"{WITH_ALL} with a segmentation and affinities of float32" in " ".join(DOCS.read_text().split())
