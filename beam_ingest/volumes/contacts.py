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
    x, y, z = labels.shape
    starts, values = [], []
    # Some rows at a time: what is compared then stays in the processor's cache.
    at_once = max(1, _AT_ONCE // x) * x
    for first in range(0, flat.size, at_once):
        some = flat[first : first + at_once]
        begins = np.empty(some.size, bool)
        np.not_equal(some[1:], some[:-1], out=begins[1:])
        begins[::x] = True
        at = np.flatnonzero(begins)
        values.append(some.take(at))
        starts.append(at + first)
    numbers, mapping = fastremap.renumber(np.concatenate(values), preserve_zero=True, in_place=True)
    mapping.pop(0, None)
    found = np.fromiter(mapping, np.uint64, len(mapping))
    given = np.fromiter(mapping.values(), np.int64, len(mapping))
    order = np.argsort(found)
    new = np.zeros(len(mapping) + 1, numbers.dtype)
    new[given[order]] = np.arange(1, len(mapping) + 1)
    return Pieces((x, y, z), found[order], np.concatenate(starts), new[numbers])


def contacts_within(pieces: Pieces, affinities: Affinities | None = None) -> Contacts:
    """Contacts between pieces of one chunk by number, first below second, ascending.

    Args:
      pieces: the chunk's pieces.
      affinities: affinity of each voxel with its lower neighbour along x, y and z, shape (x, y, z, 3).
    """
    x, y, _ = pieces.shape
    width = pieces.labels.size + 1
    keys: list[Labels] = []
    upper: list[list[Indices]] = [[], [], []]
    runs, starts = pieces.run_numbers, pieces.run_starts
    for first in range(0, runs.size - 1, _AT_ONCE):
        above = runs[first + 1 : first + 1 + _AT_ONCE]
        below = runs[first : first + above.size]
        begins = starts[first + 1 : first + 1 + above.size]
        touch = _touching(below, above)
        touch &= begins // x * x != begins  # numpy takes several times as long for %
        at = np.flatnonzero(touch)
        keys.append(_keys(below.take(at), above.take(at), width))
        if affinities is not None:
            upper[0].append(begins.take(at))
    numbers = pieces.numbers.reshape(-1, order="F")
    # A few planes at a time: what is compared then stays in the processor's cache.
    planes = max(1, _AT_ONCE // (x * y)) * x * y
    for axis, step in ((1, x), (2, x * y)):
        for first in range(0, numbers.size - step, planes):
            above = numbers[first + step : first + step + planes]
            below = numbers[first : first + above.size]
            touch = _touching(below, above)
            if axis == 1:  # the last row of a plane has no neighbour in the next plane
                for end in range(x * y, touch.size + 1, x * y):
                    touch[end - x : end] = False
            at = np.flatnonzero(touch)
            keys.append(_keys(below.take(at), above.take(at), width))
            if affinities is not None:
                upper[axis].append(at + (first + step))
    weights: Affinities | None = None
    if affinities is not None:
        channels = [affinities[..., axis].reshape(-1, order="F") for axis in range(3)]
        faces = [channel[at] for channel, parts in zip(channels, upper, strict=True) for at in parts]
        weights = np.concatenate(faces) if faces else affinities[:0, 0, 0, 0]  # type: ignore[assignment]
    return _sum(np.concatenate(keys) if keys else np.empty(0, np.uint32), width, weights)


def _touching(below: Labels, above: Labels) -> npt.NDArray[np.bool_]:
    """Whether two voxels beside each other are of different pieces; background is none."""
    touch: npt.NDArray[np.bool_] = below != above
    touch &= below != 0
    touch &= above != 0
    return touch


def _keys(first: Labels, second: Labels, width: int, either_way: bool = True) -> Labels:
    """One number for each pair of pieces below `width`.

    Args:
      first: number of the piece on one side of each face, shape (f,).
      second: on the other side, shape (f,).
      width: above all of them.
      either_way: whether pieces in either order are the same contact.
    """
    if either_way:
        first, second = np.minimum(first, second), np.maximum(first, second)
    # 32 bits sort twice as fast, and hold the pairs of usual chunks.
    dtype: type[np.uint32 | np.uint64] = np.uint32 if width**2 <= 1 << 32 else np.uint64
    keys: Labels = first.astype(dtype)
    keys *= dtype(width)
    keys += second.astype(dtype, copy=False)
    return keys


def contacts_across(lower: Labels, upper: Labels, affinities: Affinities | None = None) -> Contacts:
    """Contacts across the face between two chunks, lower piece first, ascending.

    Args:
      lower: number of the piece at each voxel of the lower chunk's last plane, any shape; 0 is background.
      upper: the same of the upper chunk's first plane.
      affinities: of the upper plane's voxels with the lower plane's, of the same shape.
    """
    touch = (lower != 0) & (upper != 0)
    first, second = lower[touch], upper[touch]
    width = int(max(first.max(initial=0), second.max(initial=0))) + 1
    weights = None if affinities is None else affinities[touch]
    return _sum(_keys(first, second, width, either_way=False), width, weights)


def _sum(keys: Labels, width: int, affinities: Affinities | None) -> Contacts:
    """One contact for all faces between two pieces.

    Args:
      keys: of `_keys`, for each face, shape (f,); sorted in place.
      width: as given there.
      affinities: of each face, shape (f,): float32, or uint8 that stand for 0 to 1.
    """
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
