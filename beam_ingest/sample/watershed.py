"""The sample's watershed volume: precomputed, compressed_segmentation, one file a chunk."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from beam_ingest.format.grid import Ids
from beam_ingest.sample.spec import RESOLUTION, SampleSpec, Triple
from beam_ingest.sample.supervoxels import Labels

VOLUMES = ("volumes/supervoxels", "volumes/segmentation")
"""Folders of the volumes that ``prepare`` reads: beads that no face cuts, and their families."""


def create_watershed(path: str, spec: SampleSpec) -> None:
    """Write the volume's info file below the folder `path`."""
    _volume(path, spec).commit_info()


def write_watershed(path: str, spec: SampleSpec, coords: Triple, labels: Labels, ids: Ids) -> None:
    """Write one chunk.

    Args:
      path: the volume's folder.
      spec: the sample.
      coords: the chunk's.
      labels: 0 for background, i + 1 for supervoxel i, in the chunk's shape.
      ids: of the supervoxels, or what else is to stand for them, shape (n,), uint64.
    """
    low, high = spec.box(coords)
    voxels = np.concatenate([np.zeros(1, np.uint64), ids])[labels]
    start, end = low + spec.voxel_offset, high + spec.voxel_offset
    box = tuple(slice(a, b) for a, b in zip(start.tolist(), end.tolist(), strict=True))
    _volume(path, spec)[box] = voxels[..., None]


@functools.lru_cache(maxsize=1 + len(VOLUMES))
def _volume(path: str, spec: SampleSpec) -> Any:
    from cloudvolume import CloudVolume  # takes a second to import

    info = CloudVolume.create_new_info(
        num_channels=1,
        layer_type="segmentation",
        data_type="uint64",
        encoding="compressed_segmentation",
        resolution=RESOLUTION,
        voxel_offset=spec.voxel_offset,
        volume_size=spec.volume_size,
        chunk_size=spec.chunk_size,
    )
    # cloud-files' gzip has no time stamp: equal voxels give equal files.
    return CloudVolume(f"file://{path}", info=info, compress="gzip", progress=False)
