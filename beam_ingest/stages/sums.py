"""Whole numbers under names that add up over chunks, and how they are kept in a cell."""

from __future__ import annotations

from operator import add
from typing import TypeVar

import numpy as np

_Sums = TypeVar("_Sums", bound="Sums")


class Sums:
    """Base of frozen dataclasses whose fields are all whole numbers."""

    def __add__(self: _Sums, other: _Sums) -> _Sums:
        # Of the instance's own dict: dataclasses.asdict copies deeply, and this is done for every chunk.
        return type(self)(*map(add, vars(self).values(), vars(other).values()))

    def encode(self) -> bytes:
        """The fields as little-endian int64, in order."""
        return np.array(list(vars(self).values()), "<i8").tobytes()

    @classmethod
    def decode(cls: type[_Sums], value: bytes) -> _Sums:
        """The numbers that `encode` made."""
        return cls(*np.frombuffer(value, "<i8").tolist())
