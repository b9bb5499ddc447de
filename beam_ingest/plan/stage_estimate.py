"""From the sample of a stage that reads voxels to all of its chunks: layer by layer, with ranges.

What is measured of chunks follows their voxels. Meshes of layers above those that the sample reaches follow
the layer below: with each layer a smaller share of surfaces belongs to objects that end within one chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Indices
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.plan.amounts import Amounts, StageSample
from beam_ingest.plan.estimate import Estimate
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.ranges import Numbers, Range, ratio, within
from beam_ingest.plan.regions import chunks_of
from beam_ingest.plan.samplers import VoxelSampler
from beam_ingest.stages.scope import BLOCK_LAYER

_SUMMED = ("nodes", "rows", "cells", "nbytes", "stored", "files", "read", "reads", "shuffled", "nanoseconds")
_UNMEASURED_SHARE = Range(0.3, 0.55, 1.0)
"""Bytes of layer 3, of those of layer 2, where nothing was stitched: 0.39 in the synthetic sample, 0.60 in
pinky256."""
_UNMEASURED_MESHES = Range(0.1, 0.2, 0.5)
"""Meshes of layer 3, of those of layer 2, there: 0.16 in both."""
_UNMEASURED_TIME = Range(0.02, 0.05, 0.12)
"""CPU time of layer 3, of that of layer 2, there: 0.06 and 0.035."""
_GROWTH = Range(1.0, 3.0, 8.0)
"""The largest mesh of a layer, of that of the layer below, where the sample has none."""
_CHOICE = 0.05
"""Share by which sampled blocks may differ from the others, beyond their spread: half of the blocks of the
synthetic sample of 512 chunks had 5 % more meshes than all, where their spread said 3.4 %."""
_FEWEST = 5
"""Units by which a spread is told."""
_SPREAD = 0.3
_READS_A_MESH = 3.0
"""Parts that a mesh is joined from."""


@dataclass(frozen=True)
class StageLayer:
    """One layer; amounts as of `beam_ingest.plan.amounts.Amounts`.

    Attributes:
      chunks: how many there are.
      amounts: by name.
      largest: bytes of the largest mesh.
      measured: whether the sample has chunks of it.
    """

    chunks: int
    amounts: dict[str, Range]
    largest: Range
    measured: bool = True


@dataclass(frozen=True)
class StageEstimate:
    """All of a stage.

    Attributes:
      layers: its layers, from 2 up.
      sampled: layer-2 chunks that were looked at.
      exact: whether all of them were, whole.
    """

    layers: dict[int, StageLayer]
    sampled: int
    exact: bool

    def total(self, name: str) -> Range:
        """The sum of an amount over all layers."""
        return sum((layer.amounts[name] for layer in self.layers.values()), Range.exact(0.0))


def estimate_stage(
    sampler: VoxelSampler, presence: Presence, parts: Sequence[StageSample], graph: Estimate | None = None
) -> StageEstimate:
    """Estimate a stage.

    Args:
      sampler: chose the sample.
      presence: the chunks that hold anything.
      parts: what the sample came to; there is at least one.
      graph: the graph, for the nodes of layers that no part reaches.
    """
    return _Estimating(sampler, presence, parts, graph).run()


class _Estimating:
    def __init__(
        self,
        sampler: VoxelSampler,
        presence: Presence,
        parts: Sequence[StageSample],
        graph: Estimate | None,
    ) -> None:
        self._sampler = sampler
        self._presence = presence
        self._parts = [part for part in parts if presence.within(*part.region)]
        self._graph = graph
        self._voxels = sampler.voxels(presence.mask)

    def run(self) -> StageEstimate:
        layers: dict[int, StageLayer] = {}
        for layer in self._sampler.layers:
            if any(layer in part.layers for part in self._parts):
                layers[layer] = self._measured(layer)
            else:
                layers[layer] = self._above(layer, layers)
        sampled = sum(part.region.layer == ATOMIC_LAYER for part in self._parts)
        whole = all(part.whole for part in self._parts) and all(each.measured for each in layers.values())
        return StageEstimate(layers, sampled, whole and sampled >= self._presence.chunks)

    def _measured(self, layer: int) -> StageLayer:
        sampler, chunks = self._sampler, self._sampler.grid.chunk_count(layer)
        parts = [part for part in self._parts if layer in part.layers]
        found = [part.layers[layer] for part in parts]
        unit, seen = _units(parts), np.array([self._seen(part, layer) for part in parts], np.float64)
        known = min(1.0, float(seen.sum()) / self._voxels) if all(part.whole for part in parts) else 0.0
        amounts, head = {}, sampler.least_bytes(layer)
        for name in _SUMMED:
            each = _numbers(found, name)
            if name == "nbytes":
                each -= head * _numbers(found, "chunks")
            if name in sampler.per_chunk:
                amounts[name] = Range.exact(float(each.sum()) / sum(a.chunks for a in found) * chunks)
            else:
                found_ratio = ratio(_sums(unit, each), _sums(unit, seen), known)
                amounts[name] = found_ratio * within(self._voxels, 0.0 if known >= 1 else _CHOICE)
        amounts["nbytes"] += Range.exact(head * chunks)
        files = sampler.files(layer)
        if files is not None:
            amounts["files"] = Range.exact(files)
        largest = float(max(a.largest for a in found))
        room = Range(largest, largest, largest) if known >= 1 else Range(largest, largest * 1.2, largest * 3)
        return StageLayer(chunks, amounts, room)

    def _seen(self, part: StageSample, layer: int) -> int:
        """Voxels that a part's chunks of a layer stand for."""
        if part.region.layer == ATOMIC_LAYER:
            return part.layers[ATOMIC_LAYER].voxels
        core = np.zeros_like(self._presence.mask)
        x, y, z = chunks_of(self._sampler.grid, part.region)[0].T
        core[x, y, z] = True
        return self._sampler.voxels(core & self._presence.mask)

    def _above(self, layer: int, layers: dict[int, StageLayer]) -> StageLayer:
        """A layer that no part of the sample reaches, by the layer below."""
        sampler, below = self._sampler, layers[layer - 1]
        chunks = sampler.grid.chunk_count(layer)
        of = below.amounts
        if layer == BLOCK_LAYER:
            share, meshes, time = _UNMEASURED_SHARE, _UNMEASURED_MESHES, _UNMEASURED_TIME
        else:
            share = time = self._share(layer, layers)
            meshes = self._fewer(layer)
        nodes = of["nodes"] * meshes
        amounts = {name: Range.exact(0.0) for name in _SUMMED}
        for name in sampler.per_chunk:
            amounts[name] = Range.exact(float(chunks))
        amounts["files"] = Range.exact(float(sampler.files(layer) or 0))
        amounts["nodes"], amounts["nbytes"] = nodes, of["nbytes"] * share
        amounts["read"], amounts["reads"] = amounts["nbytes"], nodes * _READS_A_MESH
        amounts["nanoseconds"] = of["nanoseconds"] * time
        most = amounts["nbytes"].high
        largest = below.largest * _GROWTH
        largest = Range(*(min(most, value) for value in (largest.low, largest.expected, largest.high)))
        return StageLayer(chunks, amounts, largest, measured=False)

    def _share(self, layer: int, layers: dict[int, StageLayer]) -> Range:
        """Bytes of a layer, of those of the layer below: what was lost there, half as much is lost here."""
        last, before = (layers[n].amounts["nbytes"].expected for n in (layer - 1, layer - 2))
        lost = max(0.0, 1 - last / before) if before else 0.5
        expected = 1 - lost / 2
        return Range(max(0.0, expected - _SPREAD), expected, max(1.0, expected + _SPREAD / 2))

    def _fewer(self, layer: int) -> Range:
        """Meshes of a layer, of those of the layer below: as nodes of the graph."""
        if self._graph is None:
            return within(0.3, 0.7)
        last, before = (self._graph.layers[n].nodes.expected for n in (layer, layer - 1))
        if layer == self._sampler.grid.root_layer:  # most of whose nodes have one child alone
            last = self._graph.layers[layer].edges.expected / max(1.0, _edges_a_node(self._graph, layer))
        return within(min(1.0, last / before) if before else 0.3, 2 * _SPREAD)


def _edges_a_node(graph: Estimate, layer: int) -> float:
    below = graph.layers[layer - 1]
    return below.edges.expected / max(1.0, below.nodes.expected)


def _units(parts: Sequence[StageSample]) -> Indices:
    """The unit of the sample that each part belongs to, shape (n,): chunks of a region are alike.

    Of fewer than five regions the spread says nothing: then each part is a unit.
    """
    chosen = [part.unit or part.region for part in parts]
    number = {region: at for at, region in enumerate(sorted(set(chosen)))}
    return (
        np.array([number[region] for region in chosen]) if len(number) >= _FEWEST else np.arange(len(parts))
    )


def _sums(unit: Indices, each: Numbers) -> Numbers:
    return np.bincount(unit, each).astype(np.float64)


def _numbers(found: Sequence[Amounts], name: str) -> Numbers:
    return np.array([getattr(each, name) for each in found], np.float64)
