"""The meshes that an object is shown by: what a manifest lists.

with open_graph("sample/dataset.yml", "sample_graph") as graph:
    meshes = open_meshes(watershed, "graphene_meshes", graph.grid)
    for node, place in fragments_of(graph, meshes.reader, root, meshes.max_layer):
        print(node, place)
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.errors import ConfigError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.meshes.config import INITIAL
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.shards import MOST_MINISHARD_BITS
from beam_ingest.meshes.tree import meshed
from beam_ingest.reader import GraphReader


class Meshes(NamedTuple):
    """The meshes of a graph.

    Attributes:
      reader: finds and reads them.
      dir: their folder within the watershed's.
      mip: the level of the watershed that was meshed.
      max_layer: the highest layer whose nodes have meshes.
    """

    reader: MeshReader
    dir: str
    mip: int
    max_layer: int


def open_meshes(watershed: str, name: str, grid: ChunkGrid) -> Meshes:
    """The meshes in a folder of a watershed.

    Args:
      watershed: URL of the volume.
      name: the folder, which the graph's meta row names.
      grid: the graph's chunk grid.

    Raises:
      ConfigError: when there are none as this program, or PyChunkedGraph, writes them.
      FileError: when a file cannot be read.
    """
    folder = Folder(f"{watershed}/{name}")
    (content,) = folder.read(["info"])
    try:
        info = json.loads(content or b"")
        bits = {int(layer): int(spec["minishard_bits"]) for layer, spec in info["sharding"].items()}
        mip, top = int(info["mip"]), max(bits)
        sound = bits.keys() >= set(range(ATOMIC_LAYER, top + 1)) and mip >= 0
        sound &= all(0 <= value <= MOST_MINISHARD_BITS for value in bits.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise ConfigError(f"{folder.path('info')}: expected the info of sharded meshes, found none")
    return Meshes(MeshReader(f"{watershed}/{name}/{INITIAL}", grid, bits), name, mip, top)


def fragments_of(
    graph: GraphReader, meshes: MeshReader, node: int, start_layer: int
) -> list[tuple[int, str]]:
    """The highest nodes with a mesh that a node consists of, itself if it has one, and where those are.

    Args:
      graph: reads the graph.
      meshes: reads its meshes.
      node: of layer 2 or above.
      start_layer: nodes above this layer are left out: the highest with meshes, or less for smaller parts.

    Returns:
      Nodes and places (`Location.fragment`), by node id. Nodes without a surface have none.

    Raises:
      NodeNotFoundError: when the graph does not have the node.
      ShardError: when a shard file is absent or damaged.
      FileError: when one cannot be read.
      StoreError: when the graph cannot be read.
    """
    found: list[tuple[int, str]] = []
    waiting = np.array([node], np.uint64)
    while waiting.size:
        low, high = _highest(graph, waiting, start_layer)
        places = meshes.locate(low)
        pairs = zip(low.tolist(), places, strict=True)
        found += [(each, place.fragment) for each, place in pairs if place is not None]
        without = low[np.array([place is None for place in places], bool)]
        waiting = graph.children(np.append(high, without[graph.grid.layers(without) > ATOMIC_LAYER])).values
    return sorted(found)


def supposed_fragments_of(
    graph: GraphReader, meshes: MeshReader, node: int, start_layer: int
) -> list[tuple[int, str]]:
    """The same from the graph alone: nodes that should have a mesh, and where it should be.

    No file is read, which is faster. A node without a surface is among them, though it has no mesh.

    Args:
      graph: reads the graph.
      meshes: knows where meshes are.
      node: of layer 2 or above.
      start_layer: as for `fragments_of`.

    Returns:
      Nodes and places (`MeshReader.supposed`), by node id.

    Raises:
      NodeNotFoundError: when the graph does not have the node.
      StoreError: when the graph cannot be read.
    """
    nodes, waiting = [np.empty(0, np.uint64)], np.array([node], np.uint64)
    while waiting.size:
        low, high = _highest(graph, waiting, start_layer)
        nodes.append(low)
        waiting = graph.children(high).values
    every = np.sort(np.concatenate(nodes))
    return list(zip(every.tolist(), meshes.supposed(every), strict=True))


def _highest(graph: GraphReader, nodes: Ids, start_layer: int) -> tuple[Ids, Ids]:
    """What nodes up to a layer are shown by, and those above it."""
    low = graph.grid.layers(nodes) <= start_layer
    return meshed(graph, nodes[low]), nodes[~low]
