"""What meshing reads from a graph: nodes of supervoxels, ancestors, and parts of nodes."""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import Ids, Indices
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates
from beam_ingest.meshes.labels import Members, meeting_layer, others_in
from beam_ingest.reader import GraphReader, Groups
from beam_ingest.stages.finished import read_chunk_nodes
from beam_ingest.stores import Store


def read_members(store: Store, graph: GraphReader, coords: Coordinates, supervoxels: Ids) -> Members:
    """What the graph says about the supervoxels of a layer-2 chunk's box.

    Args:
      store: where the graph is.
      graph: its reader.
      coords: the chunk.
      supervoxels: labels of the box, shape (n,).

    Raises:
      StoreError: when the graph cannot be read.
    """
    own, parents = read_chunk_nodes(store, graph.grid, coords)
    nodes = np.unique(parents)
    layer = meeting_layer(graph.grid, coords)
    others = others_in(graph.grid, coords, supervoxels)
    above = graph.parents(others, missing="zero")  # those that touch nothing are in no graph
    tops = ancestors(graph, np.append(nodes, above), layer)
    return Members(nodes, tops[: nodes.size], own, parents, others, tops[nodes.size :])


def ancestors(graph: GraphReader, nodes: Ids, layer: int) -> Ids:
    """The highest ancestor of each node that is not above `layer`, shape (n,), itself if it has none.

    Args:
      graph: its reader.
      nodes: ids, shape (n,); 0 stays 0.
      layer: any layer.
    """
    tops, inverse = np.unique(nodes, return_inverse=True)
    climbing = np.flatnonzero(tops)
    while climbing.size:
        parents = graph.parents(tops[climbing], missing="zero")
        below = (parents != 0) & (graph.grid.layers(parents) <= layer)
        climbing = climbing[below]
        tops[climbing] = parents[below]
    return tops[inverse.reshape(-1)]


def nodes_of_several(graph: GraphReader, layer: int, coords: Coordinates) -> Ids:
    """The nodes of a chunk with several children, shape (n,), ascending: those with meshes of their own.

    Args:
      graph: its reader.
      layer: of the chunk, above 2.
      coords: the chunk.

    Raises:
      StoreError: when the graph cannot be read.
    """
    batches = graph.nodes(layer, coords)
    several = [nodes[np.diff(graph.children(nodes).offsets) > 1] for nodes in batches]
    return np.concatenate([np.empty(0, np.uint64), *several])


def parts_of(graph: GraphReader, nodes: Ids) -> Groups:
    """What the mesh of each node, shape (n,), is made of.

    Its children, each replaced by its first descendant with several children, or of layer 2.

    Raises:
      NodeNotFoundError: when the graph lacks one of the nodes.
      StoreError: when the graph cannot be read.
    """
    children = graph.children(nodes)
    return Groups(meshed(graph, children.values), children.offsets)


def meshed(graph: GraphReader, nodes: Ids) -> Ids:
    """Of each node, shape (n,), itself or its first descendant that has several children or is of layer 2."""
    values, inverse = np.unique(nodes, return_inverse=True)
    falling: Indices = np.flatnonzero(graph.grid.layers(values) > ATOMIC_LAYER)
    while falling.size:
        below = graph.children(values[falling])
        only = np.diff(below.offsets) == 1
        falling = falling[only]
        values[falling] = below.values[below.offsets[:-1][only]]
        falling = falling[graph.grid.layers(values[falling]) > ATOMIC_LAYER]
    return values[inverse.reshape(-1)]
