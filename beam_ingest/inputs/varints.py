"""Protobuf's varints, all numbers of a packed field at once.

A varint is seven bits a byte, lowest first; the last byte is the one below 128.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import words
from beam_ingest.format.grid import Ids

_LONGEST = 9
"""Bytes of the longest varint that is read here: 63 bits."""


def only_field(data: bytes, tag: int) -> npt.NDArray[np.uint8] | None:
    """The content of a message that is nothing but one field of bytes with a `tag` below 128, else None."""
    at, size, shift = 1, 0, 0
    while at < min(len(data), _LONGEST):
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            whole = data[0] == tag and at + size == len(data)
            return np.frombuffer(data, np.uint8, offset=at) if whole and size else None
    return None


def decode_varints(data: npt.NDArray[np.uint8]) -> Ids | None:
    """The numbers, shape (n,), in `data`, shape (bytes >= 1,).

    Returns:
      None when one is cut off or longer than 63 bits: then protobuf's own parser has to tell.
    """
    last = np.flatnonzero(data < 0x80)
    if data[-1] >= 0x80:
        return None
    first = np.append(0, last[:-1] + 1)
    more = last - first  # bytes after the first
    if more.max() >= _LONGEST:
        return None
    # Eight bytes from every first one; those of the next number are cut off again.
    numbers: Ids = words(np.append(data, np.zeros(7, np.uint8)))[first].astype(np.uint64, copy=False)
    short = np.flatnonzero(more < 7)
    numbers[short] &= (np.uint64(256) << (8 * more[short]).astype(np.uint64)) - np.uint64(1)
    numbers &= np.uint64(0x7F7F7F7F7F7F7F7F)
    # Neighbours move together: groups of 7 bits become groups of 14, 28 and 56.
    for bits, high in ((1, 0x7F007F007F007F00), (2, 0x3FFF00003FFF0000), (4, 0x0FFFFFFF00000000)):
        upper = numbers & np.uint64(high)
        numbers ^= upper
        numbers |= upper >> np.uint64(bits)
    numbers |= np.where(more == 8, data[last], 0).astype(np.uint64) << np.uint64(56)
    return numbers
