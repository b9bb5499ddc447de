"""Verifying one chunk, or one piece of the roots: what is read, what is checked, and what goes up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates, Ids
from beam_ingest.stages.progress import Counts
from beam_ingest.stores import Store
from beam_ingest.verify.cells import NodeRows, note_strays, take
from beam_ingest.verify.edges import ActiveEdges, HalfEdges, only_in
from beam_ingest.verify.findings import Findings, Shard, name, names
from beam_ingest.verify.inputs import AtomicInputs, node_names
from beam_ingest.verify.key_space import CHUNKS, COUNTERS, ROOTS, layers_of, piece_at, piece_of
from beam_ingest.verify.messages import CLAIMS, EMPTY, FACTS, HALF_EDGES, gather, scatter
from beam_ingest.verify.nodes import Facts, NodeChecker
from beam_ingest.verify.verify_job import COUNTS, COUNTS_BYTES, MILLISECONDS, ROOT_SHARDS, VerifyJob

Messages = Iterator[tuple[int, bytes]]


class ChunkVerifier:
    """Verifies the chunks of one graph.

    Args:
      job: the verification.
      store: the graph's store, opened.
    """

    def __init__(self, job: VerifyJob, store: Store) -> None:
        self._job = job
        self._store = store
        self._grid = job.grid
        self._keys = job.keys
        self._reader = job.reader

    def around(self, coords: Coordinates, inputs: AtomicInputs) -> Messages:
        """What a layer-2 chunk beside those of a test tells them; it has no rows itself."""
        chunk_id = self._grid.chunk_id(ATOMIC_LAYER, coords)
        facts = Facts(inputs.supervoxels, node_names(self._grid, coords, inputs))
        half, _ = self._renamed(ATOMIC_LAYER, facts, inputs.edges)
        yield from self._half_edges(chunk_id, half, None)

    def atomic(self, coords: Coordinates, inputs: AtomicInputs, findings: Findings) -> Messages:
        """Verify the layer-2 chunk at `coords` and its supervoxels."""
        grid = self._grid
        chunk_id = grid.chunk_id(ATOMIC_LAYER, coords)
        below = grid.chunk_id(SUPERVOXEL_LAYER, coords)
        check = NodeChecker(grid, self._job.top, findings)
        supervoxels, rows = (self._rows(chunk, findings) for chunk in (below, chunk_id))
        missing, extra = only_in((inputs.supervoxels,), (supervoxels.ids,))
        findings.differ(
            "supervoxel missing",
            missing,
            lambda i: f"{name(grid, int(inputs.supervoxels[i]))} of the inputs has no row",
        )
        findings.differ(
            "supervoxel extra",
            extra,
            lambda i: f"{name(grid, int(supervoxels.ids[i]))} has a row but is not in the inputs",
        )
        every = check.parents(supervoxels, np.full(supervoxels.ids.size, ATOMIC_LAYER))
        here = layers_of(grid, every.parent) == ATOMIC_LAYER
        facts = Facts(every.child[here], every.parent[here])
        check.atomic_cross_edges(rows, facts, inputs.edges)
        within = inputs.edges.layer < ATOMIC_LAYER
        findings.counts["active edges"] += int((within | (inputs.edges.own < inputs.edges.partner)).sum())
        findings.counts["supervoxels"] += supervoxels.ids.size
        findings.counts["edges"] += inputs.listed
        findings.counts["chunks with components"] += inputs.mapped
        findings.counts["edges between chunks"] += inputs.between
        findings.counts["active edges between chunks"] += inputs.joined
        counted = self._job.graph_version == 3 and supervoxels.ids.size > 0
        self._counter(below, int(supervoxels.ids[-1]) - below if counted else None, findings)
        yield from self._facts(Facts(every.child[~here], every.parent[~here]))
        yield from self._nodes(chunk_id, rows, facts, inputs.edges, check, findings, supervoxels.ids.size)

    def parent(self, chunk_id: int, messages: Iterable[bytes], findings: Findings) -> Messages:
        """Verify a chunk above layer 2 and below the root layer."""
        layer = self._grid.layer_of(chunk_id)
        check = NodeChecker(self._grid, self._job.top, findings)
        came = gather(messages)
        edges = check.meet(HalfEdges(*came[HALF_EDGES]), layer, chunk_id)
        if self._job.graph_version == 3:
            check.cross_edges(layer - 1, edges, ActiveEdges(*came[CLAIMS]))
        rows = self._rows(chunk_id, findings)
        yield from self._nodes(chunk_id, rows, Facts.of(*came[FACTS]), edges, check, findings)

    def piece(self, first: int, messages: Iterable[bytes], findings: Findings) -> None:
        """Verify the roots of one piece of the root chunk, whose lowest id is `first`."""
        grid = self._grid
        root_chunk = grid.chunk_id(grid.root_layer, (0, 0, 0))
        check = NodeChecker(grid, self._job.top, findings)
        came = gather(messages)
        facts = Facts.of(*came[FACTS])
        edges = check.meet(HalfEdges(*came[HALF_EDGES]), grid.root_layer, None)
        if self._job.graph_version == 3:
            check.cross_edges(grid.root_layer - 1, edges, ActiveEdges(*came[CLAIMS]))
        lowest = max(first, root_chunk + 1)  # a piece begins with a root, the chunk itself is none
        rows = self._reader.nodes(lowest, piece_at(first, 1), self._scan(self._keys.piece(first)), findings)
        check.family(rows, facts)
        check.joined(facts, edges)
        segments = rows.ids - np.uint64(root_chunk)
        k, shard = segments // np.uint64(ROOT_SHARDS), (segments % np.uint64(ROOT_SHARDS)).astype(np.int64)
        findings.differ(
            "segment",
            np.flatnonzero(k == 0),
            lambda i: (
                f"{name(grid, int(rows.ids[i]))} has segment {segments[i]}; roots begin at {ROOT_SHARDS}"
            ),
        )
        counted, highest = np.bincount(shard, minlength=ROOT_SHARDS), np.zeros(ROOT_SHARDS, np.int64)
        np.maximum.at(highest, shard, k.astype(np.int64))
        for number in np.flatnonzero(counted).tolist():
            findings.shards[number] = Shard(int(counted[number]), int(highest[number]))
        findings.counts["roots"] += rows.ids.size
        findings.counts["joined roots"] += int((np.diff(rows.child_offsets) > 1).sum())

    def _nodes(
        self,
        chunk_id: int,
        rows: NodeRows,
        facts: Facts,
        edges: ActiveEdges,
        check: NodeChecker,
        findings: Findings,
        supervoxels: int = 0,
    ) -> Messages:
        """The checks that layer 2 and the layers above share."""
        layer = self._grid.layer_of(chunk_id)
        check.family(rows, facts)
        check.joined(facts, edges.of_layer(layer - 1 if layer > ATOMIC_LAYER else SUPERVOXEL_LAYER))
        check.segments(chunk_id, rows)
        half, renamed = self._renamed(layer, facts, edges)
        lowest = check.lowest_layers(rows.ids, renamed)
        parents = check.parents(rows, np.where(lowest == layer, layer + 1, lowest))
        findings.counts[f"nodes at layer {layer}"] += rows.ids.size
        findings.counts["chunks"] += 1
        self._counter(chunk_id, rows.ids.size or None, findings)
        self._progress(
            chunk_id, rows.ids.size, supervoxels, int((lowest == self._grid.root_layer).sum()), findings
        )
        yield from self._facts(parents)
        if layer < self._job.top:
            yield from self._half_edges(chunk_id, half, parents)
            yield from self._claims(chunk_id, rows, parents, findings)
            if layer + 1 < self._grid.root_layer:
                yield self._grid.ancestor(chunk_id, layer + 1), EMPTY

    def _renamed(self, layer: int, facts: Facts, edges: ActiveEdges) -> tuple[HalfEdges, ActiveEdges]:
        """Edges that leave the chunk, as half edges, and under the names that own ends have at `layer`."""
        edges = edges.take(edges.layer >= layer)
        parents = facts.parents(edges.own)
        named = np.where(parents != 0, parents, edges.own)
        half = HalfEdges(edges.own, edges.partner, named, edges.layer)
        return half, ActiveEdges(named, edges.partner, edges.layer)

    # What goes up

    def _facts(self, facts: Facts) -> Messages:
        layers = layers_of(self._grid, facts.parent)
        for layer in np.unique(layers[layers <= self._job.top]).tolist():
            at = np.flatnonzero(layers == layer)
            columns = (facts.child[at], facts.parent[at])
            yield from scatter(FACTS, self._targets(layer, columns[1]), columns)

    def _half_edges(self, chunk_id: int, half: HalfEdges, parents: Facts | None) -> Messages:
        """To the parent chunks of both ends; at the last layer, to the piece of the own end's root."""
        layer = self._grid.layer_of(chunk_id) + 1
        if layer == self._grid.root_layer:
            assert parents is not None, "a test does not come to the roots"
            yield from self._to_roots(HALF_EDGES, half.name, half.columns, parents)
            return
        own = self._grid.ancestors(half.own, layer)
        partner = self._grid.ancestors(half.partner, layer)
        for targets, which in ((own, own == own), (partner, own != partner)):
            yield from self._written(scatter(HALF_EDGES, targets[which], half.take(which).columns))

    def _claims(self, chunk_id: int, rows: NodeRows, parents: Facts, findings: Findings) -> Messages:
        """The cross edges that the rows hold, to where their edges will be known."""
        cross, layer = rows.cross, self._grid.layer_of(chunk_id) + 1
        findings.differ(
            "cross edge wrong",
            np.flatnonzero(cross.node != cross.own),
            lambda i: f"{names(self._grid, cross.node)(i)}: a cross edge begins at {cross.own[i]}",
        )
        columns = (cross.node, cross.partner, cross.layer)
        if layer == self._grid.root_layer:
            yield from self._to_roots(CLAIMS, cross.node, columns, parents)
        else:
            targets = np.full(cross.node.size, self._grid.ancestor(chunk_id, layer), np.uint64)
            yield from scatter(CLAIMS, targets, columns)

    def _to_roots(self, kind: int, nodes: Ids, columns: tuple[Ids, ...], parents: Facts) -> Messages:
        """To the pieces of the roots of `nodes`. A node that names no root is a difference already."""
        roots = parents.parents(nodes)
        known = layers_of(self._grid, roots) == self._grid.root_layer
        yield from scatter(kind, piece_of(roots[known]), tuple(column[known] for column in columns))

    def _targets(self, layer: int, parents: Ids) -> Ids:
        if layer == self._grid.root_layer:
            return piece_of(parents)
        return self._grid.ancestors(parents, layer)

    def _written(self, messages: Messages) -> Messages:
        return ((target, data) for target, data in messages if self._job.scope.writes(target))

    # What is read

    def _scan(self, keys: tuple[bytes, bytes]) -> Iterator[tuple[bytes, str, bytes, int, bytes]]:
        return self._store.scan(*keys)

    def _rows(self, chunk_id: int, findings: Findings) -> NodeRows:
        layer = self._grid.layer_of(chunk_id)
        first = chunk_id + (layer > SUPERVOXEL_LAYER)  # segments of supervoxels begin at 0
        end = chunk_id + (1 << self._grid.segment_bits(layer))
        return self._reader.nodes(first, end, self._scan(self._keys.nodes(chunk_id)), findings)

    def _counter(self, chunk_id: int, highest: int | None, findings: Findings) -> None:
        """A chunk's counter is the highest segment; a chunk without nodes (None) has none."""
        columns = self._reader.columns(self._scan(self._keys.prefixed(COUNTERS, chunk_id)), findings)
        value = take(columns, table.counter_key(chunk_id), table.COUNTER)
        expected = None if highest is None else highest.to_bytes(8, "big", signed=True)
        findings.counts["counters"] += value is not None
        findings.counts["rows"] += value is not None
        if value != expected:
            is_there = "is not there" if value is None else f"is {value.hex()}"
            wanted = "none is expected"
            if highest is not None:
                wanted = f"the highest segment is {highest} ({highest:016x})"
            findings.differ_once(
                "counter",
                f"row {table.counter_key(chunk_id).decode()}: the counter {is_there}; {wanted}",
            )
        note_strays(columns, findings)

    def _progress(self, chunk_id: int, nodes: int, supervoxels: int, roots: int, findings: Findings) -> None:
        """A chunk is marked done, and so are the roots of its nodes without further edges."""
        for prefix, expected in (
            (CHUNKS, Counts(nodes=nodes, supervoxels=supervoxels)),
            (ROOTS, Counts(nodes=0 if self._job.scope.test else roots)),
        ):
            columns = self._reader.columns(self._scan(self._keys.prefixed(prefix, chunk_id)), findings)
            key = prefix + table.node_key(chunk_id)
            wanted = prefix == CHUNKS or expected.nodes > 0
            counts, spent = take(columns, key, COUNTS), take(columns, key, MILLISECONDS)
            note_strays(columns, findings)
            if (counts is None) == wanted or (spent is None) == wanted:
                findings.differ_once(
                    "progress", f"row {key.decode()} {'lacks a cell' if wanted else 'is not expected'}"
                )
            elif counts is not None and spent is not None:
                if len(counts) != COUNTS_BYTES + 8 or len(spent) != 8:
                    findings.differ_once(
                        "progress", f"row {key.decode()} has values of {len(counts)} and {len(spent)} bytes"
                    )
                    continue
                found = Counts.decode(counts[:COUNTS_BYTES])
                if (found.nodes, found.supervoxels) != (expected.nodes, expected.supervoxels):
                    findings.differ_once(
                        "progress",
                        f"row {key.decode()} counts {found.nodes} nodes and {found.supervoxels} supervoxels; "
                        f"{expected.nodes} and {expected.supervoxels} are there",
                    )
