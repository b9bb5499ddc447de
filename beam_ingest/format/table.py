"""The table PyChunkedGraph servers read: row keys, column families, cells and their encodings.

Every fact of the table's format stands here. Sources: kvdbclient (serializers.py, attributes.py,
base.py) and pychunkedgraph/graph/meta.py. docs/design.md has the table of cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt
import zstandard

from beam_ingest.arrays import words
from beam_ingest.format.grid import Ids

Keys: TypeAlias = npt.NDArray[np.bytes_]
Indices: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


class Family(NamedTuple):
    """A column family and what of it is collected as garbage."""

    name: str
    max_versions: int | None = None
    max_age: timedelta | None = None


FAMILIES = (
    Family("0"),
    Family("1", max_versions=1),
    Family("2"),
    Family("3", max_age=timedelta(days=365)),
    Family("4"),
)

VERSIONS = {2: "2.21.0", 3: "3.1.7"}
"""Graph versions and what the version row says: the major number is what a server accepts."""


class ColumnName(NamedTuple):
    """Family and qualifier of a cell."""

    family: str
    qualifier: bytes


PARENT = ColumnName("0", b"parents")
CHILDREN = ColumnName("0", b"children")
COUNTER = ColumnName("1", b"counter")
META = ColumnName("0", b"meta")
VERSION = ColumnName("0", b"version")
META_KEY = b"meta"
VERSION_KEY = b"version"


ColumnsByLayer: TypeAlias = Callable[[int], ColumnName]
"""Columns that there is one of per cross layer."""


def atomic_cross_edges(cross_layer: int) -> ColumnName:
    """The column of a layer-2 node's (own supervoxel, partner supervoxel) pairs."""
    return ColumnName("3", b"atomic_cross_edges_%d" % cross_layer)


def cross_edges(cross_layer: int) -> ColumnName:
    """The column of a node's (own id, partner id) pairs; graph version 3 alone has it."""
    return ColumnName("4", b"cross_edges_%d" % cross_layer)


@dataclass(frozen=True, eq=False)
class Column:
    """n cells of one column, in arrays.

    Attributes:
      name: family and qualifier.
      keys: row keys, shape (n,), bytes of one width.
      data: the values one after another, shape (total,), uint8.
      offsets: where each value begins, and the end of the last, shape (n + 1,), int64.
      content: checksum of what a compressor made the values of, since another version of it makes
        others; None where the values themselves are the content.
    """

    name: ColumnName
    keys: Keys
    data: Bytes
    offsets: Indices
    content: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of keys, qualifiers and values: what a store has to take in."""
        return int(self.data.size) + self.keys.size * (self.keys.itemsize + len(self.name.qualifier))

    @property
    def checksum(self) -> int:
        """What tells the column from one of other content."""
        value = crc32(self.keys.tobytes(), crc32(self.name.qualifier))
        if self.content is not None:
            return crc32(self.content.to_bytes(4, "little"), value)
        return crc32(self.data.tobytes(), crc32(self.offsets.tobytes(), value))


Cells: TypeAlias = list[Column]
"""Cells to write together. No cell is in it twice."""


def merged(cells: Cells) -> Iterator[Column]:
    """The same cells in fewer columns: one for each name and width of row key.

    Args:
      cells: the cells; columns may occur several times.
    """
    alike: dict[object, list[Column]] = defaultdict(list)
    for column in cells:
        if column.keys.size:
            alike[column.name, column.keys.itemsize].append(column)
    for columns in alike.values():
        if len(columns) == 1:
            yield columns[0]
            continue
        sizes = np.concatenate([np.diff(column.offsets) for column in columns])
        yield Column(
            columns[0].name,
            np.concatenate([column.keys for column in columns]),
            np.concatenate([column.data for column in columns]),
            np.append(0, np.cumsum(sizes)),
        )


def fixed(name: ColumnName, keys: Keys, values: npt.NDArray[np.generic]) -> Column:
    """A column whose values are the items of one array, shape (n,)."""
    data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    return Column(name, keys, data, np.arange(keys.size + 1) * values.itemsize)


def single(name: ColumnName, key: bytes, value: bytes) -> Column:
    """A column of one cell."""
    return Column(name, np.array([key]), np.frombuffer(value, np.uint8), np.array([0, len(value)]))


# Row keys


_FOUR_DIGITS = np.array([b"%04d" % n for n in range(10_000)], "S4")


def node_keys(ids: Ids) -> Keys:
    """Row keys of nodes, shape (n,): ``b"%020d"``."""
    groups = np.empty((ids.size, 5), "S4")
    rest = ids
    for at in range(4, -1, -1):
        high = rest // np.uint64(10_000)
        groups[:, at] = _FOUR_DIGITS[(rest - high * np.uint64(10_000)).astype(np.int64)]
        rest = high
    return groups.view("S20").reshape(-1)


def node_key(node: int) -> bytes:
    """Row key of one node."""
    return b"%020d" % node


def counter_key(chunk_id: int) -> bytes:
    """Row key of the counter of a chunk's segments."""
    return b"i%020d" % chunk_id


def root_counter_key(root_chunk_id: int, shard: int) -> bytes:
    """Row key of one of the root chunk's counters."""
    return b"i%020d_%d" % (root_chunk_id, shard)


def counter(key: bytes, highest: int) -> Column:
    """A counter row: the highest segment used (of a root shard: the highest k)."""
    return single(COUNTER, key, highest.to_bytes(8, "big", signed=True))


# Values


def encode_ids(ids: Ids) -> Ids:
    """Ids as they stand in cells: 8 bytes each, little endian."""
    return ids.astype("<u8", copy=False)


RAW_BLOCK_BYTES = 128 << 10
"""The largest zstd block. Longer arrays go through the compressor."""
_LEVEL = 3


def id_arrays(name: ColumnName, keys: Keys, ids: Ids, offsets: Indices) -> Column:
    """A column of id arrays, each a zstd frame.

    Readers only decompress, so arrays of up to RAW_BLOCK_BYTES become frames of one raw block, which
    need no compressor and can be laid out for all rows at once (RFC 8878, 3.1.1).

    Args:
      name: the column.
      keys: row keys, shape (n,).
      ids: all arrays one after another, shape (total,), uint64.
      offsets: where each array begins in `ids`, and the end, shape (n + 1,).
    """
    sizes = 8 * np.diff(offsets)
    if (sizes > RAW_BLOCK_BYTES).any():
        return _compressed(name, keys, ids, offsets)
    # Frame header: magic, descriptor (single segment, width of the size), size; block header.
    wide = sizes >= 256
    widest = sizes >= 65_536 + 256
    header_bytes = np.where(widest, 12, np.where(wide, 10, 9))
    ends = np.concatenate([[0], np.cumsum(header_bytes + sizes)])
    begins = ends[:-1]
    out = np.empty(int(ends[-1]), np.uint8)
    is_data = np.ones(out.size, bool)
    for mask, width, descriptor, bias, size_bytes in (
        (~wide, 9, 0x20, 0, 1),
        (wide & ~widest, 10, 0x60, 256, 2),
        (widest, 12, 0xA0, 0, 4),
    ):
        at = begins[mask]
        if at.size == 0:
            continue
        header = np.empty((at.size, width), np.uint8)
        header[:, :5] = np.frombuffer(b"\x28\xb5\x2f\xfd" + bytes([descriptor]), np.uint8)
        header[:, 5 : 5 + size_bytes] = _little_endian(sizes[mask] - bias, size_bytes)
        header[:, 5 + size_bytes :] = _little_endian(sizes[mask] << 3 | 1, 3)  # last block, raw
        words(out)[at] = header[:, :8].copy().view("<u8")[:, 0]
        words(is_data)[at] = 0
        for column in range(8, width):
            out[at + column] = header[:, column]
            is_data[at + column] = False
    out[is_data] = encode_ids(ids).view(np.uint8)
    return Column(name, keys, out, ends)


def _little_endian(numbers: Indices, width: int) -> Bytes:
    """The lowest `width` bytes of each number, shape (n, width)."""
    return numbers.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]


def _compressed(name: ColumnName, keys: Keys, ids: Ids, offsets: Indices) -> Column:
    """`id_arrays` of which at least one is longer than a raw block: one compressor call each."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    data, ends = encode_ids(ids), offsets.tolist()
    frames = [compressor.compress(data[a:b].tobytes()) for a, b in zip(ends, ends[1:], strict=False)]
    sizes = np.array([len(frame) for frame in frames])
    content = crc32(data.tobytes(), crc32(offsets.astype("<i8").tobytes()))
    joined = np.frombuffer(b"".join(frames), np.uint8)
    return Column(name, keys, joined, np.append(0, np.cumsum(sizes)), content)


def decode_ids(value: bytes) -> Ids:
    """The ids of a zstd frame, shape (n,)."""
    content = zstandard.ZstdDecompressor().decompress(value)
    return np.frombuffer(content, "<u8").astype(np.uint64, copy=False)
