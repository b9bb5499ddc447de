"""The watershed volume: how large it is, and so how many chunks there are.

Only its ``info`` is read (precomputed format, mip 0): no voxel is needed to build a graph.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.graphene import ChunkGrid
from beam_ingest.inputs.files import Folder


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
        scale = json.loads(data)["scales"][0]
        return Watershed(_triple(scale["size"]), _triple(scale["resolution"]))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigError(
            f"{where}: expected a precomputed info with scales[0].size and .resolution, "
            f"found {type(error).__name__}: {error}"
        ) from None


def _triple(values: Any) -> Any:
    x, y, z = values
    if not all(isinstance(n, int | float) and n > 0 for n in (x, y, z)):
        raise ValueError(f"not three numbers above 0: {values}")
    return (x, y, z)


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
