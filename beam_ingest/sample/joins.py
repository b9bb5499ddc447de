"""What the agglomeration joined: spanning pairs, and the mapping that follows from them.

A chunk's mapping are the connected components of the pairs kept with it and with its six face
neighbours. An edge over a face must be active, or not, for both of its chunks. So every chunk keeps
pairs that span what touches within it, and for each upper face what touches over it: these are seen
from both sides of the face.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import components
from beam_ingest.format.grid import Ids
from beam_ingest.inputs.components import Mapping
from beam_ingest.sample.supervoxels import Supervoxels, Touching, same_object


def joined_inside(supervoxels: Supervoxels, touching: Touching) -> tuple[npt.NDArray[np.int64], Ids]:
    """Join what belongs together within a chunk.

    Returns:
      The piece that each supervoxel belongs to, shape (n,), and pairs, shape (m, 2), of each
      supervoxel with the first of its piece.
    """
    joined = same_object(touching, supervoxels, supervoxels)
    pieces = components(len(supervoxels), touching.first[joined], touching.second[joined])
    _, first = np.unique(pieces, return_index=True)
    heads = first[pieces]
    others = np.flatnonzero(heads != np.arange(len(supervoxels)))
    return pieces, np.stack([supervoxels.ids[others], supervoxels.ids[heads[others]]], axis=1)


def joined_over(
    touching: Touching,
    lower: Supervoxels,
    lower_pieces: npt.NDArray[np.int64],
    upper: Supervoxels,
    upper_pieces: npt.NDArray[np.int64],
) -> Ids:
    """Pairs, shape (m, 2), that join the pieces of two chunks that belong together over their face."""
    joined = np.flatnonzero(same_object(touching, lower, upper))
    first, second = touching.first[joined], touching.second[joined]
    pieces = np.stack([lower_pieces[first], upper_pieces[second]], axis=1)
    _, one_each = np.unique(pieces, axis=0, return_index=True)
    return np.stack([lower.ids[first[one_each]], upper.ids[second[one_each]]], axis=1)


def mapping_of(pairs: Iterable[Ids]) -> Mapping:
    """The mapping of a chunk from the pairs, each (m, 2), kept with it and with its neighbours."""
    ids, ends = np.unique(np.concatenate(list(pairs)), return_inverse=True)
    ends = ends.reshape(-1, 2)
    return Mapping(ids, components(ids.size, ends[:, 0], ends[:, 1]))
