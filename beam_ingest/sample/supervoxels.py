"""Supervoxels of one chunk: voxels painted by the nearest bead, numbered, and who touches whom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import SUPERVOXEL_LAYER, Coords, Ids
from beam_ingest.sample.noise import hashes
from beam_ingest.sample.objects import BEAD_RADII, UNMAPPED, Beads, beads_near
from beam_ingest.sample.spec import SampleSpec, Triple

Labels: TypeAlias = npt.NDArray[np.int32]

CONTACT = np.dtype([("sv1", "u8"), ("sv2", "u8"), ("areas", "u4", 3), ("affs", "u4", 3)])
"""Two touching supervoxels: their touching voxel faces along x, y and z, and the share of these
faces in their affinity, in units of 1 / AFFINITY_UNITS."""
AFFINITY_UNITS = 1 << 12
_NUMBERS_PER_GAP = 40


@dataclass(frozen=True)
class Supervoxels:
    """The n supervoxels of one chunk.

    Attributes:
      ids: ascending, shape (n,), uint64.
      beads: key of the bead that each is a piece of, shape (n,), uint64. Pieces of one bead on both
        sides of a chunk's face are a supervoxel that the face cut.
      families: the beads' families, shape (n,), uint8: equal and not UNMAPPED, same object.
    """

    ids: Ids
    beads: Ids
    families: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.ids.size)


@dataclass(frozen=True)
class Touching:
    """m pairs of labels that touch.

    Attributes:
      first: shape (m,), int64, labels - 1.
      second: the same of the other one.
      areas: touching voxel faces along x, y and z, shape (m, 3), int64.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]


def label_chunk(spec: SampleSpec, coords: Triple) -> tuple[Labels, Supervoxels]:
    """Make one chunk.

    Returns:
      The labels of its voxels, int32 in the chunk's shape, 0 for background, and its supervoxels:
      label i + 1 is supervoxel i.
    """
    low, high = spec.box(coords)
    if not spec.has_tissue(coords):
        nothing = np.empty(0, np.uint64)
        return np.zeros(high - low, np.int32), Supervoxels(nothing, nothing, np.empty(0, np.uint8))
    beads = beads_near(spec.seed, low, high)
    painted = _paint(beads, low, high)
    is_present = np.bincount(painted.ravel(), minlength=len(beads) + 1) > 0
    is_present[0] = False
    present = np.flatnonzero(is_present)
    labels = np.zeros(is_present.size, np.int32)
    labels[present] = np.arange(1, present.size + 1)
    # A watershed leaves gaps where it gave numbers to pieces that it dropped afterwards.
    numbers = np.arange(present.size)
    segments = 1 + numbers + numbers // _NUMBERS_PER_GAP
    ids = np.uint64(spec.grid.chunk_id(SUPERVOXEL_LAYER, coords)) | segments.astype(np.uint64)
    return labels[painted], Supervoxels(ids, beads.keys[present - 1], beads.families[present - 1])


def touching_inside(labels: Labels) -> Touching:
    """The pairs of labels that touch in one block; `first` is below `second`."""
    pairs = []
    for axis in range(3):
        lower = np.moveaxis(labels, axis, 0)[:-1]
        upper = np.moveaxis(labels, axis, 0)[1:]
        contact = (lower != upper) & (lower > 0) & (upper > 0)
        a, b = lower[contact], upper[contact]
        pairs.append((axis, np.minimum(a, b), np.maximum(a, b)))
    return _count(pairs)


def touching_over(axis: int, lower: Labels, upper: Labels) -> Touching:
    """The pairs of labels that touch over the face of two blocks.

    Args:
      axis: the face's normal.
      lower: the lower block's labels at the face, 2-D.
      upper: the upper block's.
    """
    contact = (lower > 0) & (upper > 0)
    return _count([(axis, lower[contact], upper[contact])])


def contacts(seed: int, touching: Touching, first: Supervoxels, second: Supervoxels) -> npt.NDArray[np.void]:
    """Contact records, shape (m,), CONTACT, of pairs between `first` and `second` (may be the same)."""
    records = np.zeros(touching.first.size, CONTACT)
    records["sv1"], records["sv2"] = first.ids[touching.first], second.ids[touching.second]
    records["areas"] = touching.areas
    noise = hashes(seed, "affinity", records["sv1"], records["sv2"])
    one_object = same_object(touching, first, second)
    # Between a half and all of it within an object, up to a half between two.
    affinity = 1 + noise % np.uint64(AFFINITY_UNITS // 2) + one_object * np.uint64(AFFINITY_UNITS // 2)
    shares = affinity.astype(np.int64)[:, None] * touching.areas // touching.areas.sum(1, keepdims=True)
    largest = touching.areas.argmax(1)
    shares[np.arange(largest.size), largest] += affinity.astype(np.int64) - shares.sum(1)
    records["affs"] = shares
    return records


def same_object(touching: Touching, first: Supervoxels, second: Supervoxels) -> npt.NDArray[np.bool_]:
    """Which of the pairs the agglomeration joined, shape (m,)."""
    families = first.families[touching.first]
    joined: npt.NDArray[np.bool_] = (families == second.families[touching.second]) & (families != UNMAPPED)
    return joined


def _paint(beads: Beads, low: Coords, high: Coords) -> Labels:
    """1 + index of the nearest bead for every voxel of a box, 0 where none is near enough."""
    margin = 2 * np.array(BEAD_RADII)  # a centre lies up to one radius outside, and paints one further
    shape = high - low + 2 * margin
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    painted = np.zeros(int(shape.prod()), np.int32)
    centres = (beads.centres - low + margin) @ strides
    numbers = np.arange(1, len(beads) + 1, dtype=np.int32)
    # From the outside in, all beads at once: nearer beads paint over farther ones.
    for offset in (_ball() @ strides).tolist():
        painted[centres + offset] = numbers
    x, y, z = (slice(a, -a) for a in margin.tolist())
    return np.ascontiguousarray(painted.reshape(shape)[x, y, z])


def _ball() -> Coords:
    """Voxels of a bead relative to its centre, shape (n, 3), the farthest first."""
    axes = [np.arange(-radius, radius + 1) for radius in BEAD_RADII]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # The square of the distance in bead radii, in whole numbers.
    whole = math.prod(BEAD_RADII) ** 2
    distances = (voxels**2 * (whole // np.array(BEAD_RADII) ** 2)).sum(1)
    order = np.argsort(-distances, kind="stable")
    ball: Coords = voxels[order[distances[order] <= whole]]
    return ball


def _count(pairs: list[tuple[int, Labels, Labels]]) -> Touching:
    """Make pairs, one for each touching voxel face, unique and count them by axis."""
    base = 1 + max((int(b.max()) for _, _, b in pairs if b.size), default=0)
    keys = [(a.astype(np.int64) * base + b) * 3 + axis for axis, a, b in pairs]
    keys_by_axis, counts = np.unique(np.concatenate(keys), return_counts=True)
    unique, rows = np.unique(keys_by_axis // 3, return_inverse=True)
    areas = np.zeros((unique.size, 3), np.int64)
    areas[rows, keys_by_axis % 3] = counts
    return Touching(unique // base - 1, unique % base - 1, areas)
