"""Reading volumes: what they look like, and the voxels of a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.dataset import Dataset, Volumes
from beam_ingest.errors import ConfigError, InputError
from beam_ingest.files import first_line
from beam_ingest.format.grid import Coordinates, chunk_name
from beam_ingest.inputs.stored_voxels import Stored, stored_size
from beam_ingest.inputs.voxels import unreadable_voxels
from beam_ingest.volumes.array_formats import AbsentBlockError, ArrayVolume, array_format
from beam_ingest.volumes.contacts import Affinities, Labels
from beam_ingest.volumes.tables import is_table

Triple: TypeAlias = tuple[int, int, int]
Box: TypeAlias = tuple[Triple, Triple]
"""Where a box of voxels begins and ends, in the volume's coordinates."""


@dataclass(frozen=True)
class Extent:
    """Where the voxels are.

    Attributes:
      size: voxels along x, y and z.
      offset: where the volume begins, in voxels.
      resolution: size of a voxel in nanometres.
    """

    size: Triple
    offset: Triple
    resolution: tuple[float, float, float]


def volumes_of(dataset: Dataset) -> Volumes:
    """The section ``volumes``.

    Raises:
      ConfigError: when there is none.
    """
    if dataset.volumes is None:
        raise ConfigError(
            f"{dataset.path}: the section volumes is missing: it names SUPERVOXELS, and SEGMENTATION or "
            "EQUIVALENCES, which prepare reads"
        )
    return dataset.volumes


def read_extent(dataset: Dataset) -> Extent:
    """Look at all volumes of a dataset; no voxel is read.

    Raises:
      ConfigError: when one cannot be opened, holds something else, or is not where the supervoxels are.
    """
    volumes = volumes_of(dataset)
    supervoxels = _open(dataset, "SUPERVOXELS", volumes.supervoxels, volumes.mip)
    _check_labels(dataset, "SUPERVOXELS", supervoxels)
    extent = _extent(supervoxels)
    if volumes.segmentation and not is_table(volumes.segmentation):
        segmentation = _segmentation(dataset, volumes.segmentation, extent)
        _check_labels(dataset, "SEGMENTATION", segmentation)
        _check_place(dataset, "SEGMENTATION", segmentation, extent)
    if volumes.affinities:
        affinities = _open(dataset, "AFFINITIES", volumes.affinities, volumes.mip)
        found = f"{affinities.num_channels} channels of {affinities.dtype}"
        if affinities.num_channels != 3 or str(affinities.dtype) not in ("float32", "uint8"):
            raise _wrong(dataset, "AFFINITIES", "3 channels of float32 or uint8", found)
        _check_place(dataset, "AFFINITIES", affinities, extent)
    return extent


def _segmentation(dataset: Dataset, url: str, extent: Extent) -> Any:
    """The segmentation at the level that has the supervoxels' resolution; at its first if none has."""
    volume = _open(dataset, "SEGMENTATION", url, 0)
    for mip in volume.available_mips:
        if tuple(map(float, volume.mip_resolution(mip))) == extent.resolution:
            return _open(dataset, "SEGMENTATION", url, mip)
    return volume


def _open(dataset: Dataset, key: str, url: str, mip: int) -> Any:
    from cloudvolume import CloudVolume  # slow

    fill = volumes_of(dataset).fill_missing
    try:
        if array_format(url):
            return ArrayVolume(url, mip, fill)
        return CloudVolume(url, mip=mip, progress=False, fill_missing=fill, bounded=True)
    except Exception as error:  # every format has its own
        raise ConfigError(
            f"{dataset.path}: volumes.{key}: expected a volume with mip {mip} at {url}, found an error: "
            f"{first_line(error)}"
        ) from error


def _wrong(dataset: Dataset, key: str, expected: str, found: str) -> ConfigError:
    return ConfigError(f"{dataset.path}: volumes.{key}: expected {expected}, found {found}")


def _extent(volume: Any) -> Extent:
    size, offset = map(int, volume.volume_size), map(int, volume.voxel_offset)
    return Extent(_triple(size), _triple(offset), _triple(map(float, volume.resolution)))


def _triple(values: Any) -> Any:
    return tuple(values)


def _check_labels(dataset: Dataset, key: str, volume: Any) -> None:
    dtype = np.dtype(volume.dtype)
    if dtype.kind != "u" or volume.num_channels != 1:
        found = f"{volume.num_channels} of {dtype}"
        raise _wrong(dataset, key, "one channel of unsigned integers", found)


def _check_place(dataset: Dataset, key: str, volume: Any, extent: Extent) -> None:
    found = _extent(volume)
    for name, what in (("size", "voxels"), ("offset", "as voxel_offset"), ("resolution", "nm a voxel")):
        ours, theirs = getattr(extent, name), getattr(found, name)
        if ours != theirs:
            asked = f"{list(ours)} {what}, as SUPERVOXELS have at mip {volumes_of(dataset).mip}"
            raise _wrong(dataset, key, asked, f"{list(theirs)} in {volume.cloudpath}")


class VolumeReader:
    """Reads the voxels of chunks.

    Args:
      dataset: names the volumes, which `read_extent` accepted.
      extent: what that gave.
    """

    def __init__(self, dataset: Dataset, extent: Extent) -> None:
        volumes = volumes_of(dataset)
        self._size = dataset.chunk_size
        self._extent = extent
        self._supervoxels = _open(dataset, "SUPERVOXELS", volumes.supervoxels, volumes.mip)
        self._segmentation = self._affinities = None
        if volumes.segmentation and not is_table(volumes.segmentation):
            self._segmentation = _segmentation(dataset, volumes.segmentation, extent)
        if volumes.affinities:
            self._affinities = _open(dataset, "AFFINITIES", volumes.affinities, volumes.mip)

    def box(self, coords: Coordinates) -> Box:
        """Where a chunk begins and ends, in the volume's coordinates; partial at the end of the volume."""
        low = [o + c * s for o, c, s in zip(self._extent.offset, coords, self._size, strict=True)]
        end = [o + n for o, n in zip(self._extent.offset, self._extent.size, strict=True)]
        return _triple(low), _triple(min(a + s, b) for a, s, b in zip(low, self._size, end, strict=True))

    def supervoxels(self, coords: Coordinates, box: Box | None = None) -> Labels:
        """The source labels of a chunk, or a box of it, shape (x, y, z), in Fortran order."""
        return self._read(self._supervoxels, coords, box)[..., 0]

    def stored(self, coords: Coordinates) -> list[Stored]:
        """How the voxels of a chunk are stored in each volume that is read.

        Raises:
          FileError: when the storage cannot be asked.
        """
        volumes = [self._supervoxels, self._segmentation, self._affinities]
        return [stored_size(volume, *self.box(coords)) for volume in volumes if volume is not None]

    def sample(self, low: Triple, high: Triple) -> Labels:
        """The source labels of a box in the volume's coordinates."""
        return self._read(self._supervoxels, (0, 0, 0), (low, high))[..., 0]

    def segmentation(self, coords: Coordinates, box: Box | None = None) -> Labels | None:
        """The agglomerated labels of a chunk, or a box of it; None when they are in no volume."""
        return None if self._segmentation is None else self._read(self._segmentation, coords, box)[..., 0]

    def affinities(self, coords: Coordinates, box: Box | None = None) -> Affinities | None:
        """The affinities of a chunk, or a box of it, shape (x, y, z, 3); None when there are none.

        Raises:
          InputError: when one of them is no number.
        """
        if self._affinities is None:
            return None
        found = self._read(self._affinities, coords, box)
        wrong = np.argwhere(np.isnan(found))  # none in integers
        if len(wrong):
            low, _ = box or self.box(coords)
            at = [int(a + b) for a, b in zip(low, wrong[0][:3], strict=True)]
            raise InputError(
                self._affinities.cloudpath,
                chunk_name(coords),
                "affinities that are numbers",
                f"NaN at {len(wrong)} places, such as voxel {at}",
                "write the volume again",
            )
        return found

    def _read(self, volume: Any, coords: Coordinates, box: Box | None = None) -> npt.NDArray[Any]:
        from cloudvolume import Bbox
        from cloudvolume.exceptions import EmptyVolumeException

        low, high = box or self.box(coords)
        try:
            return np.asfortranarray(volume.download(Bbox(low, high)))
        except (EmptyVolumeException, AbsentBlockError) as error:
            raise InputError(
                volume.cloudpath,
                chunk_name(coords),
                "every block of the volume stored",
                f"none at {first_line(error)}",
                "write the missing blocks, or say that they are background with volumes.FILL_MISSING: true",
            ) from None
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # every protocol and every format has its own
            raise unreadable_voxels(volume.cloudpath, coords, error) from error
