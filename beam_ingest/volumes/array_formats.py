"""Zarr (2 and 3, with OME metadata) and N5: volumes that tensorstore reads.

cloud-volume opens them too, but takes the bytes of N5's labels in the wrong order, and axes of zarr in any
other order than z, y, x as if they were in that one.

Sources: https://ngff.openmicroscopy.org/0.5/, https://github.com/saalfeldlab/n5#file-system-specification
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import ConfigError
from beam_ingest.files import FileError, Folder, first_line, local_path

_UNITS = {
    "angstrom": 0.1,
    "nanometer": 1.0,
    "nm": 1.0,
    "micrometer": 1e3,
    "um": 1e3,
    "µm": 1e3,
    "millimeter": 1e6,
}
"""Nanometres of each."""
_TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN")


class AbsentBlockError(Exception):
    """A block of the volume is not stored; its message names it."""


@dataclass(frozen=True)
class _Level:
    """One resolution of a volume.

    Attributes:
      path: of its array, below the volume's place.
      axes: names of the array's axes.
      resolution: nanometres a voxel along x, y and z.
      offset: where it begins, in voxels along x, y and z.
    """

    path: str
    axes: str
    resolution: tuple[float, float, float]
    offset: tuple[int, int, int]


def array_format(url: str) -> str | None:
    """``zarr``, ``zarr2``, ``zarr3`` or ``n5`` if a resolved URL names a volume of that kind."""
    found = url.partition("://")[0]
    return found if found in ("zarr", "zarr2", "zarr3", "n5") else None


class ArrayVolume:
    """A volume, with the attributes that cloud-volume gives those that it reads.

    Args:
      url: such as ``zarr3://gs://bucket/volume``.
      mip: which of its levels.
      fill_missing: whether blocks that are not stored are background; else they are an error.

    Raises:
      ConfigError: when it is not there, or its metadata does not say where its voxels are.
      FileError: when it cannot be read for a reason that may pass.
    """

    def __init__(self, url: str, mip: int, fill_missing: bool) -> None:
        import tensorstore

        self.cloudpath = url
        self._place = url.partition("://")[2]
        kind = array_format(url) or ""
        root = _attributes(self._place, "zarr.json" if kind in ("zarr", "zarr3") else None)
        if kind == "zarr":
            kind = "zarr2" if root is None else "zarr3"
        self._levels = _n5_levels(self._place) if kind == "n5" else _ome_levels(self._place, kind)
        if not 0 <= mip < len(self._levels):
            raise ConfigError(f"expected one of its {len(self._levels)} levels")
        self._level = self._levels[mip]
        spec = {
            "driver": {"zarr2": "zarr"}.get(kind, kind),
            "kvstore": _key_value_store(f"{self._place}/{self._level.path}".rstrip("/")),
            "fill_missing_data_reads": fill_missing,
            "context": {"cache_pool": {"total_bytes_limit": 0}, "data_copy_concurrency": {"limit": 1}},
        }
        try:
            store = tensorstore.open(spec, read=True).result()
        except ValueError as error:
            raise self._told(error) from error
        axes = self._level.axes
        if store.ndim != len(axes) or not set("xyz") <= set(axes) <= set("xyzct"):
            raise ConfigError(f"expected axes x, y, z, and maybe c and t, found {axes} of {store.ndim}")
        sizes = dict(zip(axes, store.shape, strict=True))
        if sizes.get("t", 1) != 1:
            raise ConfigError(f"expected one point in time, found {sizes['t']}")
        if "t" in axes:
            store = store[tuple(0 if axis == "t" else slice(None) for axis in axes)]
            axes = axes.replace("t", "")
        store = store.transpose([axes.index(axis) for axis in "xyzc" if axis in axes])
        self._store = store if "c" in axes else store[..., tensorstore.newaxis]
        self.num_channels = int(sizes.get("c", 1))
        self.dtype = np.dtype(store.dtype.numpy_dtype)
        self.volume_size = [int(sizes[axis]) for axis in "xyz"]
        self.voxel_offset, self.resolution = self._level.offset, self._level.resolution
        self.available_mips = range(len(self._levels))

    def mip_resolution(self, mip: int) -> tuple[float, float, float]:
        """Nanometres a voxel of a level."""
        return self._levels[mip].resolution

    def download(self, box: Any) -> npt.NDArray[Any]:
        """The voxels of a box of cloud-volume's, shape (x, y, z, channels), in Fortran order.

        Raises:
          AbsentBlockError: when a block is not stored, and is not background.
          OSError: when a server does not answer.
          ValueError: when a block is damaged.
        """
        low, high = (np.array(corner) - self.voxel_offset for corner in (box.minpt, box.maxpt))
        x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        try:
            return np.asfortranarray(self._store[x, y, z].read(order="F").result())
        except ValueError as error:
            raise self._told(error) from error

    def _told(self, error: ValueError) -> Exception:
        line = first_line(error)
        if "missing" in line and ("chunk" in line or "NOT_FOUND" in line):
            return AbsentBlockError(line)
        if line.startswith(_TRANSIENT) and local_path(self._place) is None:
            return OSError(line)
        return error


def _attributes(place: str, name: str | None) -> dict[str, Any] | None:
    """A file of attributes; None if there is none."""
    if name is None:
        return None
    (content,) = Folder(place).read([name])
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{name} is no JSON object")
    return found


def _ome_levels(place: str, kind: str) -> list[_Level]:
    """The levels that OME metadata of zarr describe."""
    if kind == "zarr3":
        attributes = (_attributes(place, "zarr.json") or {}).get("attributes", {})
        attributes = attributes.get("ome", attributes)
    else:
        attributes = _attributes(place, ".zattrs") or {}
    try:
        scales = attributes["multiscales"][0]
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales["axes"]]
        names = "".join(str(axis["name"]) for axis in axes)
        units = np.array([_UNITS[axis.get("unit", "nanometer")] for axis in axes])
        levels = []
        for dataset in scales["datasets"]:
            size, begin = np.ones(len(axes)), np.zeros(len(axes))
            for each in (dataset, scales):
                for step in each.get("coordinateTransformations", []):
                    if step["type"] == "scale":
                        size, begin = size * step["scale"], begin * step["scale"]
                    elif step["type"] == "translation":
                        begin = begin + step["translation"]
                    elif step["type"] != "identity":
                        raise KeyError(step["type"])
            at = [names.index(axis) for axis in "xyz"]
            levels.append(_level(str(dataset["path"]), names, (size * units)[at], (begin / size)[at]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ConfigError(
            "expected OME metadata with multiscales that name axes x, y, z, their units and scales, "
            f"found none: {type(error).__name__} {first_line(error)}"
        ) from None
    return levels


def _n5_levels(place: str) -> list[_Level]:
    """The levels s0, s1, … of N5, or the one array."""
    root = _attributes(place, "attributes.json") or {}
    try:
        if "dimensions" in root:
            return [_level("", "xyzct"[: len(root["dimensions"])], _n5_resolution(root), np.zeros(3))]
        factors = root.get("downsamplingFactors", root.get("scales"))
        levels = []
        for number, factor in enumerate(factors or [[1, 1, 1]]):
            own = _attributes(f"{place}/s{number}", "attributes.json")
            if own is None:
                break
            axes = "xyzct"[: len(own["dimensions"])]
            resolution = _n5_resolution(root) * np.array(factor[:3], float)
            levels.append(_level(f"s{number}", axes, resolution, np.zeros(3)))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "expected attributes.json with pixelResolution or resolution, and s0, "
            f"found {type(error).__name__} {first_line(error)}"
        ) from None
    return levels


def _n5_resolution(attributes: dict[str, Any]) -> npt.NDArray[np.float64]:
    found = attributes["pixelResolution"] if "pixelResolution" in attributes else attributes["resolution"]
    if isinstance(found, dict):
        return np.array(found["dimensions"][:3], float) * _UNITS[found.get("unit", "nm")]
    return np.array(found[:3], float)


def _level(path: str, axes: str, resolution: npt.ArrayLike, begin: npt.ArrayLike) -> _Level:
    """A level of `resolution` that begins at `begin`, in voxels; coarser ones may begin between two."""
    x, y, z = (float(f"{n:.9g}") for n in np.asarray(resolution).tolist())
    i, j, k = (math.floor(n + 1e-6) for n in np.asarray(begin).tolist())
    return _Level(path, axes, (x, y, z), (i, j, k))


def _key_value_store(url: str) -> dict[str, str]:
    """What tensorstore calls the place of an array."""
    path = local_path(url)
    if path is not None:
        return {"driver": "file", "path": f"{path}/"}
    protocol, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    if protocol in ("gs", "s3"):
        return {"driver": {"gs": "gcs"}.get(protocol, protocol), "bucket": bucket, "path": f"{name}/"}
    if protocol in ("http", "https"):
        return {"driver": "http", "base_url": f"{protocol}://{bucket}", "path": f"/{name}/"}
    raise FileError(f"{url}: zarr and N5 are read from file://, gs://, s3://, http:// and https:// alone")
