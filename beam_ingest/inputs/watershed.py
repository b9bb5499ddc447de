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
from beam_ingest.errors import BeamIngestError, ConfigError
from beam_ingest.files import FileError, Folder, first_line
from beam_ingest.format.grid import ChunkGrid, Coordinates, Coords, Ids, chunk_name


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
    if not all(dataset.chunk_size):
        raise ConfigError(
            f"{dataset.path}: graph_config: the key CHUNK_SIZE is missing; `beam-ingest prepare` chooses one"
        )
    x, y, z = (-(-n // c) for n, c in zip(watershed.size, dataset.chunk_size, strict=True))
    try:
        return ChunkGrid((x, y, z), dataset.layer_id_bits, dataset.spatial_bits)
    except ConfigError as error:
        raise ConfigError(f"{dataset.path}: {error}") from None


class UndecodableError(BeamIngestError):
    """The volume's encoding needs a package that is not installed: nothing is wrong with the voxels."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels in a chunk's box.

    Attributes:
      ids: all but 0, shape (n,), uint64, ascending.
      blocks: how many blocks of the volume's storage the box touches.
      absent: how many of them are not stored: background, as writers leave such blocks out.
      voxels: voxels of the box.
    """

    ids: Ids
    blocks: int
    absent: int
    voxels: int


def has_voxels(url: str) -> bool:
    """Whether any voxel of the volume at `url` is stored at mip 0; True where this is unknown."""
    folder = Folder(url)
    (info,) = folder.read(["info"])
    key = json.loads(info or b"{}")["scales"][0]["key"]
    try:
        return next(folder.names(f"{key}/"), None) is not None
    except FileError:
        return not folder.is_local


def read_labels(
    url: str, chunk_size: tuple[int, int, int], coords: Coordinates, volume: Any = None
) -> Labels:
    """The labels in a chunk's box of the precomputed volume at `url`, at mip 0.

    Args:
      url: the volume.
      chunk_size: voxels of a chunk along x, y and z.
      coords: the chunk's coordinates.
      volume: the volume, if it is open already (`open_watershed`).

    Raises:
      FileError: when voxels are there but cannot be read.
      UndecodableError: when a package that decodes them is not installed.
    """
    from cloudvolume import Bbox  # slow
    from cloudvolume.exceptions import EmptyVolumeException

    found: set[int] = set()
    absent = 0
    if volume is None:
        volume = open_watershed(url)
    try:
        begin, end = np.array(volume.bounds.minpt), np.array(volume.bounds.maxpt)
        low = begin + np.array(coords) * chunk_size
        high = np.minimum(low + chunk_size, end)
        size = np.array(volume.chunk_size)
        first, last = (low - begin) // size, -(-(high - begin) // size)
        try:
            found = volume.unique(Bbox(low, high), mip=0)  # without laying out the whole box in memory
        except EmptyVolumeException:  # of at least one block: which ones is told one by one
            for block in np.ndindex(*(last - first)):
                corner = begin + (first + block) * size
                box = Bbox(np.maximum(corner, low), np.minimum(corner + size, high))
                try:
                    found |= volume.unique(box, mip=0)
                except EmptyVolumeException:
                    absent += 1
    except ImportError as error:
        raise UndecodableError(f"{url}: {first_line(error)}") from error
    except Exception as error:  # every protocol has its own
        raise FileError(f"{url}: the voxels of chunk {chunk_name(coords)}: {first_line(error)}") from error
    ids = np.array(sorted({int(label) for label in found} - {0}), np.uint64)
    return Labels(ids, int(np.prod(last - first)), absent, int(np.prod(high - low)))


def open_watershed(url: str) -> Any:
    """The precomputed volume at `url`, opened by cloud-volume for `read_labels`.

    Raises:
      FileError: when it cannot be opened.
      UndecodableError: when a package that it needs is not installed.
    """
    try:
        from cloudvolume import CloudVolume  # slow

        return CloudVolume(url, mip=0, progress=False)
    except ImportError as error:
        raise UndecodableError(f"{url}: {first_line(error)}") from error
    except Exception as error:  # every protocol has its own
        raise FileError(f"{url}: {first_line(error)}") from error


def read_supervoxels(url: str, chunk_size: tuple[int, int, int], positions: Coords) -> Ids:
    """The label at each position of the precomputed volume at `url`, at mip 0.

    Positions are read chunk by chunk, in a box around those of each.

    Args:
      url: the volume.
      chunk_size: voxels of a chunk along x, y and z.
      positions: in the volume's own coordinates, with its offset, shape (n, 3).

    Returns:
      Labels, shape (n,), uint64; 0 where a block is not stored.

    Raises:
      ConfigError: when a position is outside the volume.
      FileError: when voxels are there but cannot be read.
    """
    from cloudvolume import Bbox, CloudVolume  # slow

    found = np.zeros(len(positions), np.uint64)
    if not len(positions):
        return found
    try:
        volume = CloudVolume(url, mip=0, progress=False, fill_missing=True)
        begin, end = np.array(volume.bounds.minpt), np.array(volume.bounds.maxpt)
    except Exception as error:  # every protocol has its own
        raise FileError(f"{url}: {first_line(error)}") from error
    outside = np.flatnonzero(((positions < begin) | (positions >= end)).any(axis=1))
    if outside.size:
        raise ConfigError(
            f"position {positions[outside[0]].tolist()}: expected one within {begin.tolist()} to "
            f"{end.tolist()} of {url}"
        )
    chunks, chunk_of = np.unique((positions - begin) // chunk_size, axis=0, return_inverse=True)
    for number in range(len(chunks)):
        at = np.flatnonzero(chunk_of.reshape(-1) == number)
        low, high = positions[at].min(axis=0), positions[at].max(axis=0) + 1
        try:
            labels = np.asarray(volume.download(Bbox(low, high), mip=0))[..., 0]
        except Exception as error:
            raise FileError(f"{url}: {first_line(error)}") from error
        found[at] = labels[tuple((positions[at] - low).T)]
    return found
