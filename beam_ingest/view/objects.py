"""The objects of a graph by size, counted in all of its chunks or in a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids, Indices
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, Coords, as_coordinates
from beam_ingest.reader import GraphReader
from beam_ingest.stages.scope import Scope

_GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole parts, are spread evenly however many they are."""


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects that lie in some chunks, the largest first.

    Attributes:
      roots: their ids, shape (n,), uint64; of a graph of ``--test``, its highest nodes.
      supervoxels: how many of each are in these chunks, shape (n,), int64.
      middle: the chunk with a part of each that is nearest to the volume's middle, as its number in
        `chunks`, shape (n,), int64.
      chunks: coordinates of the chunks, shape (m, 3).
      whole: whether these are all chunks of the grid.
    """

    roots: Ids
    supervoxels: Indices
    middle: Indices
    chunks: Coords
    whole: bool

    def middle_chunk(self, at: int) -> Coordinates:
        """Coordinates of the chunk with a part of object number `at` that is nearest to the middle."""
        x, y, z = self.chunks[self.middle[at]].tolist()
        return (x, y, z)


def spread_chunks(grid: ChunkGrid, most: int) -> Coords:
    """All layer-2 chunks of a grid, or a sample of about `most` of them, spread evenly.

    The chunks at the centre are always among them, since a graph of ``--test`` has no others.

    Args:
      grid: the chunk grid.
      most: chunks up to which all are taken.

    Returns:
      Coordinates, shape (n, 3), without repetition.
    """
    count = grid.chunk_count(ATOMIC_LAYER)
    if count <= most:
        numbers = np.arange(count)
    else:
        numbers = np.unique((np.arange(1, most + 1) * _GOLDEN % 1 * count).astype(np.int64))
    coords: Coords = np.stack(np.unravel_index(numbers, grid.bounds(ATOMIC_LAYER)), axis=1).astype(np.int64)
    if count <= most:
        return coords
    scope = Scope(grid, True)
    centre = scope.written_chunks(np.arange(scope.written(ATOMIC_LAYER)))
    return np.unique(np.concatenate([coords, centre]), axis=0)


def count_objects(reader: GraphReader, chunks: Coords) -> Objects:
    """The objects in some chunks of a graph, by the supervoxels that they have there.

    Only nodes of layer 2 and above are read.

    Args:
      reader: of the graph.
      chunks: coordinates of layer-2 chunks, shape (m, 3).

    Raises:
      StoreError: when the graph cannot be read.
    """
    nodes, counts, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, coords in enumerate(as_coordinates(chunks)):
        for ids in reader.nodes(ATOMIC_LAYER, coords):
            nodes.append(ids)
            counts.append(np.diff(reader.children(ids).offsets))
            owners.append(np.full(ids.size, number))
    roots, root_of = np.unique(reader.roots(np.concatenate(nodes)), return_inverse=True)
    sizes = np.concatenate(counts)
    total = _sums(root_of, sizes, roots.size)
    pairs = np.unique(np.stack([root_of.reshape(-1), np.concatenate(owners)], axis=1), axis=0)
    centre = (np.array(reader.grid.chunks) - 1) / 2
    distances = ((chunks[pairs[:, 1]] - centre) ** 2).sum(axis=1)
    order = np.lexsort((pairs[:, 1], distances, pairs[:, 0]))
    first = np.unique(pairs[order, 0], return_index=True)[1]
    middle = pairs[order[first], 1]
    largest = np.lexsort((roots, -total))
    whole = len(chunks) == reader.grid.chunk_count(ATOMIC_LAYER)
    return Objects(roots[largest], total[largest], middle[largest], chunks, whole)


def _sums(groups: npt.NDArray[Any], values: Indices, count: int) -> Indices:
    """The sum of the values of each group, shape (count,), exact."""
    found = np.zeros(count, np.int64)
    np.add.at(found, groups.reshape(-1), values)
    return found


def middle_voxel(voxels: npt.NDArray[np.bool_]) -> Coordinates:
    """The voxel of a shape that is nearest to its mean; ties go to the first.

    Args:
      voxels: whether each belongs to it, shape (x, y, z); at least one does.

    Examples:
      >>> middle_voxel(np.array([[[True, True, True, False]]]))
      (0, 0, 1)
    """
    places = np.argwhere(voxels)
    distances = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    x, y, z = places[np.argmin(distances)].tolist()
    return (x, y, z)
