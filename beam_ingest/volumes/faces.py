"""The face between two chunks: what each of them sends, and the contacts across it. Pure numpy."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.volumes.contacts import Affinities, Labels, Pieces, contacts_across


@dataclass(frozen=True, eq=False)
class Plane:
    """The voxels of a chunk on one of its faces.

    Attributes:
      numbers: at each voxel, 0 for background or 1, 2, … for the pieces below, shape (a, b).
      ids: of the pieces on the face, shape (n,), uint64.
      labels: their source labels, shape (n,), uint64.
      agglomerated: their agglomerated labels, shape (n,), uint64.
      affinities: of the voxels with those on the other side, shape (a, b); of an upper chunk alone.
    """

    numbers: Labels
    ids: Ids
    labels: Ids
    agglomerated: Ids
    affinities: Affinities | None = None

    @classmethod
    def of(
        cls,
        pieces: Pieces,
        ids: Ids,
        agglomerated: Ids,
        axis: int,
        upper: bool,
        affinities: Affinities | None = None,
    ) -> Plane:
        """The first plane along an axis of a chunk that is the upper one at a face, or else its last.

        Args:
          pieces: the chunk's pieces.
          ids: their ids, shape (n,), uint64.
          agglomerated: their agglomerated labels, shape (n,), uint64.
          axis: 0, 1 or 2.
          upper: whether the chunk is the upper one of the two.
          affinities: of the chunk, shape (x, y, z, 3).
        """
        # By an index: numpy's take copies the whole volume first.
        at = (slice(None),) * axis + (0 if upper else -1,)
        plane = pieces.numbers[at]
        there = np.zeros(ids.size + 1, bool)
        there[plane] = True
        own = np.flatnonzero(there[1:])
        numbers = np.zeros(there.size, np.uint32)
        numbers[own + 1] = np.arange(1, own.size + 1)
        return cls(
            numbers[plane],
            ids[own],
            pieces.labels[own],
            agglomerated[own],
            affinities[..., axis][at] if upper and affinities is not None else None,
        )

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        affinities = b"" if self.affinities is None else np.ascontiguousarray(self.affinities).tobytes()
        kind = b"" if self.affinities is None else self.affinities.dtype.str.encode()
        head = _HEAD.pack(*self.numbers.shape, self.ids.size, kind)
        columns = (self.ids, self.labels, self.agglomerated)
        numbers = self.numbers.astype("<u4").tobytes()
        return b"".join([head, numbers, *(c.astype("<u8").tobytes() for c in columns), affinities])

    @classmethod
    def decode(cls, data: bytes) -> Plane:
        """The plane that `encode` made."""
        a, b, count, kind = _HEAD.unpack_from(data)
        numbers = np.frombuffer(data, "<u4", a * b, _HEAD.size).reshape(a, b)
        at = _HEAD.size + 4 * a * b
        ids, labels, agglomerated = np.frombuffer(data, "<u8", 3 * count, at).reshape(3, count)
        kind = kind.rstrip(b"\0").decode()
        affinities = np.frombuffer(data, kind, a * b, at + 24 * count).reshape(a, b) if kind else None
        return cls(numbers, ids, labels, agglomerated, affinities)


_HEAD = struct.Struct("<qqq4s")


@dataclass(frozen=True, eq=False)
class Crossings:
    """Contacts of a chunk's pieces with those of a neighbour.

    Attributes:
      own: pieces of the chunk, shape (c,), uint64.
      partner: the pieces that they touch, shape (c,), uint64.
      cut: whether the two are of one source label, shape (c,).
      area: number of voxel faces, shape (c,), uint64.
      affinity: mean affinity over them, or their number, shape (c,), float32.
      agglomerated: agglomerated label of the partner, shape (c,), uint64.
    """

    own: Ids
    partner: Ids
    cut: npt.NDArray[np.bool_]
    area: Ids
    affinity: npt.NDArray[np.float32]
    agglomerated: Ids

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        wide = np.stack([self.own, self.partner, self.area, self.agglomerated]).astype("<u8").tobytes()
        return wide + self.affinity.astype("<f4").tobytes() + self.cut.astype(np.uint8).tobytes()

    @classmethod
    def decode(cls, data: bytes) -> Crossings:
        """The contacts that `encode` made."""
        count = len(data) // 37
        own, partner, area, agglomerated = np.frombuffer(data, "<u8", 4 * count).reshape(4, count)
        affinity = np.frombuffer(data, "<f4", count, 32 * count)
        return cls(own, partner, np.frombuffer(data, bool, count, 36 * count), area, affinity, agglomerated)


def crossings(lower: Plane, upper: Plane) -> tuple[Crossings, Crossings]:
    """Contacts across the face between two chunks, as the lower and as the upper one has them."""
    found = contacts_across(lower.numbers, upper.numbers, upper.affinities)
    first, second = (pieces.astype(np.int64) - 1 for pieces in (found.first, found.second))
    cut = lower.labels[first] == upper.labels[second]
    low, high = lower.ids[first], upper.ids[second]
    return (
        Crossings(low, high, cut, found.area, found.affinity, upper.agglomerated[second]),
        Crossings(high, low, cut, found.area, found.affinity, lower.agglomerated[first]),
    )
