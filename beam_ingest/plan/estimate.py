"""From the regions of a sample to the whole graph: layer by layer, with ranges.

What a layer-2 or layer-3 chunk has is measured, and follows the chunks that have files. What goes on to a
layer are edges across chunk faces: their number is a *density* a face times the faces between chunks of the
layer below, which are counted from the names of files. The density falls with the layer, since larger
chunks join more of what crosses a face; it is measured as far as the regions of the sample reach, and follows
a + b / span above, as what a surface adds to a volume does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, as_coordinates
from beam_ingest.kernels.root_ids import SHARDS
from beam_ingest.kernels.rows import hierarchy_cells
from beam_ingest.plan.measure import LayerSample, RegionSample
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.ranges import Numbers, Range, ratio, student, within
from beam_ingest.plan.regions import chunks_of
from beam_ingest.stages.scope import BLOCK_LAYER

_MODEL = 0.3
"""Share by which what is not measured above the sample's regions may differ from what is."""
_CLUMPED = 3.0
"""Edges of one object come together: so much more do their numbers vary than those of single edges."""
_UNKNOWN_DECLINE = Range(0.4, 0.75, 1.0)
"""Density of a layer, of that of the layer below it, where no region of the sample tells: samples have 0.7
to 1. Each layer above falls half as much again, so density stays above half of it, or above a fifth."""
_UPPER = LayerSample(edges=358, nodes=66, rows=66, cells=416, nbytes=21_125, sent_edges=358, sent_bytes=2_457)
"""What a layer above 3 has for its edges, where no region of the sample tells: pinky256."""


@dataclass(frozen=True)
class LayerEstimate:
    """One layer.

    Attributes:
      chunks: how many there are.
      nodes: nodes made; at the root layer, roots.
      edges: edges read (layer 2) or received from children.
      rows, cells, nbytes: of the table.
      shuffled: bytes that are grouped for it.
      largest: edges of the largest chunk; at layer 2, its supervoxels.
      density: edges for each face between chunks of the layer below; not at layer 2.
      measured: whether the density was measured, and not fitted.
    """

    chunks: int
    nodes: Range
    edges: Range
    rows: Range
    cells: Range
    nbytes: Range
    shuffled: Range
    largest: Range
    density: Range | None = None
    measured: bool = True


@dataclass(frozen=True)
class Estimate:
    """A whole graph.

    Attributes:
      layers: its layers, from 2 to the root layer.
      supervoxels: supervoxels.
      read: bytes of the input files.
      stored: bytes of the table after compression.
      grouped: bytes of raw agglomeration on their way to the blocks that need them.
      sampled: layer-2 chunks that were measured, those around the regions included.
      exact: whether the whole grid was measured.
      fit: a and b of the density a + b / span of the layers that were not measured; None where all were.
    """

    layers: dict[int, LayerEstimate]
    supervoxels: Range
    read: Range
    stored: Range
    grouped: Range
    sampled: int
    exact: bool
    fit: tuple[float, float] | None = None

    def total(self, name: str) -> Range:
        """The sum of a figure over all layers."""
        return sum((getattr(layer, name) for layer in self.layers.values()), Range.exact(0.0))


def estimate(presence: Presence, samples: Sequence[RegionSample]) -> Estimate:
    """Estimate a graph.

    Args:
      presence: the chunks that have files.
      samples: what the regions of the sample came to.
    """
    return _Estimating(presence, samples).run()


class _Estimating:
    def __init__(self, presence: Presence, samples: Sequence[RegionSample]) -> None:
        self._grid = presence.grid
        self._presence = presence
        self._samples = samples
        self._exact = samples[0].region.layer == self._grid.root_layer
        self._top = max(sample.region.layer for sample in samples)
        self._chunks = np.array(
            [presence.within(s.region.layer, s.region.coords) for s in samples], np.float64
        )
        self._known = 1.0 if self._exact else float(self._chunks.sum()) / max(1, presence.chunks)

    def run(self) -> Estimate:
        root = self._grid.root_layer
        densities = self._densities()
        layers = {ATOMIC_LAYER: self._measured(ATOMIC_LAYER)}
        for layer in range(BLOCK_LAYER, root + 1):
            density, measured = densities[layer]
            edges = density * self._presence.faces(layer - 1)
            if layer == BLOCK_LAYER and layer < root:
                layers[layer] = self._measured(layer, density, edges)
            else:
                layers[layer] = self._upper(layer, density, edges, measured)
        layers[root] = self._with_roots(layers[root])
        return Estimate(
            layers=layers,
            supervoxels=self._whole(ATOMIC_LAYER, "supervoxels"),
            read=self._whole(ATOMIC_LAYER, "read"),
            stored=self._whole(ATOMIC_LAYER, "stored"),
            grouped=self._whole(ATOMIC_LAYER, "grouped"),
            sampled=sum(s.layers[ATOMIC_LAYER].chunks + s.around.chunks for s in self._samples),
            exact=self._exact,
            fit=self._fit(densities),
        )

    def _fit(self, densities: dict[int, tuple[Range, bool]]) -> tuple[float, float] | None:
        """a and b of a + b / span, by the highest two layers; span is that of the children, in chunks."""
        root = self._grid.root_layer
        if densities[root][1]:
            return None
        below, last = (densities[layer][0].expected for layer in (root - 1, root))
        span = 1 << (root - 1 - ATOMIC_LAYER)
        return 2 * last - below, span * (below - last)

    def _of(self, layer: int, name: str) -> Numbers:
        """A figure of a layer of each region; 0 where the region does not reach it."""
        absent = LayerSample()
        return np.array([getattr(s.layers.get(layer, absent), name) for s in self._samples], np.float64)

    def _whole(self, layer: int, name: str) -> Range:
        """A figure that follows the chunks that have files, for the whole grid."""
        return ratio(self._of(layer, name), self._chunks, self._known) * self._presence.chunks

    def _surfaces(self, layer: int) -> Numbers:
        """Faces of the chunks of `layer` of each region."""
        return np.array([self._surface(s, layer) for s in self._samples], np.float64)

    def _surface(self, sample: RegionSample, layer: int) -> int:
        if layer > sample.region.layer:
            return 0
        shift = layer - ATOMIC_LAYER
        core = np.unique(chunks_of(self._grid, sample.region)[0] >> shift, axis=0)
        return sum(self._presence.surface(layer, coords) for coords in as_coordinates(core))

    def _densities(self) -> dict[int, tuple[Range, bool]]:
        """Edges for each face, of all layers above 2, and whether they were measured."""
        root = self._grid.root_layer
        if self._exact:
            faces = {layer: max(1, self._presence.faces(layer - 1)) for layer in range(BLOCK_LAYER, root + 1)}
            sent = {layer: float(self._of(layer - 1, "sent_edges").sum()) for layer in faces}
            return {layer: (Range.exact(sent[layer] / faces[layer]), True) for layer in faces}
        found = {
            layer + 1: (ratio(self._of(layer, "sent_edges"), self._surfaces(layer), self._known), True)
            for layer in (ATOMIC_LAYER, BLOCK_LAYER)
        }
        for layer in range(BLOCK_LAYER + 1, self._top + 1):
            found[layer + 1] = (found[layer][0] * self._decline(layer), True)
        last = found[self._top + 1][0]
        before = found[self._top][0] if self._top > BLOCK_LAYER else None
        for layer in range(self._top + 2, root + 1):
            steps = layer - self._top - 1
            if before is None:
                whole = 2 * (1 - 0.5**steps)
                decline = Range(
                    max(0.2, 1 - (1 - _UNKNOWN_DECLINE.low) * whole),
                    1 - (1 - _UNKNOWN_DECLINE.expected) * whole,
                    _UNKNOWN_DECLINE.high,
                )
                found[layer] = (last * decline, False)
                continue
            # a + b / span, of which each layer halves the second part; a cannot be below nothing.
            fall = min(max(0.0, before.expected - last.expected), last.expected)
            expected = last.expected - fall * (1 - 0.5**steps)
            share = min(1.0, last.expected / before.expected)
            low = min(last.low * share**steps, expected * (1 - _MODEL / 2))
            found[layer] = (Range(low, expected, max(last.high, expected * (1 + _MODEL / 2))), False)
        return {layer: found[layer] for layer in range(BLOCK_LAYER, root + 1)}

    def _decline(self, layer: int) -> Range:
        """Edges that leave regions, named by nodes of `layer`, of those named by nodes of the layer below.

        Both are counted at the same faces, so it does not depend on where the few large regions lie.
        """
        reach = [s for s in self._samples if s.region.layer >= layer]
        before = sum(s.layers[layer - 1].leaving for s in reach)
        after = sum(s.layers[layer].leaving for s in reach)
        if not before:
            return _UNKNOWN_DECLINE
        share = after / before
        return within(share, max(0.05, student(30) * np.sqrt(_CLUMPED * max(1 - share, 0.05) / before)))

    def _measured(
        self, layer: int, density: Range | None = None, edges: Range | None = None
    ) -> LayerEstimate:
        """Layer 2 or 3: what its chunks have is measured in all regions."""
        largest = float(self._of(layer, "largest").max())
        room = Range(largest, largest, largest) if self._exact else Range(largest, largest * 1.2, largest * 2)
        return LayerEstimate(
            chunks=self._grid.chunk_count(layer),
            nodes=self._whole(layer, "nodes"),
            edges=self._whole(layer, "edges") if edges is None else edges,
            rows=self._whole(layer, "rows"),
            cells=self._whole(layer, "cells"),
            nbytes=self._whole(layer, "nbytes"),
            shuffled=self._shuffled(layer, edges or Range.exact(0.0)),
            largest=room,
            density=density,
        )

    def _upper(self, layer: int, density: Range, edges: Range, measured: bool) -> LayerEstimate:
        """A layer above 3, or a root layer: what it has follows its edges."""
        like = min(layer, self._top)
        sample = self._sum(like) if like > BLOCK_LAYER or self._exact else _UPPER
        spread = 0.0 if self._exact else _MODEL

        def of(name: str) -> Range:
            return edges * within(getattr(sample, name) / max(1, sample.edges), spread)

        return LayerEstimate(
            chunks=self._grid.chunk_count(layer),
            nodes=of("nodes"),
            edges=edges,
            rows=of("rows"),
            cells=of("cells"),
            nbytes=of("nbytes"),
            shuffled=self._shuffled(layer, edges),
            largest=self._largest(layer, density, edges),
            density=density,
            measured=measured,
        )

    def _sum(self, layer: int) -> LayerSample:
        names = LayerSample.__dataclass_fields__
        return LayerSample(**{name: int(self._of(layer, name).sum()) for name in names})

    def _shuffled(self, layer: int, edges: Range) -> Range:
        """Bytes of the messages to a layer, of the edges in them."""
        if layer == ATOMIC_LAYER:
            return Range.exact(0.0)
        sample = self._sum(min(layer - 1, self._top))
        each = sample.sent_bytes / sample.sent_edges if sample.sent_edges else 0.0
        return edges * within(each, 0.0 if self._exact else _MODEL / 2)

    def _largest(self, layer: int, density: Range, edges: Range) -> Range:
        """Edges of the largest chunk of a layer above 3: the density, on the faces of a full chunk."""
        if self._exact or layer == self._grid.root_layer:
            most = float(self._of(layer, "largest").max(initial=0)) if self._exact else 0.0
            return Range.exact(most) if self._exact else edges
        area = group_faces(self._grid.bounds(ATOMIC_LAYER), layer)
        return density * Range(area * 0.8, float(area), area * 1.5)

    def _with_roots(self, layer: LayerEstimate) -> LayerEstimate:
        """The root layer with the roots of all nodes that had no further edges at lower layers."""
        root = self._grid.root_layer
        single = self._whole(ATOMIC_LAYER, "roots")
        if root > BLOCK_LAYER:
            single = single + self._whole(BLOCK_LAYER, "roots")
        for upper in range(BLOCK_LAYER + 1, root):
            sample = self._sum(min(upper, self._top)) if self._top > BLOCK_LAYER else _UPPER
            share = sample.roots / max(1, sample.edges)
            edges = self._presence.faces(upper - 1) * self._densities()[upper][0].expected
            single = single + within(share * edges, 0.0 if self._exact else _MODEL)
        one = np.ones(1, np.uint64)
        cells = hierarchy_cells(one, one, np.arange(2))
        # A counter for each shard that some chunk's nodes go to, which is a hash of the chunk's id.
        senders = self._presence.chunks + sum(self._grid.chunk_count(n) for n in range(BLOCK_LAYER, root + 1))
        counters = round(SHARDS * (1 - (1 - 1 / SHARDS) ** min(single.expected, float(senders))))
        counter = table.counter(table.root_counter_key(self._grid.chunk_id(root, (0, 0, 0)), SHARDS - 1), 1)
        counter_bytes = counters * counter.nbytes
        if self._exact:
            counters, counter_bytes = self._samples[0].root_counters, self._samples[0].counter_bytes
        return LayerEstimate(
            chunks=layer.chunks,
            nodes=layer.nodes + single,
            edges=layer.edges,
            rows=layer.rows + single + Range.exact(counters),
            cells=layer.cells + single * float(len(cells)) + Range.exact(counters),
            nbytes=layer.nbytes + single * float(sum(c.nbytes for c in cells)) + Range.exact(counter_bytes),
            shuffled=layer.shuffled + (layer.nodes + single) * _ROOT_BYTES,
            largest=layer.largest,
            density=layer.density,
            measured=layer.measured,
        )


_ROOT_BYTES = 8.0
"""A node on its way to where its root is numbered."""


def group_faces(bounds: tuple[int, int, int], layer: int) -> int:
    """Faces of layer-2 chunks, from either side, of the children of a full chunk of `layer`.

    Args:
      bounds: layer-2 chunks along x, y and z.
      layer: a layer above 2.
    """
    span = 1 << (layer - ATOMIC_LAYER)
    sizes = [min(span, n) for n in bounds]
    faces = 0
    for axis in range(3):
        area = sizes[0] * sizes[1] * sizes[2] // sizes[axis]
        inside = 2 * (bounds[axis] > span // 2)
        outside = min(2, max(0, -(-bounds[axis] // span) - 1))
        faces += (inside + outside) * area
    return faces
