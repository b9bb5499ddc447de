"""Choosing CHUNK_SIZE and SPATIAL_BITS where the dataset file leaves them open."""

from __future__ import annotations

from itertools import product

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, InputError
from beam_ingest.volumes.source import Extent, Triple, VolumeReader, volumes_of

MOST_PIECES, MOST_VOXELS, LONGEST = 5_000, 1 << 24, 512
"""What a chunk should not have more of: supervoxels, by the densest sample; voxels; voxels along an axis."""
_SHORTEST = 16
_SAMPLE = 64
"""Voxels along each axis of the nine boxes that are looked at."""
_USUAL_BITS = 10


def choose(dataset: Dataset, extent: Extent) -> Dataset:
    """The dataset with what its file leaves open, by the size of the voxels and the density of supervoxels.

    Only what is left open is looked for; equal volumes give equal choices.

    Raises:
      ConfigError: when chunks cannot be chosen, since the supervoxels are ids of chunks already.
    """
    if not dataset.unchosen:
        return dataset
    size: Triple = dataset.chunk_size
    if "CHUNK_SIZE" in dataset.unchosen:
        if volumes_of(dataset).supervoxels == dataset.watershed:
            raise ConfigError(
                f"{dataset.path}: graph_config: the key CHUNK_SIZE is missing: SUPERVOXELS, which are "
                "WATERSHED, are ids of chunks of a size that has to be told"
            )
        size = chunk_size(extent, supervoxel_density(dataset, extent))
    return dataset.choosing({"CHUNK_SIZE": list(size), "SPATIAL_BITS": spatial_bits(extent, size)})


def chunk_size(extent: Extent, density: float) -> Triple:
    """Voxels of a chunk: powers of two, about equally long along all axes in nanometres.

    Args:
      extent: of the volume.
      density: supervoxels a voxel.

    >>> chunk_size(Extent((4096, 4096, 512), (0, 0, 0), (8, 8, 40)), 1 / 1000)
    (256, 256, 64)
    """
    best = sizes = (_SHORTEST,) * 3
    while True:
        grows = [axis for axis in range(3) if sizes[axis] < min(LONGEST, extent.size[axis])]
        if not grows:
            return best
        axis = min(grows, key=lambda axis: sizes[axis] * extent.resolution[axis])
        x, y, z = (n * (2 if i == axis else 1) for i, n in enumerate(sizes))
        sizes = (x, y, z)
        voxels = x * y * z
        several = any(n < total for n, total in zip(sizes, extent.size, strict=True))
        if voxels > MOST_VOXELS or voxels * density > MOST_PIECES or not several:
            return best
        best = sizes


def spatial_bits(extent: Extent, size: Triple) -> int:
    """Bits for the chunks along an axis: PyChunkedGraph's usual ten, or as many as there have to be."""
    most = max(-(-n // c) for n, c in zip(extent.size, size, strict=True))
    return max(_USUAL_BITS, (most - 1).bit_length())


def supervoxel_density(dataset: Dataset, extent: Extent) -> float:
    """Supervoxels a voxel in the densest of nine boxes: at the centre, and halfway to each corner.

    Boxes that cannot be read count for nothing: the job tells of them.
    """
    reader, found = VolumeReader(dataset, extent), 0.0
    shape = [min(_SAMPLE, n) for n in extent.size]
    for quarters in [(2, 2, 2), *product((1, 3), repeat=3)]:
        x, y, z = (
            offset + max(0, min(total * quarter // 4 - n // 2, total - n))
            for offset, total, quarter, n in zip(extent.offset, extent.size, quarters, shape, strict=True)
        )
        try:
            labels = np.unique(reader.sample((x, y, z), (x + shape[0], y + shape[1], z + shape[2])))
        except InputError:
            continue
        found = max(found, np.count_nonzero(labels) / float(np.prod(shape)))
    return found
