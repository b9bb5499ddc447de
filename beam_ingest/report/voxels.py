"""Voxels of objects: how many each has, and sections through the middle of the volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids, Indices, find
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError
from beam_ingest.files import first_line
from beam_ingest.format.grid import as_coordinates
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.reader import GraphReader
from beam_ingest.stages.finished import read_chunk_nodes
from beam_ingest.stores import Store
from beam_ingest.view.objects import Objects, spread_chunks

Image: TypeAlias = npt.NDArray[np.uint64]
MOST_VOXELS = 64_000_000
"""Voxels that are counted: some seconds."""
MOST_PIXELS = 512
"""Pixels of a section along either axis; larger volumes are shown at a lower level, or in the middle."""


@dataclass(frozen=True, eq=False)
class VoxelCounts:
    """Voxels of objects in some chunks.

    Attributes:
      roots: the objects, shape (n,), ascending.
      voxels: voxels of each in these chunks, shape (n,), int64.
      loose: voxels of supervoxels that are not in the graph, as they touch nothing.
      background: voxels of no supervoxel.
      chunks: how many chunks were read.
      whole: whether these are all.
    """

    roots: Ids
    voxels: Indices
    loose: int
    background: int
    chunks: int
    whole: bool

    def of(self, roots: Ids) -> Indices:
        """The voxels of some objects, shape (n,)."""
        at, known = find(self.roots, roots)
        counts: Indices = np.where(known, self.voxels[at] if self.roots.size else 0, 0)
        return counts


@dataclass(frozen=True, eq=False)
class Section:
    """A plane of voxels through the middle.

    Attributes:
      axes: names of its axes, such as "xy": across, and down.
      supervoxels: the supervoxel of each, shape (across, down).
      roots: the object of each; 0 for background and supervoxels that are in no object.
      nanometres: size of a voxel across and down.
      depth: where it is along the third axis, in voxels of the watershed's mip 0.
    """

    axes: str
    supervoxels: Image
    roots: Image
    nanometres: tuple[float, float]
    depth: int


def count_voxels(
    store: Store, reader: GraphReader, dataset: Dataset, objects: Objects
) -> tuple[VoxelCounts | None, str]:
    """Count the voxels of objects, in all chunks or a sample of them.

    Args:
      store: where the graph is.
      reader: of the graph.
      dataset: the dataset file.
      objects: its objects.

    Returns:
      The counts and "", or None and why the watershed cannot be read.

    Raises:
      StoreError: when the graph cannot be read.
    """
    import fastremap  # slow

    try:
        watershed = WatershedVoxels(dataset.watershed)
        most = max(1, MOST_VOXELS // int(np.prod(dataset.chunk_size)))
        chunks = objects.chunks if len(objects.chunks) <= most else spread_chunks(reader.grid, most)
        labels, counts, nodes_of = [], [], []
        for coords in as_coordinates(chunks):
            low = np.array(coords) * dataset.chunk_size
            size = np.minimum(dataset.chunk_size, np.array(watershed.size) - low)
            ids, voxels = fastremap.unique(watershed.read(coords, low, size).ids, return_counts=True)
            own, nodes = read_chunk_nodes(store, reader.grid, coords)
            at, known = find(own, ids)
            labels.append(ids)
            counts.append(voxels)
            nodes_of.append(np.where(known, nodes[at] if own.size else np.uint64(0), np.uint64(0)))
    except ImportError as error:
        return None, f"the package {error.name} is not installed"
    except BeamIngestError as error:
        return None, first_line(error)
    ids, voxels, nodes = np.concatenate(labels), np.concatenate(counts), np.concatenate(nodes_of)
    inside = nodes != 0
    roots, root_of = np.unique(reader.roots(nodes[inside]), return_inverse=True)
    found = np.zeros(roots.size, np.int64)
    np.add.at(found, root_of.reshape(-1), voxels[inside])
    loose = int(voxels[~inside & (ids != 0)].sum())
    whole = len(chunks) == reader.grid.chunk_count(2)
    return VoxelCounts(roots, found, loose, int(voxels[ids == 0].sum()), len(chunks), whole), ""


def read_sections(reader: GraphReader, dataset: Dataset) -> list[Section]:
    """The three planes through the middle of the volume: xy, xz and zy.

    Raises:
      BeamIngestError: when the watershed, or the graph, cannot be read.
      ImportError: when a package that decodes the watershed is not installed.
    """
    base = WatershedVoxels(dataset.watershed)
    volume = _level_of_pictures(dataset.watershed, base)
    size, middle = np.array(volume.size), np.array(volume.size) // 2
    planes = []
    for axes in ((0, 1), (0, 2), (2, 1)):
        (third,) = {0, 1, 2} - set(axes)
        low, shape = middle.copy(), np.ones(3, np.int64)
        for axis in axes:
            shape[axis] = min(MOST_PIXELS, size[axis])
            low[axis] = (size[axis] - shape[axis]) // 2
        chunk = tuple((middle * volume.factor // dataset.chunk_size).tolist())
        voxels = volume.read(chunk, low, shape).ids
        plane = voxels.transpose(*axes, third)[..., 0]
        depth = int(base.offset[third] + middle[third] * volume.factor[third])
        planes.append((axes, plane, depth))
    together = np.concatenate([plane.reshape(-1) for _, plane, _ in planes])
    ids, inverse = np.unique(together, return_inverse=True)
    ends = np.cumsum([plane.size for _, plane, _ in planes])
    parts = np.split(reader.roots(ids, missing="zero")[inverse], ends[:-1])
    return [
        Section(
            "".join("xyz"[axis] for axis in axes),
            plane,
            roots.reshape(plane.shape),
            (volume.resolution[axes[0]], volume.resolution[axes[1]]),
            depth,
        )
        for (axes, plane, depth), roots in zip(planes, parts, strict=True)
    ]


def _level_of_pictures(url: str, volume: WatershedVoxels) -> WatershedVoxels:
    """The finest level whose planes are small enough; the coarsest if none is."""
    mip = 0
    while max(volume.size) > MOST_PIXELS:
        mip += 1
        try:
            volume = WatershedVoxels(url, mip)
        except BeamIngestError:  # there are no more
            break
    return volume
