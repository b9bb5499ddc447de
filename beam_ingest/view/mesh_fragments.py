"""The meshes of a graph, for many threads at once."""

from __future__ import annotations

import logging
import threading

from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.fragments import Meshes, fragments_of, open_meshes, supposed_fragments_of
from beam_ingest.reader import GraphReader

_LOG = logging.getLogger(__name__)


class ServedMeshes:
    """What manifests are made of.

    Args:
      meshes: the meshes.

    Attributes:
      max_layer: the highest layer whose nodes have meshes.
    """

    def __init__(self, meshes: Meshes) -> None:
        self.max_layer = meshes.max_layer
        self._reader = meshes.reader
        self._lock = threading.Lock()

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
            return supposed_fragments_of(graph, self._reader, node, start_layer)
        with self._lock:
            return fragments_of(graph, self._reader, node, start_layer)


def find_meshes(watershed: str, grid: ChunkGrid) -> ServedMeshes | None:
    """The meshes of the graph, beside its watershed; None if there are none that a manifest can name.

    Raises:
      FileError: when the watershed cannot be read.
    """
    try:
        found = open_meshes(watershed, grid)
    except ConfigError as error:
        _LOG.warning("%s; the graph is served without meshes", error)
        return None
    return found and ServedMeshes(found)
