"""What is shown first: Neuroglancer's state, in which the largest objects are selected and centred."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import Coordinates
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.view.answers import data_url
from beam_ingest.view.graph_info import Served, volume_of
from beam_ingest.view.hierarchy import Hierarchy, UnknownNodeError
from beam_ingest.view.objects import Objects, count_objects, middle_voxel, spread_chunks
from beam_ingest.view.palette import OBJECTS

Position: TypeAlias = tuple[float, float, float]
GRAPH_LAYER, SUPERVOXEL_LAYER, IMAGE_LAYER = "objects", "supervoxels", "image"
"""Names of the layers."""
_SAMPLE = 64
"""Chunks that are looked at to find the largest objects: some tenths of a second."""
_MOST_SCALE = 3.0
"""Voxels a pixel of the screen up to which Neuroglancer asks for the supervoxels of objects: it is 4.5."""
_PANEL_PIXELS = 300
"""A little less than the side of one of four panels."""
_OVER_IMAGE = 0.4
_ASLANT = (-0.3, 0.2, 0.05, 0.93)
"""A rotation, as a quaternion, in which the volume is seen from a corner."""


def find_largest(tree: Hierarchy) -> Objects:
    """The objects of a graph, the largest first; of a large graph, those in a sample of its chunks."""
    with tree.reader() as reader:
        return count_objects(reader, spread_chunks(tree.grid, _SAMPLE))


def find_centre(served: Served, tree: Hierarchy, root: int, chunk: Coordinates) -> Position:
    """A position in the middle of an object's part in one chunk, in voxels.

    Args:
      served: the graph.
      tree: its nodes.
      root: the object.
      chunk: the chunk.

    Raises:
      ConfigError: when there is no watershed at mip 0.
      FileError: when its voxels cannot be had.
      InputError: when they are damaged.
      UndecodableError: when a package that decodes them is not installed.
    """
    low = np.array(chunk) * served.chunk_size
    size = np.minimum(served.chunk_size, np.array(served.voxels) - low)
    ids = WatershedVoxels(served.watershed).read(chunk, low, size).ids
    labels, inverse = np.unique(ids, return_inverse=True)
    mine = (tree.roots(labels) == np.uint64(root))[inverse].reshape(ids.shape)
    middle = middle_voxel(mine) if mine.any() else tuple((size // 2).tolist())
    x, y, z = (np.array(served.origin) + low + middle + 0.5).tolist()
    return (x, y, z)


def middle_of(served: Served) -> Position:
    """The middle of the volume, in voxels."""
    x, y, z = (o + n / 2 for o, n in zip(served.origin, served.voxels, strict=True))
    return (x, y, z)


def check_position(served: Served, position: Position) -> None:
    """Raise a `ConfigError` for a place, in voxels, that is not in the volume."""
    ends = [(origin, origin + voxels) for origin, voxels in zip(served.origin, served.voxels, strict=True)]
    if not all(low <= at <= high for at, (low, high) in zip(position, ends, strict=True)):
        found = ", ".join(f"{at:g}" for at in position)
        expected = ", ".join(f"{low} to {high}" for low, high in ends)
        raise ConfigError(f"--position: expected x, y, z in {expected}, found {found}")


def selected(tree: Hierarchy, nodes: Sequence[int]) -> Ids:
    """The roots of nodes that are asked for by name.

    Raises:
      UnknownNodeError: when the graph does not have one of them.
    """
    roots = tree.roots(np.array(nodes, np.uint64))
    for node, root in zip(nodes, roots.tolist(), strict=True):
        if not root:
            raise UnknownNodeError(node)
    return roots


def make_scene(served: Served, url: str, roots: Ids, position: Position) -> dict[str, Any]:
    """Neuroglancer's state.

    Args:
      served: the graph.
      url: scheme, host and port of its server.
      roots: the selected objects.
      position: what is in the middle, in voxels.
    """
    resolution = np.array(served.resolution)
    extent = np.array(served.voxels) * resolution / resolution.min()
    scale = min(_MOST_SCALE, float(extent[:2].max()) / _PANEL_PIXELS)
    base = f"{url}/segmentation/table/{served.graph_id}"
    ids = [str(root) for root in roots.tolist()]
    layers: list[dict[str, Any]] = [
        {
            "type": "segmentation",
            "name": SUPERVOXEL_LAYER,
            "source": f"precomputed://{data_url(url, served.graph_id, served.watershed)}",
            "visible": False,
        },
        {
            "type": "segmentation",
            "name": GRAPH_LAYER,
            "source": f"graphene://{base}",
            "segments": ids,
            "segmentColors": dict(zip(ids, OBJECTS, strict=False)),  # others have Neuroglancer's
            "selectedAlpha": _OVER_IMAGE if served.image else 1,
            "tab": "segments",
        },
    ]
    if served.image:
        kind, place = volume_of(served.image)
        source = f"{kind}://{data_url(url, served.graph_id, place, IMAGE_LAYER)}"
        layers.insert(0, {"type": "image", "name": IMAGE_LAYER, "source": source})
    # Meshes are seen in a panel of their own; elsewhere sections stand for them.
    layout: dict[str, Any] = {"layout": "4panel", "projectionScale": float(extent.max()) * 1.2}
    if served.meshes is not None:
        layout = {
            "layout": "xy-3d",
            "projectionScale": float(extent.max()) * 1.6,
            "projectionOrientation": list(_ASLANT),
            "showSlices": False,
        }
    return {
        "dimensions": {axis: [n * 1e-9, "m"] for axis, n in zip("xyz", served.resolution, strict=True)},
        "position": list(position),
        "crossSectionScale": scale,
        "crossSectionBackgroundColor": "#000000",
        "layers": layers,
        "selectedLayer": {"layer": GRAPH_LAYER, "visible": True},
        **layout,
    }
