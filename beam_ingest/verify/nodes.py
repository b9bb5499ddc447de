"""The checks of one chunk's nodes, or of one piece of the roots: rows, facts from below, and edges.

A *fact* is what the row of a child says: (child, parent). Facts come to the chunk of the parent, edges
to the chunk at one layer above their ends' names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Indices, components, find, group_starts
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Ids
from beam_ingest.verify.cells import NodeRows
from beam_ingest.verify.edges import ActiveEdges, HalfEdges, meet, only_in
from beam_ingest.verify.findings import Findings, name
from beam_ingest.verify.key_space import layers_of, may_be_parents


@dataclass(frozen=True, eq=False)
class Facts:
    """Attributes:
    child: shape (n,), uint64, ascending, each once.
    parent: the parent that its row names, shape (n,), uint64.
    """

    child: Ids
    parent: Ids

    @classmethod
    def of(cls, child: Ids, parent: Ids) -> Facts:
        """Facts in any order."""
        order = np.argsort(child)
        return cls(child[order], parent[order])

    def parents(self, nodes: Ids) -> Ids:
        """The parent of each of `nodes`, shape (n,); 0 for one that is in no fact."""
        if self.child.size == 0:
            return np.zeros(nodes.size, np.uint64)
        at, found = find(self.child, nodes)
        return np.where(found, self.parent[at], np.uint64(0))


class NodeChecker:
    """Checks nodes.

    Args:
      grid: the chunk grid.
      top: the highest layer that is written.
      findings: where differences go.
    """

    def __init__(self, grid: ChunkGrid, top: int, findings: Findings) -> None:
        self._grid = grid
        self._top = top
        self._findings = findings

    def family(self, rows: NodeRows, facts: Facts) -> None:
        """Parents and children agree both ways, and no node is without children."""
        child_count = np.diff(rows.child_offsets)
        self._findings.differ(
            "no children",
            np.flatnonzero(child_count == 0),
            lambda i: f"{self._name(rows.ids[i])} has no children",
        )
        listed = (np.repeat(rows.ids, child_count), rows.children)
        not_listed, not_named = only_in((facts.parent, facts.child), listed)
        there = find(rows.ids, facts.parent)[1]
        self._findings.differ(
            "child not listed",
            not_listed,
            lambda i: (
                f"{self._name(facts.child[i])} has the parent {facts.parent[i]}, "
                + ("which does not list it" if there[i] else "which has no row")
            ),
        )
        self._findings.differ(
            "parent not named",
            not_named,
            lambda i: (
                f"{self._name(listed[0][i])} lists the child {listed[1][i]}, "
                "whose row does not name it as its parent"
            ),
        )

    def joined(self, facts: Facts, edges: ActiveEdges) -> None:
        """Edges one layer below have one parent at both ends, and children of one parent are connected.

        Args:
          facts: children and parents.
          edges: the edges whose cross layer is one below the parents' layer, under their ends' names there.
        """
        first, second = facts.parents(edges.own), facts.parents(edges.partner)
        self._findings.differ(
            "not joined",
            np.flatnonzero((first != second) | (first == 0)),
            lambda i: (
                f"the active edge from {self._name(edges.own[i])} to {self._name(edges.partner[i])} joins "
                f"nodes of different parents, {first[i] or 'none'} and {second[i] or 'none'}"
            ),
        )
        left, left_known = find(facts.child, edges.own)
        right, right_known = find(facts.child, edges.partner)
        known = left_known & right_known
        label = components(facts.child.size, left[known], right[known])
        order = np.lexsort((label, facts.parent))
        parent, label = facts.parent[order], label[order]
        parts_begin = np.ones(parent.size, bool)
        parts_begin[1:] = (parent[1:] != parent[:-1]) | (label[1:] != label[:-1])
        starts = group_starts(parent)
        parts = np.add.reduceat(parts_begin.astype(np.int64), starts) if starts.size else starts
        self._findings.differ(
            "not connected",
            np.flatnonzero(parts > 1),
            lambda i: (
                f"the children of {self._name(parent[starts[i]])} are {parts[i]} parts "
                "that no active edge connects"
            ),
        )

    def segments(self, chunk_id: int, rows: NodeRows) -> None:
        """Nodes of a chunk are numbered 1, 2, … in order of their lowest child."""
        segments = rows.ids - np.uint64(chunk_id)
        gaps = np.flatnonzero(np.diff(segments, prepend=np.uint64(0)) != 1)
        self._findings.differ(
            "segment",
            gaps,
            lambda i: (
                f"{self._name(rows.ids[i])} has segment {segments[i]}, "
                f"and segment {segments[i] - np.uint64(1)} is not there"
            ),
        )
        having = np.flatnonzero(np.diff(rows.child_offsets))
        lowest = rows.children[rows.child_offsets[having]]
        self._findings.differ(
            "segment",
            np.flatnonzero(lowest[1:] < lowest[:-1]) + 1,
            lambda i: f"{self._name(rows.ids[having[i]])} has a lower child than the node before it",
        )

    def parents(self, rows: NodeRows, expected_layers: Indices) -> Facts:
        """Each node has its parent where it belongs; gives the facts that can be true.

        Args:
          rows: rows of layer 1, or of a chunk below the root layer.
          expected_layers: the layer where each node's parent is to be, shape (n,), int64.
        """
        written = expected_layers <= self._top
        has = rows.parents != 0
        self._findings.differ(
            "parent",
            np.flatnonzero(written & ~has),
            lambda i: (
                f"{self._name(rows.ids[i])} has no parent; one at layer {expected_layers[i]} is expected"
            ),
        )
        good = may_be_parents(self._grid, rows.ids, rows.parents)
        self._findings.differ(
            "parent",
            np.flatnonzero(has & ~good),
            lambda i: (
                f"{self._name(rows.ids[i])} has the parent {rows.parents[i]}, "
                "which belongs to no chunk around it"
            ),
        )
        layers = layers_of(self._grid, rows.parents)
        self._findings.differ(
            "parent layer",
            np.flatnonzero(has & good & ((layers != expected_layers) | ~written)),
            lambda i: (
                f"{self._name(rows.ids[i])} has its parent {rows.parents[i]} at layer {layers[i]}; "
                f"by its edges it belongs to layer {expected_layers[i]}"
            ),
        )
        return Facts(rows.ids[good], rows.parents[good])

    def lowest_layers(self, nodes: Ids, edges: ActiveEdges) -> Indices:
        """The lowest cross layer of the edges of each node, shape (n,), int64; the root layer without any."""
        at, found = find(nodes, edges.own)
        lowest = np.full(nodes.size, self._grid.root_layer, np.int64)
        np.minimum.at(lowest, at[found], edges.layer[found].astype(np.int64))
        return lowest

    def meet(self, half: HalfEdges, layer: int, chunk_id: int | None) -> ActiveEdges:
        """The edges of half edges under their ends' new names, each once.

        Args:
          half: half edges that came together.
          layer: of the chunk they came to.
          chunk_id: that chunk; half edges of other chunks are there as mirrors. None for the roots, where
            only those whose own end is below one of them come.
        """
        partner, met = meet(half)
        own = np.ones(met.size, bool)
        if chunk_id is not None:
            own = self._grid.ancestors(half.own, layer) == np.uint64(chunk_id)
        where = "is under another root, or does not list it" if chunk_id is None else "does not list it"
        self._findings.differ(
            "one-sided edge",
            np.flatnonzero(own & ~met),
            lambda i: (
                f"the other end of the active edge from {self._name(half.own[i])} "
                f"to {self._name(half.partner[i])} {where}"
            ),
        )
        both = own & met
        return ActiveEdges(half.name[both], partner[both], half.layer[both]).once()

    def cross_edges(self, layer: int, edges: ActiveEdges, claims: ActiveEdges) -> None:
        """The cross edge cells of nodes made at `layer` are their edges.

        Args:
          layer: the nodes' layer.
          edges: edges of these nodes, and others, under their ends' names at `layer`.
          claims: what the nodes' cells hold.
        """
        edges = edges.take(layers_of(self._grid, edges.own) == layer)
        lacking, wrong = only_in(edges.columns, claims.columns)
        self._findings.counts["cross edges"] += claims.own.size
        self._pairs("cross edge missing", "lacks the pair", "4:cross_edges", edges, edges.own, lacking)
        self._pairs("cross edge wrong", "has the pair", "4:cross_edges", claims, claims.own, wrong)

    def atomic_cross_edges(self, rows: NodeRows, facts: Facts, edges: ActiveEdges) -> None:
        """The atomic cross edge cells of layer-2 nodes are the active edges that leave their supervoxels."""
        edges = edges.take(edges.layer >= ATOMIC_LAYER)
        node = facts.parents(edges.own)
        found = ActiveEdges(rows.atomic.own, rows.atomic.partner, rows.atomic.layer)
        lacking, wrong = only_in((node, *edges.columns), (rows.atomic.node, *found.columns))
        self._findings.counts["atomic cross edges"] += found.own.size
        self._pairs(
            "atomic cross edge missing", "lacks the pair", "3:atomic_cross_edges", edges, node, lacking
        )
        self._pairs(
            "atomic cross edge wrong", "has the pair", "3:atomic_cross_edges", found, rows.atomic.node, wrong
        )

    def _pairs(self, kind: str, verb: str, column: str, edges: ActiveEdges, node: Ids, at: Indices) -> None:
        self._findings.differ(
            kind,
            at,
            lambda i: (
                f"{self._name(node[i])}: {column}_{edges.layer[i]} {verb} {edges.own[i]}, {edges.partner[i]}"
                + (" of the inputs" if verb.startswith("lacks") else ", which the inputs do not have")
            ),
        )

    def _name(self, node: np.uint64) -> str:
        return name(self._grid, int(node))
