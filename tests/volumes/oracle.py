"""What volumes must become, found voxel by voxel over the whole volume: no chunk by chunk, no shared code."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import product

import numpy as np

Coords = tuple[int, int, int]
Piece = tuple[Coords, int]
"""The chunk and the source label."""


@dataclass
class Expected:
    """Attributes:
    pieces: every piece, with the agglomerated label that most of its voxels have.
    area: voxel faces between two pieces, lower one first.
    affinity: sum of the affinities of these faces.
    """

    pieces: dict[Piece, int] = field(default_factory=dict)
    area: Counter[tuple[Piece, Piece]] = field(default_factory=Counter)
    affinity: defaultdict[tuple[Piece, Piece], float] = field(default_factory=lambda: defaultdict(float))

    def segments(self) -> dict[Piece, int]:
        """Numbers of the pieces in their chunks, from 1, in order of their labels."""
        numbers: Counter[Coords] = Counter()
        found = {}
        for chunk, label in sorted(self.pieces):
            numbers[chunk] += 1
            found[chunk, label] = numbers[chunk]
        return found

    def touching(self) -> set[Piece]:
        return {piece for pair in self.area for piece in pair}


def expect(
    supervoxels: np.ndarray,
    chunk_size: Coords,
    segmentation: np.ndarray | None = None,
    affinities: np.ndarray | None = None,
) -> Expected:
    """Look at every voxel and its upper neighbours."""
    expected = Expected()
    votes: defaultdict[Piece, Counter[int]] = defaultdict(Counter)

    def piece(at: Coords) -> Piece | None:
        label = int(supervoxels[at])
        x, y, z = (a // c for a, c in zip(at, chunk_size, strict=True))
        return ((x, y, z), label) if label else None

    for at in product(*map(range, supervoxels.shape)):
        mine = piece(at)
        if mine is None:
            continue
        votes[mine][int(supervoxels[at] if segmentation is None else segmentation[at])] += 1
        for axis in range(3):
            x, y, z = (a + (i == axis) for i, a in enumerate(at))
            if (x, y, z)[axis] == supervoxels.shape[axis]:
                continue
            other = piece((x, y, z))
            if other is None or other == mine:
                continue
            pair = (min(mine, other), max(mine, other))
            expected.area[pair] += 1
            if affinities is not None:
                expected.affinity[pair] += float(affinities[x, y, z, axis])
    for mine, counted in votes.items():
        most = max(counted.values())
        expected.pieces[mine] = min(label for label, count in counted.items() if count == most)
    return expected
