"""How many objects a box of voxels is stored in, and how many bytes they have, without reading them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from beam_ingest.files import FileError, first_line


class Stored(NamedTuple):
    """How voxels are stored.

    Attributes:
      objects: blocks that a box touches.
      nbytes: their bytes.
    """

    objects: int
    nbytes: int


BYTES_PER_VOXEL = 0.1
"""What is assumed where no listing tells, in shard files and of zarr and N5: pinky256's labels have 0.09."""


def stored_size(volume: Any, low: npt.ArrayLike, high: npt.ArrayLike) -> Stored:
    """How a box of a volume is stored.

    Args:
      volume: as cloud-volume opens it.
      low: the lowest corner, in the volume's coordinates, shape (3,).
      high: behind the highest corner.

    Raises:
      FileError: when the storage cannot be asked.
    """
    from cloudfiles import CloudFiles
    from cloudvolume import Bbox, Vec
    from cloudvolume.datasource.precomputed.image.common import chunknames

    first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
    assumed = round(float(np.prod(np.maximum(last - first, 0))) * BYTES_PER_VOXEL)
    meta = getattr(volume, "meta", None)
    if meta is None or not hasattr(meta, "scale"):
        return Stored(1, assumed)
    mip = volume.mip
    block, bounds = Vec(*meta.chunk_size(mip)), meta.bounds(mip)
    box = Bbox(first, last).expand_to_chunk_size(block, meta.voxel_offset(mip))
    box = Bbox.clamp(box, bounds)
    names = list(chunknames(box, bounds, meta.key(mip), block, protocol="gs"))
    if "sharding" in meta.scale(mip):
        return Stored(len(names), assumed)
    try:
        sizes = CloudFiles(volume.cloudpath, progress=False).size(names)
    except Exception as error:  # every protocol has its own
        raise FileError(f"{volume.cloudpath}: {first_line(error)}") from error
    return Stored(len(names), sum(size or 0 for size in sizes.values()))
