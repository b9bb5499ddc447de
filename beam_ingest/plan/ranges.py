"""Figures with the range that a sample supports."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """An estimate.

    Attributes:
      low, high: between these it lies in nineteen of twenty cases, as far as the sample can tell.
      expected: the best guess.
    """

    low: float
    expected: float
    high: float

    @classmethod
    def exact(cls, value: float) -> Range:
        """A figure that is known."""
        return cls(value, value, value)

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        factor = other if isinstance(other, Range) else Range.exact(other)
        return Range(self.low * factor.low, self.expected * factor.expected, self.high * factor.high)

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"low": self.low, "expected": self.expected, "high": self.high}


def within(value: float, share: float) -> Range:
    """A figure that may be off by a share of itself either way."""
    return Range(value * max(0.0, 1 - share), value, value * (1 + share))


def ratio(amounts: Numbers, sizes: Numbers, known: float) -> Range:
    """How much there is for each unit of size: the sum of amounts over the sum of sizes.

    The range is that of the ratio estimator: the spread of the residuals over the units of the sample.

    Args:
      amounts: of each unit of the sample, shape (n,).
      sizes: of each, shape (n,).
      known: the share of the whole that the sample has; of 1 nothing is left to guess.
    """
    total = float(sizes.sum())
    if not total:
        return Range(0.0, 0.0, 0.0)
    found = float(amounts.sum()) / total
    if known >= 1:
        return Range.exact(found)
    count = int(np.count_nonzero(sizes))
    if count < 2:
        return within(found, _ALONE)
    residuals = (amounts - found * sizes)[sizes > 0]
    spread = math.sqrt(float((residuals**2).sum()) / (count - 1) * count * (1 - known)) / total
    return within(found, max(_LEAST, student(count - 1) * spread / found) if found else 0.0)


_LEAST = 0.02
"""Share by which any estimate may be off: a sample of even chunks looks surer than it is."""
_ALONE = 0.5
"""Share by which what one unit alone tells may be off."""


def student(freedom: int) -> float:
    """Student's t for 95 %, two-sided, within a percent or two of the tables from two degrees on."""
    return 12.7 if freedom == 1 else 1.96 + 2.4 / freedom + 3.0 / freedom**2
