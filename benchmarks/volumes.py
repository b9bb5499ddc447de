"""What one chunk costs ``prepare``: nanoseconds of CPU and bytes of memory a voxel, step by step.

    python -m benchmarks.volumes [--voxels N] [--rounds N]

The chunk is one of the sample's, twice as large along each axis: 256 voxels make about 14,000 supervoxels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.files import Folder
from beam_ingest.sample import SampleSpec
from beam_ingest.sample.supervoxels import label_chunk
from beam_ingest.volumes.contacts import contacts_within
from beam_ingest.volumes.cut import Cutter
from beam_ingest.volumes.job import PrepareJob, make_prepare_job
from beam_ingest.volumes.source import VolumeReader
from beam_ingest.volumes.watershed import write_chunk

CHUNK = (0, 0, 0)
BUDGET = 40
"""Nanoseconds a voxel of all steps together, on one core."""


def make(folder: Path, voxels: int) -> PrepareJob:
    """A dataset of two chunks beside each other, each of `voxels` along each axis."""
    from cloudvolume import CloudVolume

    half = voxels // 2
    labels, found = label_chunk(SampleSpec((2, 2, 2), (half,) * 3), (1, 1, 1))
    names = np.append(np.uint64(0), found.beads)[labels]
    large = names.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    info = CloudVolume.create_new_info(
        num_channels=1,
        layer_type="segmentation",
        data_type="uint64",
        encoding="compressed_segmentation",
        resolution=(8, 8, 8),
        voxel_offset=(0, 0, 0),
        volume_size=(2 * voxels, voxels, voxels),
        chunk_size=(min(voxels, 128),) * 3,
    )
    volume = CloudVolume((folder / "supervoxels").as_uri(), info=info, progress=False)
    volume.commit_info()
    for at in (0, voxels):
        volume[at : at + voxels] = large
    content = {
        "data_source": {name: f"{folder}/{name}" for name in ("EDGES", "COMPONENTS", "WATERSHED")},
        "graph_config": {"CHUNK_SIZE": [voxels] * 3},
        "volumes": {"SUPERVOXELS": f"{folder}/supervoxels"},
    }
    return make_prepare_job(Dataset.from_text(json.dumps(content), str(folder / "dataset.yml")))


def steps(job: PrepareJob, run: Callable[[str, Callable[[], Any]], Any]) -> int:
    """Take a chunk through all steps, each in `run`; gives its supervoxels."""
    reader = VolumeReader(job.dataset, job.extent)
    labels = run("read", lambda: reader.supervoxels(CHUNK))
    cutter = Cutter(job, _Read(labels), None)  # type: ignore[arg-type]
    pieces, ids, agglomerated, _, affinities = run("pieces", lambda: cutter.read(CHUNK))
    run("planes", lambda: cutter.planes(CHUNK, pieces, ids, agglomerated, affinities))
    run("contacts", lambda: contacts_within(pieces))
    folder, known = Folder(job.dataset.watershed), np.append(np.uint64(0), ids)
    run("write", lambda: write_chunk(folder, job.extent, job.block, CHUNK, pieces.numbers, known))
    return int(ids.size)


class _Read:
    """A reader of what is read already, so that reading and cutting are measured apart."""

    def __init__(self, labels: Any) -> None:
        self._labels = labels

    def supervoxels(self, _: object) -> Any:
        return self._labels

    def segmentation(self, _: object) -> None:
        return None

    affinities = segmentation


def main() -> None:
    """Measure, and print a line a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--voxels", type=int, default=256, help="along each axis")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    best: dict[str, float] = {}

    def clocked(name: str, call: Callable[[], Any]) -> Any:
        begun = time.process_time_ns()
        found = call()
        best[name] = min(best.get(name, float("inf")), time.process_time_ns() - begun)
        return found

    with tempfile.TemporaryDirectory() as name:
        job = make(Path(name), arguments.voxels)
        for _ in range(arguments.rounds):
            supervoxels = steps(job, clocked)
        tracemalloc.start()
        steps(job, lambda _, call: call())
        peak = tracemalloc.get_traced_memory()[1]
    voxels = arguments.voxels**3
    print(f"{arguments.voxels}^3 voxels, {supervoxels:,} supervoxels")
    for step, nanoseconds in best.items():
        print(f"  {step:<10}{nanoseconds / voxels:6.1f} ns a voxel")
    print(f"  {'all':<10}{sum(best.values()) / voxels:6.1f} ns a voxel (budget {BUDGET})")
    print(f"  {'memory':<10}{peak / voxels:6.1f} bytes a voxel")


if __name__ == "__main__":
    main()
