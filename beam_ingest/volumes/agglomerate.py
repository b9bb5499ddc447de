"""The agglomerated label of each piece: from a second volume, or from a table of labels. Pure numpy."""

from __future__ import annotations

import fastremap
import numpy as np

from beam_ingest.arrays import Ids, components, find, group_starts, offsets
from beam_ingest.volumes.contacts import Labels, Pieces


def most_frequent(pieces: Pieces, agglomerated: Labels) -> tuple[Ids, int]:
    """The agglomerated label that most voxels of each piece have; of several such the lowest.

    Args:
      pieces: the pieces of a chunk.
      agglomerated: the label at each voxel, of the chunk's shape; 0 is one like others.

    Returns:
      Labels of pieces 1, 2, …, shape (n,), uint64, and how many pieces have voxels of several labels.
    """
    flat = agglomerated.reshape(-1, order="F")
    begins = np.zeros(flat.size, bool)
    begins[pieces.run_starts] = True
    begins[1:] |= flat[1:] != flat[:-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=flat.size)
    numbers = pieces.numbers.reshape(-1, order="F")[starts].astype(np.uint64)
    labels = flat[starts]
    inside = numbers != 0
    numbers, labels, lengths = numbers[inside], labels[inside], lengths[inside]
    if not numbers.size:
        return np.empty(0, np.uint64), 0
    known, small = fastremap.unique(labels, return_inverse=True)
    keys = numbers * np.uint64(known.size) + small.reshape(-1).astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    keys, lengths = keys[order], lengths[order]
    starts = group_starts(keys)
    voxels = np.add.reduceat(lengths, starts)
    number, label = keys[starts] // np.uint64(known.size), keys[starts] % np.uint64(known.size)
    # By piece, most voxels first, then the lowest label.
    first = group_starts(number)
    best = np.lexsort((label, -voxels, number))[first]
    several = np.diff(offsets(first, number.size)) > 1
    return known[label[best]].astype(np.uint64), int(np.count_nonzero(several))


class LabelTable:
    """Which agglomerated label each supervoxel label has.

    Args:
      supervoxels: labels, shape (n,), uint64, ascending, each once.
      agglomerated: the label of each, shape (n,), uint64; 0 for one that belongs to nothing.
      whole: whether a label that is not in the table is an error; else it is an object of its own.
    """

    def __init__(self, supervoxels: Ids, agglomerated: Ids, whole: bool) -> None:
        self._supervoxels = supervoxels
        self._agglomerated = agglomerated
        self._whole = whole

    @classmethod
    def from_pairs(cls, first: Ids, second: Ids) -> LabelTable:
        """The table of pairs that are to be joined: the label is the lowest one of those joined."""
        known, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
        left, right = np.split(numbers.reshape(-1).astype(np.int64), 2)
        groups = components(known.size, left, right)
        _, lowest = np.unique(groups, return_index=True)
        return cls(known, known[lowest[groups]], whole=False)

    def of(self, labels: Ids) -> tuple[Ids, Ids]:
        """The agglomerated labels of `labels`, shape (n,), and those of `labels` that have none."""
        at, found = find(self._supervoxels, labels)
        if not self._supervoxels.size:
            return labels, labels if self._whole else labels[:0]
        taken = np.where(found, self._agglomerated[at], labels)
        return taken, labels[~found] if self._whole else labels[:0]
