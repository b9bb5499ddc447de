"""The watershed volume: how large it is, and so how many chunks there are.

Only its ``info`` is read (precomputed format, mip 0): no voxel is needed to build a graph. Those of some
chunks are read to check a dataset.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import FileError, Folder, silence_cloud_files
from beam_ingest.graphene import ChunkGrid, Ids


@dataclass(frozen=True)
class Watershed:
    """Attributes:
    size: voxels along x, y and z.
    resolution: size of a voxel along x, y and z, in nanometres.
    """

    size: tuple[int, int, int]
    resolution: tuple[float, float, float]


def read_watershed(url: str) -> Watershed:
    """Read the info of the precomputed volume at `url`.

    Raises:
      ConfigError: when there is no info, or it does not tell size and resolution.
    """
    folder = Folder(url)
    where = folder.path("info")
    data = folder.read(["info"])[0]
    if data is None:
        raise ConfigError(f"{where}: no such file; data_source.WATERSHED must be a precomputed volume")
    try:
        info = json.loads(data)
    except ValueError as error:
        raise ConfigError(f"{where}: expected a precomputed info, found no JSON: {error}") from None
    try:
        scale = info["scales"][0]
        size, resolution = scale["size"], scale["resolution"]
    except (KeyError, IndexError, TypeError):
        raise ConfigError(
            f"{where}: expected a precomputed info with scales[0].size and .resolution, found none"
        ) from None
    return Watershed(
        _triple(size, (int,), f"{where}: expected scales[0].size of three whole numbers"),
        _triple(resolution, (int, float), f"{where}: expected scales[0].resolution of three numbers"),
    )


def _triple(values: Any, kinds: tuple[Any, ...], expected: str) -> Any:
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(n, kinds) and not isinstance(n, bool) and 0 < n < math.inf for n in values)
    ):
        raise ConfigError(f"{expected} above 0, found {json.dumps(values)}")
    return tuple(values)


def chunk_grid(dataset: Dataset, watershed: Watershed) -> ChunkGrid:
    """The grid of chunks that covers the watershed; partial chunks count.

    Raises:
      ConfigError: when the ids' bits do not hold it; names the dataset file.
    """
    x, y, z = (-(-n // c) for n, c in zip(watershed.size, dataset.chunk_size, strict=True))
    try:
        return ChunkGrid((x, y, z), dataset.layer_id_bits, dataset.spatial_bits)
    except ConfigError as error:
        raise ConfigError(f"{dataset.path}: {error}") from None


def read_labels(url: str, chunk_size: tuple[int, int, int], coords: tuple[int, int, int]) -> Ids | None:
    """The labels but 0 in a chunk's box of the precomputed volume at `url`, at mip 0.

    Args:
      url: the volume.
      chunk_size: voxels of a chunk along x, y and z.
      coords: the chunk's coordinates.

    Returns:
      Labels, shape (n,), uint64, ascending; None when voxels of the box are not there.

    Raises:
      FileError: when voxels are there but cannot be read.
    """
    from cloudvolume import Bbox, CloudVolume  # slow
    from cloudvolume.datasource.precomputed.image import rx
    from cloudvolume.exceptions import EmptyVolumeException

    silence_cloud_files()
    rx.print = lambda *_: None  # it tells on stdout about what it raises as well
    try:
        volume = CloudVolume(url, mip=0, progress=False)
        begin, end = np.array(volume.bounds.minpt), np.array(volume.bounds.maxpt)
        low = begin + np.array(coords) * chunk_size
        high = np.minimum(low + chunk_size, end)
        found = volume.unique(Bbox(low, high), mip=0)  # without laying out the whole box in memory
    except EmptyVolumeException:
        return None
    except Exception as error:  # every protocol has its own
        first_line = str(error).partition("\n")[0] or type(error).__name__
        raise FileError(f"{url}: the voxels of chunk {'_'.join(map(str, coords))}: {first_line}") from error
    return np.array(sorted({int(label) for label in found} - {0}), np.uint64)
