"""Numbers that look random and depend on nothing but what they are asked for.

Every chunk is made on its own, by any process and in any order, so there is no generator with a
state to carry along: a number is the hash of the seed, of what it is for, and of where it is.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt

from beam_ingest.graphene import Ids

_STEP = np.uint64(0x9E3779B97F4A7C15)


def hashes(seed: int, purpose: str, *columns: npt.ArrayLike) -> Ids:
    """Hash integer `columns`, uint64 in the columns' broadcast shape, at least (1,).

    Args:
      seed: the sample's seed.
      purpose: what the numbers are for; other purposes give independent numbers.
      columns: integers that broadcast against each other; their order matters.
    """
    state = _mix(np.array([seed], np.uint64) ^ np.uint64(crc32(purpose.encode())))
    for column in columns:
        state = _mix(state ^ np.asarray(column).astype(np.uint64))
    return state


def fractions(seed: int, purpose: str, *columns: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """`hashes` as float64 in [0, 1)."""
    return (hashes(seed, purpose, *columns) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: Ids) -> Ids:
    """The step and finaliser of splitmix64."""
    state = state + _STEP
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
