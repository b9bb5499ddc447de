"""Do edges, components and watershed speak of the same supervoxels? Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Coordinates, Ids
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges


@dataclass(frozen=True, eq=False)
class Coverage:
    """The supervoxels of one chunk that one input has and another has not.

    Attributes:
      supervoxels: all that its edges mention, shape (s,), uint64, ascending.
      unmapped: those in no component, shape (u,).
      edgeless: those in components that no edge mentions, shape (e,): they are not in the graph.
    """

    supervoxels: Ids
    unmapped: Ids
    edgeless: Ids


@dataclass(frozen=True, eq=False)
class VolumeCoverage:
    """A chunk's edges beside the watershed's voxels in its box.

    Attributes:
      supervoxels: the chunk's own labels in its box, shape (v,), uint64, ascending.
      edgeless: those that no edge mentions, shape (e,): they are not in the graph.
      strange: labels in the box that are of another chunk, or no supervoxels at all, shape (n,).
      absent: supervoxels of edges that have no voxel, shape (a,).
    """

    supervoxels: Ids
    edgeless: Ids
    strange: Ids
    absent: Ids


def cover(grid: ChunkGrid, coords: Coordinates, edges: ChunkEdges, mapping: Mapping) -> Coverage:
    """Compare the edges, checked and put right, and the components of the chunk at `coords`."""
    within, between, cut = edges.in_chunk, edges.between_chunk, edges.cross_chunk
    supervoxels = np.unique(
        np.concatenate([within.node_ids1, within.node_ids2, between.node_ids1, cut.node_ids1])
    )
    own = mapping.ids[_of_chunk(grid, coords, mapping.ids)]  # face neighbours' ids are in components too
    return Coverage(
        supervoxels=supervoxels,
        unmapped=np.setdiff1d(supervoxels, mapping.ids, assume_unique=True),
        edgeless=np.setdiff1d(own, supervoxels, assume_unique=True),
    )


def cover_volume(grid: ChunkGrid, coords: Coordinates, supervoxels: Ids, labels: Ids) -> VolumeCoverage:
    """Compare the supervoxels of a chunk's edges with the labels in its box of the watershed.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
      supervoxels: those that its edges mention, shape (s,), ascending.
      labels: all labels in its box but 0, shape (n,), ascending.
    """
    is_own = _of_chunk(grid, coords, labels)
    own = labels[is_own]
    return VolumeCoverage(
        supervoxels=own,
        edgeless=np.setdiff1d(own, supervoxels, assume_unique=True),
        strange=labels[~is_own],
        absent=np.setdiff1d(supervoxels, own, assume_unique=True),
    )


def _of_chunk(grid: ChunkGrid, coords: Coordinates, ids: Ids) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    chunk = np.uint64(grid.chunk_id(SUPERVOXEL_LAYER, coords))
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = (ids ^ chunk) >> np.uint64(
        grid.segment_bits(SUPERVOXEL_LAYER)
    ) == 0
    return inside
