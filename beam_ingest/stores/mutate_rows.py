"""The bytes of MutateRows requests, laid out for many rows at once.

A request of the Bigtable API (google/bigtable/v2/bigtable.proto) is a protobuf message whose field 2
repeats: one entry a row, with its key and one SetCell mutation here. All entries of one column whose
values are of one width differ in key and value alone, so they are rows of one byte matrix: no object
and no call per row. Protobuf takes fields in any order and repeated ones one by one, so a
request is the head and the entries, one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from beam_ingest.format.table import Bytes, Cells, Indices, Keys, merged

_ROW_KEY, _MUTATIONS = 1, 2
_SET_CELL = 1
_FAMILY, _QUALIFIER, _TIMESTAMP, _VALUE = 1, 2, 3, 4
_TABLE_NAME, _ENTRIES, _APP_PROFILE = 1, 2, 3


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of one width.

    Attributes:
      data: shape (n, width), uint8: each row is one entry with its tag and length.
      keys: row keys, shape (n,).
    """

    data: Bytes
    keys: Keys

    def take(self, at: Indices | slice) -> Entries:
        """Some of the entries."""
        return Entries(self.data[at], self.keys[at])


@dataclass(frozen=True, eq=False)
class Batch:
    """The entries of one request."""

    parts: tuple[Entries, ...]

    def __len__(self) -> int:
        return sum(part.keys.size for part in self.parts)

    def data(self) -> bytes:
        """The entries as they stand in the request."""
        return b"".join([part.data.tobytes() for part in self.parts])

    def first_key(self) -> bytes:
        """Row key of the first entry."""
        return bytes(self.parts[0].keys[0])

    def take(self, at: Indices) -> Batch:
        """The entries at ascending positions `at`, at least one."""
        ends = np.cumsum([part.keys.size for part in self.parts])
        chosen = []
        for part, end in zip(self.parts, ends.tolist(), strict=True):
            begin = end - part.keys.size
            inside = at[(at >= begin) & (at < end)] - begin
            if inside.size:
                chosen.append(part.take(inside))
        return Batch(tuple(chosen))


def encode_head(table_name: str, app_profile: str) -> bytes:
    """The part of a request that does not depend on its rows."""
    head = _field(_TABLE_NAME, table_name.encode())
    return head + _field(_APP_PROFILE, app_profile.encode()) if app_profile else head


def encode_batches(cells: Cells, timestamp: int, most_entries: int, most_bytes: int) -> Iterator[Batch]:
    """All cells as requests of bounded size.

    Args:
      cells: the cells.
      timestamp: of all of them, microseconds.
      most_entries: entries in one request.
      most_bytes: bytes of one request, unless a single entry is larger.
    """
    parts: list[Entries] = []
    count = size = 0
    for entries in encode_entries(cells, timestamp):
        begin, width = 0, entries.data.shape[1]
        while begin < entries.keys.size:
            room = min(most_entries - count, (most_bytes - size) // width)
            if room <= 0 and parts:
                yield Batch(tuple(parts))
                parts, count, size = [], 0, 0
                continue
            part = entries.take(slice(begin, begin + max(room, 1)))
            parts.append(part)
            begin += part.keys.size
            count += part.keys.size
            size += part.data.size
    if parts:
        yield Batch(tuple(parts))


def encode_entries(cells: Cells, timestamp: int) -> Iterator[Entries]:
    """The entries of all cells, grouped by column and width of the value.

    Args:
      cells: the cells; columns may occur several times.
      timestamp: of all of them, microseconds.
    """
    for column in merged(cells):
        widths = np.diff(column.offsets)
        head = (column.name.family.encode(), column.name.qualifier, timestamp)
        for width in np.unique(widths).tolist():
            at = np.flatnonzero(widths == width)
            keys = column.keys[at]
            yield Entries(_matrix(head, keys, column.data, column.offsets[at], width), keys)


def _matrix(head: tuple[bytes, bytes, int], keys: Keys, data: Bytes, begins: Indices, width: int) -> Bytes:
    """Entries of one column whose values all have `width` bytes."""
    family, qualifier, timestamp = head
    before_value = (
        _field(_FAMILY, family)
        + _field(_QUALIFIER, qualifier)
        + _tag(_TIMESTAMP, 0)
        + _varint(timestamp)
        + _tag(_VALUE, 2)
        + _varint(width)
    )
    set_cell = len(before_value) + width
    mutation_head = _tag(_SET_CELL, 2) + _varint(set_cell)
    mutation = len(mutation_head) + set_cell
    between = _tag(_MUTATIONS, 2) + _varint(mutation) + mutation_head + before_value
    key_width = keys.itemsize
    before_key = _tag(_ROW_KEY, 2) + _varint(key_width)
    entry = len(before_key) + key_width + len(between) + width
    before_key = _tag(_ENTRIES, 2) + _varint(entry) + before_key

    out = np.empty((keys.size, len(before_key) + key_width + len(between) + width), np.uint8)
    at = 0
    for part in (
        np.frombuffer(before_key, np.uint8),
        keys.view(np.uint8).reshape(-1, key_width),
        np.frombuffer(between, np.uint8),
        np.lib.stride_tricks.sliding_window_view(data, width)[begins] if width else None,
    ):
        if part is not None:
            out[:, at : at + part.shape[-1]] = part
            at += part.shape[-1]
    return out


def _varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _field(field: int, content: bytes) -> bytes:
    """A field of bytes: tag, length, content."""
    return _tag(field, 2) + _varint(len(content)) + content
