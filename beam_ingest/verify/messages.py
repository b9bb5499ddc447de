"""What chunks tell the chunks above: facts, half edges and claims, packed as bytes.

A message is its kind and its columns of uint64. Equal messages are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from beam_ingest.arrays import group_starts, offsets
from beam_ingest.format.grid import Ids

FACTS, HALF_EDGES, CLAIMS = 2, 4, 3
"""Kinds of messages: each is the number of its columns."""
_ROWS = 1 << 17
"""Rows of one message: up to 4 MB."""

EMPTY = b""
"""A message that says only that the sender's parent exists."""


def scatter(kind: int, targets: Ids, columns: tuple[Ids, ...]) -> Iterator[tuple[int, bytes]]:
    """The rows of `columns`, each (n,), by the target of each, shape (n,): (target, message)."""
    order = np.argsort(targets, kind="stable")
    sorted_targets = targets[order]
    ends = offsets(group_starts(sorted_targets), order.size).tolist()
    for begin, end in zip(ends, ends[1:], strict=False):  # one turn a target
        for at in range(begin, end, _ROWS):
            rows = order[at : min(at + _ROWS, end)]
            head = np.array([kind], "<u8").tobytes()
            data = [column[rows].astype("<u8", copy=False).tobytes() for column in columns]
            yield int(sorted_targets[begin]), b"".join([head, *data])


def gather(messages: Iterable[bytes]) -> dict[int, tuple[Ids, ...]]:
    """The columns of each kind, of all messages together."""
    parts: dict[int, list[Ids]] = {
        kind: [np.empty((kind, 0), np.uint64)] for kind in (FACTS, HALF_EDGES, CLAIMS)
    }
    for message in messages:
        if message:
            numbers = np.frombuffer(message, "<u8")
            kind = int(numbers[0])
            parts[kind].append(numbers[1:].reshape(kind, -1))
    return {kind: tuple(np.concatenate(found, axis=1)) for kind, found in parts.items()}
