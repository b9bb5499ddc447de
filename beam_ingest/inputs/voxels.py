"""Reading boxes of voxels of the watershed, at any mip level; outside the volume is background."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.errors import ConfigError, InputError
from beam_ingest.files import FileError, Folder, first_line
from beam_ingest.format.grid import Coordinates, chunk_name
from beam_ingest.inputs.stored_voxels import Stored, stored_size
from beam_ingest.inputs.watershed import UndecodableError

Triple: TypeAlias = tuple[int, int, int]
_CLIENTS = ("boto3", "botocore", "google", "requests", "tenacity", "urllib3")
"""Packages that talk to servers for cloud-files, with errors of their own."""


class Voxels(NamedTuple):
    """The voxels of a box.

    Attributes:
      ids: supervoxel of each, shape (x, y, z), uint64, in Fortran order; 0 is background.
      stored: whether all blocks of the volume that the box touches are stored; others are background.
    """

    ids: npt.NDArray[np.uint64]
    stored: bool


class WatershedVoxels:
    """The watershed at one mip level. Not for several threads at once.

    Args:
      url: the precomputed volume.
      mip: the level.

    Attributes:
      size: voxels along x, y and z.
      offset: where the volume begins, in voxels of this level.
      resolution: size of a voxel in nanometres.
      factor: voxels of mip 0 in one of this level, along x, y and z.

    Raises:
      ConfigError: when there is no such volume or level.
      FileError: when it cannot be asked for.
    """

    def __init__(self, url: str, mip: int = 0) -> None:
        from cloudvolume import CloudVolume  # slow

        try:
            self._volume: Any = CloudVolume(url, mip=mip, progress=False, bounded=True)
        except ImportError:
            raise
        except Exception as error:  # every protocol and every format has its own
            if not Folder(url).is_local and is_of_network(error):
                raise FileError(f"{url}: {first_line(error)}") from error
            raise ConfigError(
                f"{url}: expected a volume with mip {mip}, found an error: {first_line(error)}"
            ) from error
        self._url = url
        self._mip = mip
        self.size = _triple(self._volume.volume_size)
        self.offset = _triple(self._volume.voxel_offset)
        x, y, z = map(float, self._volume.resolution)
        self.resolution = (x, y, z)
        self.factor = _triple(self._volume.downsample_ratio)

    def chunk_size(self, chunk_size: Triple) -> Triple:
        """Voxels of a chunk at this level.

        Args:
          chunk_size: voxels of it at mip 0 (``graph_config.CHUNK_SIZE``).

        Raises:
          ConfigError: when they are no whole number.
        """
        if any(n % f for n, f in zip(chunk_size, self.factor, strict=True)):
            raise ConfigError(
                f"{self._url}: mip {self._mip}: expected a level whose voxels divide chunks of "
                f"{list(chunk_size)}, found voxels of {list(self.factor)} of mip 0"
            )
        return _triple(n // f for n, f in zip(chunk_size, self.factor, strict=True))

    def stored(self, low: npt.ArrayLike, shape: npt.ArrayLike) -> Stored:
        """How a box, as of `read`, is stored; raises FileError when that cannot be asked."""
        first, last = self._bounds(low, shape)
        return stored_size(self._volume, first + self.offset, last + self.offset)

    def _bounds(
        self, low: npt.ArrayLike, shape: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The part of a box that is in the volume."""
        begin = np.asarray(low, np.int64)
        return np.maximum(begin, 0), np.minimum(begin + np.asarray(shape, np.int64), self.size)

    def read(self, chunk: Coordinates, low: npt.ArrayLike, shape: npt.ArrayLike) -> Voxels:
        """The voxels of a box; outside the volume they are background.

        Args:
          chunk: the chunk they are read for, for messages.
          low: the lowest corner, in voxels of this level from the volume's own beginning, shape (3,).
          shape: voxels along x, y and z.

        Raises:
          InputError: when voxels are there but cannot be read.
          FileError: when a server does not give them; it may later.
          UndecodableError: when a package that decodes them is not installed.
        """
        from cloudvolume import Bbox
        from cloudvolume.exceptions import EmptyVolumeException

        begin, extent = np.asarray(low, np.int64), np.asarray(shape, np.int64)
        first, last = self._bounds(low, shape)
        if (first >= last).any():
            return Voxels(np.zeros(extent, np.uint64, order="F"), True)
        box = Bbox(first + self.offset, last + self.offset)
        stored = True
        try:
            try:
                found = self._volume.download(box)
            except EmptyVolumeException:
                stored = False
                self._volume.fill_missing = True
                try:
                    found = self._volume.download(box)
                finally:
                    self._volume.fill_missing = False
        except MemoryError:
            raise
        except ImportError as error:
            raise UndecodableError(f"{self._url}: {first_line(error)}") from error
        except Exception as error:  # every protocol and every format has its own
            raise unreadable_voxels(self._url, chunk, error) from error
        labels = np.asarray(found)[..., 0]
        if labels.shape == tuple(extent):
            return Voxels(np.asarray(labels, np.uint64, order="F"), stored)
        ids: Ids = np.zeros(extent, np.uint64, order="F")
        x, y, z = (slice(a, b) for a, b in zip(first - begin, last - begin, strict=True))
        ids[x, y, z] = labels
        return Voxels(ids, stored)


def is_of_network(error: BaseException) -> bool:
    """Whether an error is one of connections or servers, not of what was read: it may be gone later."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _CLIENTS


def _triple(values: Any) -> Triple:
    x, y, z = map(int, values)
    return (x, y, z)


def unreadable_voxels(url: str, coords: Coordinates, error: Exception) -> InputError | FileError:
    """What an error of a client that reads voxels is: a `FileError`, which is tried again, or bad input.

    Args:
      url: of the volume.
      coords: the chunk whose voxels were asked for.
      error: what the client raised.
    """
    if not Folder(url).is_local and is_of_network(error):
        return FileError(f"{url}: {first_line(error)}")
    return InputError(
        url,
        chunk_name(coords),
        "voxels that can be read",
        f"{type(error).__name__}: {first_line(error)}",
        "make them readable for this program"
        if isinstance(error, PermissionError)
        else "write the damaged blocks again",
    )
