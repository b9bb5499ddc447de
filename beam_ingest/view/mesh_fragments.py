"""The meshes of a graph, for many threads at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.fragments import Meshes, fragments_of, open_meshes, supposed_fragments_of
from beam_ingest.meshes.meta_row import MetaRowError, meshes_in, read_meta
from beam_ingest.meshes.outputs import watershed_keys
from beam_ingest.meshes.quantisation import largest_bin
from beam_ingest.reader import GraphReader
from beam_ingest.stores import Store

_LOG = logging.getLogger(__name__)


class ServedMeshes:
    """What manifests are made of.

    Args:
      meshes: the meshes.
      dynamic: the folder of meshes that servers make.

    Attributes:
      max_layer: the highest layer whose nodes have meshes.
    """

    def __init__(self, meshes: Meshes, dynamic: str) -> None:
        self.max_layer = meshes.max_layer
        self._meshes = meshes
        self._dynamic = dynamic
        self._lock = threading.Lock()

    def keys(self, resolutions: list[Sequence[float]]) -> dict[str, object]:
        """What clients find of them in the watershed's info.

        Args:
          resolutions: the size of a voxel at each level of the watershed, in nanometres.
        """
        size = largest_bin(resolutions[self._meshes.mip])
        return watershed_keys(self._meshes.dir, size, self._dynamic, self.max_layer)

    def fragments(
        self, graph: GraphReader, node: int, start_layer: int, verify: bool
    ) -> list[tuple[int, str]]:
        """The highest nodes with a mesh below a node, and where these are.

        Args:
          graph: reads the graph.
          node: of layer 2 or above.
          start_layer: nodes above this layer are left out.
          verify: whether each is looked for; raises as `fragments_of` and `supposed_fragments_of`.
        """
        if not verify:
            return supposed_fragments_of(graph, self._meshes.reader, node, start_layer)
        with self._lock:
            return fragments_of(graph, self._meshes.reader, node, start_layer)


def find_meshes(graph: Store, watershed: str, grid: ChunkGrid) -> ServedMeshes | None:
    """The meshes that the graph's meta row names; None if there are none that a manifest can name.

    The watershed's info is not asked: it may name meshes of another graph, or of one that was replaced.

    Args:
      graph: the graph's table.
      watershed: URL of the volume.
      grid: the graph's chunk grid.

    Raises:
      FileError: when the watershed cannot be read.
    """
    try:
        told = meshes_in(read_meta(graph).value)
        if not told:
            return None
        found = open_meshes(watershed, str(told.get("dir", "")), grid)
    except (ConfigError, MetaRowError, StoreError) as error:
        _LOG.warning("%s; the graph is served without meshes", error)
        return None
    return ServedMeshes(found, str(told.get("dynamic_mesh_dir", "")))
