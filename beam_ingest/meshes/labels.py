"""Labels of the voxels that a layer-2 chunk is meshed from: its own nodes, also one voxel beyond it.

Meshes of neighbouring chunks meet only if both see the surface between them alike. So a chunk is read with
one voxel more on its high sides, and supervoxels there get the number of the own node that they belong to
further up. Pure numpy and fastremap.

Source of the rules: PyChunkedGraph's meshing (pychunkedgraph/meshing/meshgen.py, 3.1.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import fastremap
import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices, components, find, group_starts
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Coordinates, Ids

Labels: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Members:
    """What the graph says about the supervoxels of a box.

    Attributes:
      nodes: the chunk's own nodes, shape (n,), uint64, ascending.
      node_tops: the ancestor of each at the meeting layer (`meeting_layer`), shape (n,), uint64.
      supervoxels: supervoxels of the chunk, shape (s,), uint64, ascending.
      parents: the node of each, shape (s,), uint64.
      others: supervoxels of the chunks on the high sides, shape (o,), uint64, ascending.
      other_tops: the ancestor of each at the meeting layer, shape (o,), uint64; 0 where there is none.
    """

    nodes: Ids
    node_tops: Ids
    supervoxels: Ids
    parents: Ids
    others: Ids
    other_tops: Ids


def high_neighbours(grid: ChunkGrid, coords: Coordinates) -> list[Coordinates]:
    """The up to seven chunks of the grid that a layer-2 chunk's box reaches into."""
    steps = np.stack(np.unravel_index(np.arange(1, 8), (2, 2, 2)), axis=1)
    around = np.array(coords) + steps
    return [(x, y, z) for x, y, z in around[grid.contains(around)].tolist()]


def meeting_layer(grid: ChunkGrid, coords: Coordinates) -> int:
    """The lowest layer at which a layer-2 chunk and its high neighbours lie in one parent chunk."""
    chunks = grid.chunk_ids(ATOMIC_LAYER, [coords, *high_neighbours(grid, coords)])
    for layer in range(ATOMIC_LAYER + 1, grid.root_layer):
        above = grid.ancestors(chunks, layer)
        if (above == above[0]).all():
            return layer
    return grid.root_layer


def others_in(grid: ChunkGrid, coords: Coordinates, supervoxels: Ids) -> Ids:
    """Those of some supervoxels, shape (n,), that belong to the high neighbours of a chunk, ascending."""
    chunks = grid.chunk_ids(SUPERVOXEL_LAYER, high_neighbours(grid, coords) or np.empty((0, 3)))
    segment = np.uint64((1 << grid.segment_bits(SUPERVOXEL_LAYER)) - 1)
    return np.unique(supervoxels[np.isin(supervoxels & ~segment, chunks)])


@dataclass(frozen=True, eq=False)
class Box:
    """The voxels of a chunk's box, with those beyond its high sides.

    Attributes:
      supervoxels: the labels in it, shape (n,), uint64, in no order; the first is 0.
      numbers: position in `supervoxels` of each voxel's, shape (x, y, z), in Fortran order.
    """

    supervoxels: Ids
    numbers: npt.NDArray[np.unsignedinteger[Any]]

    @classmethod
    def of(cls, voxels: Ids) -> Box:
        """The box with supervoxels `voxels`, shape (x, y, z), in Fortran order."""
        numbers, names = fastremap.renumber(voxels, preserve_zero=True)
        supervoxels = np.zeros(len(names) + 1, np.uint64)
        supervoxels[list(names.values())] = np.fromiter(names, np.uint64, len(names))
        return cls(supervoxels, numbers)


def label_box(box: Box, members: Members) -> Labels:
    """The number of a node for each voxel of a box: 1, 2, … in order of `Members.nodes`, 0 for none.

    Args:
      box: the voxels.
      members: what the graph says about their supervoxels.

    Returns:
      Numbers, shape (x, y, z), in Fortran order, on which zmesh's simplification depends.
    """
    codes, tops = _codes(box.supervoxels, members)
    labels: Labels = codes[box.numbers]
    _share_out(labels, members, tops)
    return labels


def _codes(supervoxels: Ids, members: Members) -> tuple[Labels, Ids]:
    """What each supervoxel, shape (n,), becomes: the number of a node, or more where that is open.

    Returns:
      Codes, shape (n,): with m nodes, m + 1 + i stands for the i-th of those ancestors, the second result,
      that several nodes share.
    """
    count = members.nodes.size
    codes = np.zeros(supervoxels.size, np.uint32)
    at, known = find(members.supervoxels, supervoxels)
    node, is_node = find(members.nodes, members.parents[at[known]])
    codes[known] = np.where(is_node, node + 1, 0)

    order = np.lexsort((members.nodes, members.node_tops))
    starts = group_starts(members.node_tops[order])
    tops, sizes = members.node_tops[order][starts], np.diff(starts, append=count)
    shared = tops[sizes > 1]
    at, known = find(members.others, supervoxels)
    known &= supervoxels != 0
    above = members.other_tops[at[known]]
    place, matched = find(tops, above)
    matched &= above != 0
    code = np.zeros(above.size, np.int64)
    if tops.size:
        single = order[starts][place] + 1
        several = count + 1 + np.searchsorted(shared, above)
        code = np.where(matched, np.where(sizes[place] > 1, several, single), 0)
    codes[known] = code
    return codes, shared


def _share_out(labels: Labels, members: Members, shared: Ids) -> None:
    """Give voxels whose ancestor several nodes share to one of those, or to none; changes `labels`.

    Each connected component (6-neighbours) of the voxels of one ancestor goes to the lowest of its nodes
    that touches the component from within, across the last plane along some axis.
    """
    count = members.nodes.size
    flat = labels.reshape(-1, order="F")  # a view
    voxels = np.flatnonzero(flat > count)
    if not voxels.size:
        return
    top = flat[voxels].astype(np.int64) - count - 1
    shape, strides = labels.shape, np.cumprod((1, *labels.shape[:2]))
    along = np.unravel_index(voxels, shape, order="F")
    parts = components(voxels.size, *_contacts(voxels, top, along, shape, strides))

    none = count + 1
    lowest = np.full(parts.max() + 1, none)
    for axis, size in enumerate(shape):
        if size < 2:
            continue
        last = along[axis] == size - 1
        within = flat[voxels[last] - strides[axis]].astype(np.int64)
        is_node = (within > 0) & (within <= count)
        same = np.zeros(within.size, bool)
        same[is_node] = members.node_tops[within[is_node] - 1] == shared[top[last][is_node]]
        np.minimum.at(lowest, parts[last][same], within[same])
    flat[voxels] = np.where(lowest == none, 0, lowest)[parts]


def _contacts(
    voxels: Indices, top: Indices, along: tuple[Any, ...], shape: tuple[int, ...], strides: Indices
) -> tuple[Indices, Indices]:
    """Pairs of positions in `voxels`, ascending places in the box, that touch and have one ancestor."""
    left, right = [], []
    for axis, size in enumerate(shape):
        inner = np.flatnonzero(along[axis] < size - 1)
        place = voxels[inner] + strides[axis]
        at = np.minimum(np.searchsorted(voxels, place), voxels.size - 1)
        there = (voxels[at] == place) & (top[at] == top[inner])
        left.append(inner[there])
        right.append(at[there])
    return np.concatenate(left), np.concatenate(right)
