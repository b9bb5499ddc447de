"""How elements look between the pipeline's stages.

Keys are chunk ids as 8 big-endian bytes and values are packed arrays, both under Beam's own bytes
coder: equal values are equal bytes on every runner, and nothing is pickled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import zstandard

from beam_ingest.format.table import Cells, Column, ColumnName
from beam_ingest.stages.progress import Counts

KEYED_BYTES = beam.typehints.Tuple[bytes, bytes]
"""The type of (chunk key, packed value)."""
_KEY = struct.Struct(">Q")
_SIZE = struct.Struct("<q")
_LEVEL = 1


def encode_key(chunk_id: int) -> bytes:
    """A chunk id as a group key."""
    return _KEY.pack(chunk_id)


def decode_key(key: bytes) -> int:
    """The chunk id of a group key."""
    return int(_KEY.unpack(key)[0])


def pack_blobs(blobs: Sequence[bytes | None]) -> bytes:
    """Several byte strings as one; None stays None."""
    parts: list[bytes] = []
    for blob in blobs:
        parts.append(_SIZE.pack(-1 if blob is None else len(blob)))
        if blob:
            parts.append(blob)
    return b"".join(parts)


def unpack_blobs(data: bytes) -> Iterator[bytes | None]:
    """The byte strings that `pack_blobs` took."""
    at = 0
    while at < len(data):
        (size,) = _SIZE.unpack_from(data, at)
        at += _SIZE.size
        yield None if size < 0 else data[at : at + size]
        at += max(size, 0)


def compress(data: bytes) -> bytes:
    """Arrays of ids as one zstd frame, a fourth to a sixth of the size: cheaper than to move them."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def decompress(data: bytes) -> bytes:
    """The bytes that `compress` took: never those of a file, whose size is not known beforehand."""
    return zstandard.ZstdDecompressor().decompress(data)


@dataclass(frozen=True, eq=False)
class WriteUnit:
    """Cells that become visible as done together.

    Attributes:
      mark: row key of the progress row to write after them; b"" for none.
      counts: what the progress row says.
      milliseconds: how long it took to build them.
      cells: the cells.
      after: cells that say what is done, written after the cells of this unit and of all before it; also
        by a job that is resumed.
    """

    mark: bytes
    counts: Counts
    milliseconds: int
    cells: Cells
    after: Cells = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes that a store has to take in."""
        return sum(column.nbytes for column in self.cells)


class WriteUnitCoder(beam.coders.Coder):  # type: ignore[misc]
    """Packs a `WriteUnit`, for runners that do not fuse building and writing."""

    def encode(self, value: WriteUnit) -> bytes:
        blobs: list[bytes | None] = [value.mark, value.counts.encode(), _SIZE.pack(value.milliseconds)]
        blobs.append(_SIZE.pack(len(value.cells)))
        for column in (*value.cells, *value.after):
            blobs += [
                column.name.family.encode(),
                column.name.qualifier,
                _SIZE.pack(column.keys.itemsize),
                None if column.content is None else _SIZE.pack(column.content),
                column.keys.tobytes(),
                column.data.tobytes(),
                column.offsets.astype("<i8").tobytes(),
            ]
        return pack_blobs(blobs)

    def decode(self, encoded: bytes) -> WriteUnit:
        mark, counts, milliseconds, count, *rest = [blob or b"" for blob in unpack_blobs(encoded)]
        cells = []
        for at in range(0, len(rest), 7):
            family, qualifier, width, content, keys, data, offsets = rest[at : at + 7]
            cells.append(
                Column(
                    ColumnName(family.decode(), qualifier),
                    np.frombuffer(keys, f"S{_SIZE.unpack(width)[0]}"),
                    np.frombuffer(data, np.uint8),
                    np.frombuffer(offsets, "<i8"),
                    _SIZE.unpack(content)[0] if content else None,
                )
            )
        (size,) = _SIZE.unpack(count)
        spent = _SIZE.unpack(milliseconds)[0]
        return WriteUnit(mark, Counts.decode(counts), spent, cells[:size], cells[size:])

    def estimate_size(self, value: WriteUnit) -> int:
        return value.nbytes

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return WriteUnit


class CountsCoder(beam.coders.Coder):  # type: ignore[misc]
    """Packs `Counts`."""

    def encode(self, value: Counts) -> bytes:
        return value.encode()

    def decode(self, encoded: bytes) -> Counts:
        return Counts.decode(encoded)

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return Counts


beam.coders.registry.register_coder(WriteUnit, WriteUnitCoder)
beam.coders.registry.register_coder(Counts, CountsCoder)
