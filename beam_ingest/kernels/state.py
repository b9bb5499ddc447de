"""What a built chunk passes up to its parent and across to its neighbours' parents, packed as bytes.

A message is one chunk's state, or a piece of it, or the halo it sends to a chunk that is not its
parent. Equal messages are equal bytes; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import Ids, Layers

_WORDS = 8
PIECE_BYTES = 4 << 20
"""Messages are cut to about this size: what one group element takes in a worker's memory."""


def _empty() -> Ids:
    return np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class Message:
    """Arrays that travel between layers.

    Attributes:
      own: nodes (or nodes in transit) of the sender, shape (e,), uint64.
      partner: the name by which the sender knows the other end of each edge, shape (e,), uint64.
      cross_layer: the highest layer at which the two ends' chunks differ, shape (e,), uint8.
      old: names by which partners know the sender's nodes, shape (a,), uint64.
      new: the names they have from now on, shape (a,), uint64.
      listed_chunk: layer-2 senders alone: chunks that its edges file points into, shape (c,), uint64.
      listed_count: how many different edges the file lists to each, shape (c,), uint64.
      listed_sum: a checksum over those edges that both ends agree on, shape (c,), uint64.
      active_count: how many of them are active, shape (c,), uint64.
      active_sum: a checksum over these, shape (c,), uint64.
    """

    own: Ids
    partner: Ids
    cross_layer: Layers
    old: Ids
    new: Ids
    listed_chunk: Ids
    listed_count: Ids
    listed_sum: Ids
    active_count: Ids
    active_sum: Ids

    @classmethod
    def make(cls, **arrays: npt.NDArray[np.generic]) -> Message:
        """A message of some of the arrays, the others empty."""
        empty = {f.name: _empty() for f in fields(cls)} | {"cross_layer": np.empty(0, np.uint8)}
        every: Any = empty | arrays
        return cls(**every)

    @classmethod
    def concatenate(cls, messages: list[Message]) -> Message:
        """One message of all the arrays in order."""
        names = [f.name for f in fields(cls)]
        arrays: Any = {name: np.concatenate([getattr(m, name) for m in messages]) for name in names}
        return cls(**arrays)


@dataclass(frozen=True, eq=False)
class Envelope:
    """A piece of a message with its sender.

    Attributes:
      sender: chunk id of the chunk that was built.
      halo: whether it goes across, to a chunk that is not the sender's parent.
      piece: number of this piece, from 0.
      pieces: how many there are.
      message: its arrays.
    """

    sender: int
    halo: bool
    piece: int
    pieces: int
    message: Message


def pack(sender: int, halo: bool, message: Message) -> Iterator[bytes]:
    """The message of chunk `sender` in pieces of about PIECE_BYTES; at least one, even when empty."""
    arrays = [getattr(message, f.name) for f in fields(Message)]
    pieces = max(1, -(-sum(a.nbytes for a in arrays) // PIECE_BYTES))
    for piece in range(pieces):
        part = [a[a.size * piece // pieces : a.size * (piece + 1) // pieces] for a in arrays]
        head = np.array([sender, halo, piece, pieces, *(a.size for a in part)], "<u8")
        yield b"".join(
            [head.tobytes(), *(a.astype(a.dtype.newbyteorder("<"), copy=False).tobytes() for a in part)]
        )


def unpack(data: bytes) -> Envelope:
    """The piece that `pack` made, its arrays views into `data`."""
    names = [f.name for f in fields(Message)]
    sender, halo, piece, pieces, *sizes = np.frombuffer(data, "<u8", 4 + len(names)).tolist()
    at = _WORDS * (4 + len(names))
    arrays: Any = {}
    for name, size in zip(names, sizes, strict=True):
        dtype = np.dtype("u1") if name == "cross_layer" else np.dtype("<u8")
        arrays[name] = np.frombuffer(data, dtype, size, at)
        at += size * dtype.itemsize
    return Envelope(sender, bool(halo), piece, pieces, Message(**arrays))
