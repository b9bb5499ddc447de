"""Pieces of supervoxels in a chunk, and the voxel faces at which they touch. Pure numpy and fastremap.

A *piece* is the part of one source label in one chunk. Contacts are faces of voxels (6-neighbours): voxels
that share an edge or a corner only are no contact. Background, label 0, touches nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import fastremap
import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Indices, group_starts, offsets
from beam_ingest.format.grid import Ids

Number = TypeVar("Number", bound=np.generic)
Labels: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Affinities: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8]


_AT_ONCE = 1 << 16
"""Voxels that are compared with their neighbours at once."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of one chunk, numbered 1, 2, … in order of their source labels; 0 is background.

    Labels hardly change along x, so the chunk is kept as runs of equal voxels, which end with a row at the
    latest.

    Attributes:
      shape: voxels of the chunk along x, y and z.
      labels: source label of pieces 1, 2, …, shape (n,), uint64, ascending.
      run_starts: position (Fortran order) of the first voxel of each run, shape (r,), int64.
      run_numbers: number of the piece of each run, shape (r,), an unsigned integer.
    """

    shape: tuple[int, int, int]
    labels: Ids
    run_starts: Indices
    run_numbers: Labels

    @functools.cached_property
    def numbers(self) -> Labels:
        """The number of the piece at each voxel, in Fortran order; 0 is background."""
        return self.fill(np.arange(self.labels.size + 1, dtype=self.run_numbers.dtype))

    def fill(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """A volume of this shape, in Fortran order, of one of `values`, shape (n + 1,), for each voxel."""
        total = int(np.prod(self.shape))
        lengths = np.diff(self.run_starts, append=total)
        return np.repeat(values[self.run_numbers], lengths).reshape(self.shape, order="F")


@dataclass(frozen=True, eq=False)
class Contacts:
    """Contacts between pieces.

    Attributes:
      first: one piece, shape (c,), uint64.
      second: the other, shape (c,), uint64.
      area: number of voxel faces, shape (c,), uint64.
      affinity: mean affinity over the faces, shape (c,), float32; the area without affinities.
    """

    first: Ids
    second: Ids
    area: Ids
    affinity: npt.NDArray[np.float32]


def find_pieces(labels: Labels) -> Pieces:
    """The pieces of a chunk's labels, shape (x, y, z); Fortran order is fastest."""
    flat = labels.reshape(-1, order="F")
    begins = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[:: labels.shape[0]] = True
    starts = np.flatnonzero(begins)
    numbers, mapping = fastremap.renumber(flat[starts], preserve_zero=True, in_place=False)
    mapping.pop(0, None)
    found = np.fromiter(mapping, np.uint64, len(mapping))
    given = np.fromiter(mapping.values(), np.int64, len(mapping))
    order = np.argsort(found)
    new = np.zeros(len(mapping) + 1, numbers.dtype)
    new[given[order]] = np.arange(1, len(mapping) + 1)
    x, y, z = labels.shape
    return Pieces((x, y, z), found[order], starts, new[numbers])


def contacts_within(pieces: Pieces, affinities: Affinities | None = None) -> Contacts:
    """Contacts between pieces of one chunk by number, first below second, ascending.

    Args:
      pieces: the chunk's pieces.
      affinities: affinity of each voxel with its lower neighbour along x, y and z, shape (x, y, z, 3).
    """
    x, y, _ = pieces.shape
    runs = pieces.run_numbers
    starts = pieces.run_starts[1:]
    touching = np.flatnonzero((runs[1:] != 0) & (runs[:-1] != 0) & (_remainder(starts, x) != 0))
    low, high = [runs[touching]], [runs[touching + 1]]
    upper: list[list[Indices]] = [[starts[touching]], [], []]
    numbers = pieces.numbers.reshape(-1, order="F")
    # A few planes at a time: what is compared then stays in the processor's cache.
    planes = max(1, _AT_ONCE // (x * y))
    for axis, step in ((1, x), (2, x * y)):
        for first in range(0, numbers.size - step, planes * x * y):
            end = min(first + planes * x * y, numbers.size - step)
            below, above = numbers[first:end], numbers[first + step : end + step]
            at = np.flatnonzero(below != above)
            below, above = below[at], above[at]
            touch = (below != 0) & (above != 0)
            if axis == 1:  # the last row of a plane has no neighbour in the next plane
                touch &= _remainder(at, x * y) < x * (y - 1)
            low.append(below[touch])
            high.append(above[touch])
            if affinities is not None:
                upper[axis].append(at[touch] + (first + step))
    weights: Affinities | None = None
    if affinities is not None:
        channels = [affinities[..., axis].reshape(-1, order="F") for axis in range(3)]
        faces = [channel[at] for channel, parts in zip(channels, upper, strict=True) for at in parts]
        weights = np.concatenate(faces)  # type: ignore[assignment]
    return sum_contacts(np.concatenate(low), np.concatenate(high), weights)


def _remainder(numbers: Indices, divisor: int) -> Indices:
    """As ``numbers % divisor``, which numpy takes several times as long for."""
    return numbers - numbers // divisor * divisor


def contacts_across(lower: Labels, upper: Labels, affinities: Affinities | None = None) -> Contacts:
    """Contacts across the face between two chunks, lower piece first, ascending.

    Args:
      lower: number of the piece at each voxel of the lower chunk's last plane, any shape; 0 is background.
      upper: the same of the upper chunk's first plane.
      affinities: of the upper plane's voxels with the lower plane's, of the same shape.
    """
    touch = (lower != 0) & (upper != 0)
    return sum_contacts(lower[touch], upper[touch], None if affinities is None else affinities[touch], False)


def sum_contacts(
    first: Labels, second: Labels, affinities: Affinities | None, either_way: bool = True
) -> Contacts:
    """One contact for all faces between two pieces.

    Args:
      first: number of the piece on one side of each face, shape (f,).
      second: on the other side, shape (f,).
      affinities: of each face, shape (f,): float32, or uint8 that stand for 0 to 1.
      either_way: whether pieces in either order are the same contact.
    """
    if either_way:
        first, second = np.minimum(first, second), np.maximum(first, second)
    width = int(second.max(initial=0)) + 1
    # 32 bits sort twice as fast, and hold the pairs of usual chunks.
    dtype: type[np.uint32 | np.uint64] = (
        np.uint32 if (int(first.max(initial=0)) + 1) * width < 1 << 32 else np.uint64
    )
    keys: Labels = first.astype(dtype)
    keys *= dtype(width)
    keys += second.astype(dtype)
    if affinities is None:
        keys.sort()
    else:
        order = np.argsort(keys, kind="stable")
        keys, affinities = keys[order], affinities[order]
    starts = group_starts(keys)
    area = np.diff(offsets(starts, keys.size))
    if affinities is None:
        affinity = area.astype(np.float32)
    elif starts.size:
        scale = 255 if affinities.dtype == np.uint8 else 1
        affinity = (np.add.reduceat(affinities.astype(np.float64), starts) / (area * scale)).astype(
            np.float32
        )
    else:
        affinity = np.empty(0, np.float32)
    pairs = keys[starts].astype(np.uint64)
    return Contacts(pairs // np.uint64(width), pairs % np.uint64(width), area.astype(np.uint64), affinity)
