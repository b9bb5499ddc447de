"""Hypothesis strategies: small random datasets, legal in every odd way that the formats allow.

A dataset has few non-empty chunks in a grid of any size. They lie along walks between neighbours, many of
which start at a plane where high layers meet: their edges have high cross layers, so that nodes skip layers.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from .model import Chunk, Coords, Edge, Grid, OracleDataset

GRIDS: tuple[Coords, ...] = (
    (2, 1, 1),
    (1, 1, 3),
    (2, 2, 2),
    (3, 3, 3),
    (4, 4, 4),
    (5, 4, 1),
    (7, 5, 2),
    (8, 8, 2),
    (1, 1, 9),
    (16, 3, 2),
    (13, 10, 7),
    (2, 30, 1),
    (33, 1, 1),
    (1, 1, 64),
)
"""Chunk counts that the strategies draw from: one to six layers of parents, even and odd, flat and deep."""

_PER_CHUNK = (1, 1, 2, 3, 4, 6)
_FEWEST_SEGMENT_BITS = 3
_DEEP = 5
"""The lowest root layer below which a node can skip layers and still not be a root: 2, 4, 5."""
_DEFAULT = Grid((2, 2, 2))


@st.composite
def grids(draw: st.DrawFn, chunk_counts: Sequence[Coords] = GRIDS) -> Grid:
    """Grids with the default id format, or with any that can hold them."""
    deep = [chunks for chunks in chunk_counts if Grid(chunks).root_layer >= _DEEP] or chunk_counts
    chunks = draw(st.sampled_from(chunk_counts) | st.sampled_from(deep) | st.sampled_from(deep))
    root_layer = Grid(chunks).root_layer
    fewest_layer_bits, fewest_spatial_bits = root_layer.bit_length(), root_layer - 2
    layer_bits = draw(st.sampled_from([8, 8, 8, fewest_layer_bits, fewest_layer_bits + 1, 10, 12]))
    most_spatial_bits = (64 - layer_bits - _FEWEST_SEGMENT_BITS) // 3
    spatial_bits = draw(
        st.sampled_from(
            [_DEFAULT.spatial_bits, _DEFAULT.spatial_bits, fewest_spatial_bits, most_spatial_bits]
        )
        | st.integers(fewest_spatial_bits, most_spatial_bits)
    )
    return Grid(chunks, spatial_bits, layer_bits)


@dataclass
class _Sketch:
    """A dataset while it is drawn: supervoxels by chunk, and edges, once each, by kind."""

    supervoxels: dict[Coords, list[int]]
    in_chunk: list[Edge] = field(default_factory=list)
    cross: list[Edge] = field(default_factory=list)
    between: list[Edge] = field(default_factory=list)
    active: list[Edge] = field(default_factory=list)

    def all(self) -> list[int]:
        return [sv for inside in self.supervoxels.values() for sv in inside]


@st.composite
def datasets(
    draw: st.DrawFn,
    *,
    chunk_counts: Sequence[Coords] = GRIDS,
    max_walks: int = 4,
    max_steps: int = 5,
    distant_edges: bool = True,
) -> OracleDataset:
    """Datasets that agree with themselves: every edge and mapping is the same from both sides.

    Args:
      draw: given by hypothesis.
      chunk_counts: grids to draw from.
      max_walks: how many groups of neighbouring chunks are filled at most.
      max_steps: how many chunks a group has at most, after its first.
      distant_edges: also edges between chunks that do not share a face.
    """
    grid = draw(grids(chunk_counts))
    contacts: list[tuple[Coords, Coords]] = []
    places: set[Coords] = set()
    for _ in range(draw(st.integers(1, max_walks) | st.just(max_walks))):
        walk = draw(_walks(grid.chunks, max_steps))
        places.update(walk)
        contacts += itertools.pairwise(walk)
    sketch = _Sketch({coords: draw(_supervoxels(grid, coords)) for coords in sorted(places)})
    if distant_edges:
        far = st.tuples(st.sampled_from(sorted(places)), st.sampled_from(sorted(places)))
        contacts += draw(st.lists(far, max_size=4))
    _draw_edges(draw, sketch, contacts)
    return OracleDataset(grid, _draw_chunks(draw, grid, sketch))


@st.composite
def _walks(draw: st.DrawFn, chunks: Coords, max_steps: int) -> list[Coords]:
    """Chunks in a row that share faces; most walks first cross a plane between high layers."""
    at = [draw(st.integers(0, n - 1)) for n in chunks]
    long_axes = [axis for axis, n in enumerate(chunks) if n > 1]
    walk = []
    if draw(st.integers(0, 4)):
        axis = draw(st.sampled_from(long_axes))
        planes = [plane for plane in (1 << i for i in range(9)) if plane < chunks[axis]]
        at[axis] = draw(st.sampled_from([*reversed(planes), planes[-1]]))
        walk.append((at[0], at[1], at[2]))
        at[axis] -= 1
    walk.append((at[0], at[1], at[2]))
    step = st.tuples(st.sampled_from(long_axes), st.sampled_from([-1, 1]))
    for axis, by in draw(st.lists(step, max_size=max_steps)):
        if 0 <= at[axis] + by < chunks[axis]:
            at[axis] += by
            walk.append((at[0], at[1], at[2]))
    return walk


@st.composite
def _supervoxels(draw: st.DrawFn, grid: Grid, coords: Coords) -> list[int]:
    """Ids in one chunk: segments low, anywhere, or at the very top."""
    top = 2 ** grid.segment_bits(1) - 1
    segment = st.integers(0, min(7, top)) | st.integers(0, top) | st.integers(max(0, top - 2), top)
    count = draw(st.sampled_from(_PER_CHUNK))
    segments = draw(st.lists(segment, min_size=count, max_size=count, unique=True))
    return [grid.node_id(1, coords, segment) for segment in segments]


def _draw_edges(draw: st.DrawFn, sketch: _Sketch, contacts: list[tuple[Coords, Coords]]) -> None:
    """Edges within each chunk and across each contact, of all kinds."""
    for inside in sketch.supervoxels.values():
        if len(inside) > 1:
            pair = st.lists(st.sampled_from(inside), min_size=2, max_size=2, unique=True)
            fewest = draw(st.sampled_from([1, 1, 0]))
            for (a, b), active in draw(st.lists(st.tuples(pair, st.booleans()), min_size=fewest, max_size=6)):
                sketch.in_chunk.append((a, b))
                sketch.active += [(a, b)] * active
    for here, there in contacts:
        if here == there:
            continue
        ends = st.tuples(
            st.sampled_from(sketch.supervoxels[here]), st.sampled_from(sketch.supervoxels[there])
        )
        kinds = st.sampled_from(["cross", "active", "active", "inactive"])
        for edge, kind in draw(st.lists(st.tuples(ends, kinds), min_size=1, max_size=3)):
            (sketch.cross if kind == "cross" else sketch.between).append(edge)
            sketch.active += [edge] * (kind == "active")


def _draw_chunks(draw: st.DrawFn, grid: Grid, sketch: _Sketch) -> dict[Coords, Chunk]:
    """What the files of each chunk list."""
    component_of = _draw_mapping(draw, sketch)
    rng = random.Random(draw(st.integers(0, 2**16)))
    lists: dict[Coords, dict[str, list[Edge]]] = defaultdict(lambda: defaultdict(list))
    mentioned: dict[Coords, set[int]] = defaultdict(set)
    for coords, inside in sketch.supervoxels.items():
        mentioned[coords].update(inside)
    for kind in ("in_chunk", "cross", "between"):
        for a, b in getattr(sketch, kind):
            oddity = draw(st.sampled_from(["none"] * 8 + ["twice", "twice and swapped", "swapped"]))
            sides = [(a, b)] if kind == "in_chunk" else [(a, b), (b, a)]
            for own, partner in sides:
                coords = grid.coords_of(own)
                listed = [(own, partner)]
                if oddity != "none" and draw(st.booleans()):  # from one side, from both, or from neither
                    odd = (own, partner) if oddity == "twice" else (partner, own)
                    listed = [odd] if oddity == "swapped" else [*listed, odd]
                lists[coords][kind] += listed
                mentioned[coords] |= {own, partner}
    strangers = draw(st.booleans())  # list ids of other chunks that no edge here mentions, too
    chunks = {}
    for coords in sketch.supervoxels:
        components: dict[int, list[int]] = defaultdict(list)
        for sv, component in component_of.items():
            if sv in mentioned[coords] or (strangers and component % 3 == 0):
                components[component].append(sv)
        groups = list(components.values())
        rng.shuffle(groups)
        for group in groups:
            rng.shuffle(group)
        for pairs in lists[coords].values():
            rng.shuffle(pairs)
        edges = {kind: tuple(pairs) for kind, pairs in lists[coords].items()}
        chunk = Chunk(**edges, components=tuple(map(tuple, groups)))
        if chunk:
            chunks[coords] = chunk
    return chunks


def _draw_mapping(draw: st.DrawFn, sketch: _Sketch) -> dict[int, int]:
    """The component of every mapped supervoxel: active edges are within one; some hold more than that."""
    supervoxels = sketch.all()
    component_of = {sv: i for i, sv in enumerate(supervoxels)}

    def merge(a: int, b: int) -> None:
        old, new = component_of[a], component_of[b]
        component_of.update({sv: new for sv, component in component_of.items() if component == old})

    some = st.sampled_from(supervoxels)
    for a, b in [*sketch.active, *draw(st.lists(st.tuples(some, some), max_size=2))]:
        merge(a, b)
    for sv in draw(st.sets(some, max_size=4)):  # unmapped, whatever its edges were meant to be
        del component_of[sv]
    if draw(st.booleans()):  # components of one supervoxel need not be listed
        counts = list(component_of.values())
        component_of = {
            sv: component for sv, component in component_of.items() if counts.count(component) > 1
        }
    # No component in the whole dataset is an error; one of a single supervoxel says that none is meant.
    return component_of or {supervoxels[0]: 0}
