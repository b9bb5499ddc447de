"""The graph that a dataset must become: every cell of every node and counter.

Nothing here works chunk by chunk on a state, as a pipeline has to. It looks at the whole dataset:

* The partition at layer L is the connected components of all supervoxels over the active edges with cross
  layer < L.
* A component, as a set of supervoxels, first appears in the partition of some layer `first`, and stays in the
  partitions up to layer `last`: the lowest cross layer among the edges that leave it, or the root layer if
  none does.
* The skip rule then says no more than this: each component has a node at layer `first`, and one at layer
  `last` whose single child is that node (when last > first). All layers between are skipped.

So the nodes are known before any id is. Until it is numbered a node goes by its name: (layer, lowest
supervoxel).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from .cells import (
    Cells,
    counter_bytes,
    counter_key,
    decompress,
    differences,
    ids_bytes,
    names,
    pairs_bytes,
    row_key,
)
from .model import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coords, Edge, Grid, OracleDataset

__all__ = ["Cells", "Component", "Graph", "build", "build_graph", "decompress", "differences", "names"]

Name: TypeAlias = tuple[int, int]
"""(layer, lowest supervoxel): names a node without its id."""

ROOT_SHARDS = 256


@dataclass(frozen=True)
class Component:
    """A connected component of supervoxels, which is in the partitions of the layers `first` .. `last`."""

    members: frozenset[int]
    first: int
    last: int

    @property
    def lowest(self) -> int:
        """The lowest supervoxel."""
        return min(self.members)


@dataclass(frozen=True)
class Graph:
    """The numbered graph.

    Attributes:
      supervoxels: every supervoxel that is in the graph.
      edges: cross layer (0 within a chunk) of every active edge; each edge is here from both sides.
      parents: parent of every supervoxel and node but the roots.
      children: children, ascending, of every node.
    """

    grid: Grid
    supervoxels: frozenset[int]
    edges: dict[Edge, int]
    parents: dict[int, int]
    children: dict[int, list[int]]

    def ancestor(self, supervoxel: int, layer: int) -> int:
        """The highest ancestor that is not above `layer`."""
        node = supervoxel
        while node in self.parents and self.grid.layer_of(self.parents[node]) <= layer:
            node = self.parents[node]
        return node


def build(dataset: OracleDataset, version: int) -> Cells:
    """The complete set of cells of nodes and counters that the graph table of `dataset` must hold.

    Args:
      dataset: the input.
      version: graph version, 2 or 3.

    Returns:
      Values as after decompression: ids are uint64 little endian, pairs of ids are sorted and unique.

    Raises:
      ValueError: when the dataset contradicts itself.
    """
    if version not in (2, 3):
        raise ValueError(f"graph version {version} is neither 2 nor 3")
    graph = build_graph(dataset)
    cells = hierarchy_cells(graph) | atomic_cross_edge_cells(graph) | counter_cells(graph, version)
    if version == 3:
        cells |= cross_edge_cells(graph)
    return cells


def build_graph(dataset: OracleDataset) -> Graph:
    """The nodes of `dataset` with their ids."""
    supervoxels, edges = read_edges(dataset)
    family = hierarchy(find_components(supervoxels, edges, dataset.grid.root_layer))
    ids = number(dataset.grid, family)
    children = {ids[name]: sorted(ids.get(child, child[1]) for child in family[name]) for name in family}
    parents = {child: node for node, below in children.items() for child in below}
    return Graph(dataset.grid, supervoxels, edges, parents, children)


def read_edges(dataset: OracleDataset) -> tuple[frozenset[int], dict[Edge, int]]:
    """The supervoxels that become nodes, and the cross layers of all active edges, each from both sides."""
    grid = dataset.grid
    supervoxels: set[int] = set()
    edges: dict[Edge, int] = {}
    for coords, chunk in dataset.chunks.items():
        component_of = {sv: i for i, component in enumerate(chunk.components) for sv in component}

        def is_active(a: int, b: int, component_of: dict[int, int] = component_of) -> bool:
            return a in component_of and b in component_of and component_of[a] == component_of[b]

        for a, b in chunk.in_chunk:
            if grid.coords_of(a) != coords or grid.coords_of(b) != coords:
                raise ValueError(f"in-chunk edge {a}, {b} is not within chunk {coords}")
            supervoxels |= {a, b}
            if is_active(a, b):
                edges[a, b] = edges[b, a] = 0
        listed = [(pair, True) for pair in chunk.cross] + [(pair, False) for pair in chunk.between]
        for pair, always_active in listed:
            inside = [sv for sv in pair if grid.coords_of(sv) == coords]
            if len(inside) != 1:
                raise ValueError(
                    f"edge {pair} of chunk {coords} has {len(inside)} ends in the chunk, not one"
                )
            own = inside[0]
            partner = pair[1] if own == pair[0] else pair[0]
            supervoxels.add(own)
            if always_active or is_active(own, partner):
                edges[own, partner] = grid.cross_layer(own, partner)
    for own, partner in edges:
        if (partner, own) not in edges:
            raise ValueError(
                f"edge {own}, {partner} is active only in the chunk of {own}: {grid.coords_of(own)}"
            )
    return frozenset(supervoxels), edges


def partition(supervoxels: Iterable[int], edges: Iterable[Edge]) -> set[frozenset[int]]:
    """The connected components of `supervoxels` over `edges`."""
    partners = defaultdict(list)
    for a, b in edges:
        partners[a].append(b)
        partners[b].append(a)
    found: set[frozenset[int]] = set()
    seen: set[int] = set()
    for start in supervoxels:
        if start in seen:
            continue
        reached, waiting = {start}, [start]
        while waiting:
            for partner in partners[waiting.pop()]:
                if partner not in reached:
                    reached.add(partner)
                    waiting.append(partner)
        seen |= reached
        found.add(frozenset(reached))
    return found


def find_components(supervoxels: frozenset[int], edges: dict[Edge, int], root_layer: int) -> list[Component]:
    """All components of all layers' partitions, in order of their first layer."""
    leaving: dict[int, list[Edge]] = defaultdict(list)
    for own, partner in edges:
        leaving[own].append((own, partner))
    components: list[Component] = []
    known: set[frozenset[int]] = set()
    for layer in range(ATOMIC_LAYER, root_layer + 1):
        joined = [edge for edge, cross_layer in edges.items() if cross_layer < layer]
        for members in partition(supervoxels, joined) - known:
            known.add(members)
            outward = [edges[e] for sv in members for e in leaving[sv] if e[1] not in members]
            components.append(Component(members, layer, min(outward, default=root_layer)))
    return components


def hierarchy(components: list[Component]) -> dict[Name, list[Name]]:
    """The names of all nodes, with the names of their children."""
    family: dict[Name, list[Name]] = {}
    top_of: dict[int, Name] = {}  # supervoxel -> the highest node made so far above it
    for component in components:
        if component.first == ATOMIC_LAYER:
            below = [(SUPERVOXEL_LAYER, sv) for sv in component.members]
        else:
            below = list({top_of[sv] for sv in component.members})
            assert len(below) >= 2, "a component that is new at a layer has two or more parts"
            assert {layer for layer, _ in below} == {component.first - 1}, (
                "parts wait where they will be joined"
            )
        family[component.first, component.lowest] = below
        if component.last > component.first:
            family[component.last, component.lowest] = [(component.first, component.lowest)]
        for sv in component.members:
            top_of[sv] = (component.last, component.lowest)
    return family


def number(grid: Grid, family: dict[Name, list[Name]]) -> dict[Name, int]:
    """The id of every node."""
    ids: dict[Name, int] = {}

    def lowest_child(name: Name) -> int:
        return min(ids.get(child, child[1]) for child in family[name])

    for layer in range(ATOMIC_LAYER, grid.root_layer):
        made_in: dict[Coords, list[Name]] = defaultdict(list)
        for name in family:
            if name[0] == layer:
                made_in[grid.coords_at(name[1], layer)].append(name)
        for coords, names_there in made_in.items():
            for segment, name in enumerate(sorted(names_there, key=lowest_child), start=1):
                ids[name] = grid.node_id(layer, coords, segment)

    root_chunk = grid.chunk_id(grid.root_layer, (0, 0, 0))
    senders: dict[int, list[Name]] = defaultdict(list)
    for name, below in family.items():
        if name[0] == grid.root_layer:
            joined_here = len(below) > 1
            senders[root_chunk if joined_here else grid.chunk_of(lowest_child(name))].append(name)
    highest_k: dict[int, int] = defaultdict(int)
    for sender in sorted(senders):
        shard = splitmix64(sender) % ROOT_SHARDS
        for name in sorted(senders[sender], key=lowest_child):
            highest_k[shard] += 1
            ids[name] = root_chunk + highest_k[shard] * ROOT_SHARDS + shard
    return ids


def splitmix64(x: int) -> int:
    """The finaliser of the SplitMix64 generator, which spreads senders over root shards."""
    mask = 2**64 - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def hierarchy_cells(graph: Graph) -> Cells:
    """``0:parents`` and ``0:children``."""
    cells: Cells = {}
    for child, parent in graph.parents.items():
        cells[row_key(child), "0", b"parents"] = ids_bytes([parent])
    for node, children in graph.children.items():
        cells[row_key(node), "0", b"children"] = ids_bytes(children)
    return cells


def atomic_cross_edge_cells(graph: Graph) -> Cells:
    """``3:atomic_cross_edges_k`` of layer-2 nodes."""
    pairs: dict[tuple[int, int], set[Edge]] = defaultdict(set)
    for (own, partner), k in graph.edges.items():
        if k > 0:
            pairs[graph.parents[own], k].add((own, partner))
    return {
        (row_key(node), "3", b"atomic_cross_edges_%d" % k): pairs_bytes(edges)
        for (node, k), edges in pairs.items()
    }


def cross_edge_cells(graph: Graph) -> Cells:
    """``4:cross_edges_k`` of the nodes of layers 2 .. root - 1."""
    grid = graph.grid
    pairs: dict[tuple[int, int], set[Edge]] = defaultdict(set)
    for (own, partner), k in graph.edges.items():
        node = graph.parents[own]
        while grid.layer_of(node) < grid.root_layer:
            layer = grid.layer_of(node)
            outside = graph.ancestor(partner, layer)
            if k >= layer:
                assert outside != node, "an edge with cross layer >= layer leaves the node"
                pairs[node, k].add((node, outside))
            node = graph.parents[node]
    return {
        (row_key(node), "4", b"cross_edges_%d" % k): pairs_bytes(edges) for (node, k), edges in pairs.items()
    }


def counter_cells(graph: Graph, version: int) -> Cells:
    """``1:counter`` of chunks (version 3: also those of layer 1) and of root shards."""
    grid = graph.grid
    highest: dict[bytes, int] = defaultdict(int)
    for node in (*graph.supervoxels, *graph.children):
        layer, segment, chunk = grid.layer_of(node), grid.segment_of(node), grid.chunk_of(node)
        key = counter_key(chunk)
        if layer == grid.root_layer:
            segment, shard = divmod(segment, ROOT_SHARDS)
            key = counter_key(chunk, shard)
        if layer > SUPERVOXEL_LAYER or version == 3:
            highest[key] = max(highest[key], segment)
    return {(key, "1", b"counter"): counter_bytes(segment) for key, segment in highest.items()}
