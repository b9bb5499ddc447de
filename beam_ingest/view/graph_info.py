"""The ``info`` of a graph, as PyChunkedGraph serves it, and what else requests need to know of a graph.

Source of the keys: pychunkedgraph/graph/meta.py (``dataset_info``) and app/segmentation/common.py
(``handle_info``), 3.1.7; cloud-volume's datasource/graphene/metadata.py reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import Folder, local_path
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Coordinates
from beam_ingest.view.mesh_fragments import ServedMeshes

_MESH_KEYS = ("mesh", "mesh_metadata")
API_VERSIONS = (0, 1)
"""Versions of PyChunkedGraph's API that are answered."""


@dataclass(frozen=True)
class Served:
    """A graph that is served.

    Attributes:
      graph_id: its name, the table of PyChunkedGraph's URLs.
      grid: its chunk grid.
      chunk_size: voxels of a layer-2 chunk.
      origin: first voxel of the watershed, where the chunk grid begins.
      info: the answer to ``info``, without ``data_dir``.
      built: the timestamp of the graph's cells, microseconds since 1970.
      watershed: URL of the watershed.
      image: URL of the volume of images, or None.
      meshes: the graph's meshes, or None.
    """

    graph_id: str
    grid: ChunkGrid
    chunk_size: Coordinates
    origin: Coordinates
    info: Mapping[str, Any]
    built: int
    watershed: str
    image: str | None = None
    meshes: ServedMeshes | None = None

    @property
    def voxels(self) -> Coordinates:
        """Voxels of the watershed along x, y and z."""
        x, y, z = self.info["scales"][0]["size"]
        return (x, y, z)

    @property
    def resolution(self) -> tuple[float, float, float]:
        """Size of a voxel along x, y and z, in nanometres."""
        x, y, z = self.info["scales"][0]["resolution"]
        return (x, y, z)


def describe(
    graph_id: str,
    dataset: Dataset,
    grid: ChunkGrid,
    built: int,
    image: str | None,
    meshes: ServedMeshes | None,
) -> Served:
    """What is served of a graph.

    Args:
      graph_id: the graph.
      dataset: the dataset file as the graph was begun with it.
      grid: the chunk grid.
      built: timestamp of the graph's cells, microseconds.
      image: URL of the volume of images, or None.
      meshes: the graph's meshes, or None.

    Raises:
      ConfigError: when the watershed has no info.
      FileError: when it cannot be read.
    """
    watershed = read_info(dataset.watershed)
    scale = watershed["scales"][0]
    x, y, z = scale.get("voxel_offset", (0, 0, 0))
    # Those of another graph, perhaps: clients would ask for them.
    watershed = {key: value for key, value in watershed.items() if key not in _MESH_KEYS}
    if meshes is not None:
        watershed |= meshes.keys([each["resolution"] for each in watershed["scales"]])
    layers = range(SUPERVOXEL_LAYER, grid.root_layer + 1)
    graph = {
        "chunk_size": list(dataset.chunk_size),
        "bounding_box": scale["size"],
        "n_bits_for_layer_id": grid.layer_id_bits,
        "cv_mip": dataset.cv_mip,
        "n_layers": grid.layer_count,
        "spatial_bit_masks": {str(layer): grid.axis_bits(layer) for layer in layers},
    }
    ours = {
        "app": {"supported_api_versions": list(API_VERSIONS)},
        "chunks_start_at_voxel_offset": True,
        "graph": graph,
        "sharded_mesh": True,
        "verify_mesh": meshes is not None,
    }
    return Served(
        graph_id=graph_id,
        grid=grid,
        chunk_size=dataset.chunk_size,
        origin=(x, y, z),
        info={**watershed, **ours},
        built=built,
        watershed=dataset.watershed,
        image=image,
        meshes=meshes,
    )


def read_info(url: str) -> dict[str, Any]:
    """The ``info`` of a precomputed volume.

    Raises:
      ConfigError: when there is none, or it is none of a volume.
      FileError: when it cannot be read.
    """
    folder = Folder(url)
    (content,) = folder.read(["info"])
    if content is None:
        raise ConfigError(f"{folder.path('info')}: no such file; expected that of a precomputed volume")
    try:
        info = json.loads(content)
        scale = info["scales"][0]
        _ = scale["size"], scale["resolution"], scale["key"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ConfigError(f"{folder.path('info')}: expected the info of a precomputed volume") from None
    return dict(info)


def volume_of(url: str) -> tuple[str, str]:
    """Format and place of a resolved volume, as Neuroglancer names them: ``precomputed`` unless it says so.

    >>> volume_of("zarr://file:///data/em"), volume_of("gs://bucket/em")
    (('zarr', 'file:///data/em'), ('precomputed', 'gs://bucket/em'))
    """
    kind, _, place = url.partition("://")
    return (kind, place) if "://" in place else ("precomputed", url)


def folder_on_disk(url: str) -> Path | None:
    """The folder of a volume on this machine; None if it is elsewhere."""
    path = local_path(volume_of(url)[1])
    return None if path is None else Path(path)
