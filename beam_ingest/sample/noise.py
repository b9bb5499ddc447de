"""Numbers that look random and depend on nothing but what they are asked for.

Every chunk is made on its own, by any process and in any order, so there is no generator with a
state to carry along: a number is the hash of the seed, of what it is for, and of where it is.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import splitmix64
from beam_ingest.format.grid import Ids


def hashes(seed: int, purpose: str, *columns: npt.ArrayLike) -> Ids:
    """Hash integer `columns`, uint64 in the columns' broadcast shape, at least (1,).

    Args:
      seed: the sample's seed.
      purpose: what the numbers are for; other purposes give independent numbers.
      columns: integers that broadcast against each other; their order matters.
    """
    state = splitmix64(np.array([seed], np.uint64) ^ np.uint64(crc32(purpose.encode())))
    for column in columns:
        state = splitmix64(state ^ np.asarray(column).astype(np.uint64))
    return state


def fractions(seed: int, purpose: str, *columns: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`hashes` as float64 in [0, 1)."""
    return (hashes(seed, purpose, *columns) >> np.uint64(11)).astype(np.float64) * 2.0**-53
