"""Shard files of raw agglomeration: ``chunked_rg/*.data`` and ``remap/*.data``.

A shard file holds the payloads of several chunks:

    ``SO01`` | index offset u64 | index length u64 | payload, crc32 | ... | index records, crc32

All numbers are little endian. Index length and payload sizes count their crc32 (4 bytes). An index
record is the layer-1 chunk id (two of them for edges between chunks), offset and size, all u64. No
two of them share a byte, so what a file holds is never more than its size.
Source: pychunkedgraph/ingest/ran_agglomeration.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import InputError
from beam_ingest.format.grid import Ids

MAGIC = b"SO01"
_HEADER_BYTES = 20
_CRC_BYTES = 4


def encode_shard(chunk_ids: Ids, payloads: Sequence[bytes]) -> bytes:
    """The content of a shard file.

    Args:
      chunk_ids: layer-1 chunk ids of the payloads, shape (n,), or (n, 2) for pairs of chunks.
      payloads: n payloads without their crc.
    """
    keys = np.asarray(chunk_ids, "<u8").reshape(len(payloads), -1 if payloads else 1)
    body = [payload + _crc(payload) for payload in payloads]
    sizes = np.array([len(payload) for payload in body], "<u8")
    ends = np.cumsum(sizes, dtype="<u8") + np.uint64(_HEADER_BYTES)
    index = np.column_stack([keys, ends - sizes, sizes]).astype("<u8").tobytes()
    index += _crc(index)
    offset = int(ends[-1]) if payloads else _HEADER_BYTES
    header = MAGIC + np.array([offset, len(index)], "<u8").tobytes()
    return header + b"".join(body) + index


def _ids(chunk_ids: Sequence[int]) -> str:
    return " and ".join(map(str, chunk_ids)) or "any"


def decode_shard(
    data: bytes,
    ids_per_record: int,
    item_bytes: int,
    file: str,
    names: Callable[[Sequence[int]], str] = _ids,
) -> Iterator[tuple[tuple[int, ...], memoryview]]:
    """Yield ``(chunk ids, payload)`` of every record of a shard file, crcs checked.

    Args:
      data: the file's bytes.
      ids_per_record: 1, or 2 for edges between chunks.
      item_bytes: a payload is a whole number of items of so many bytes.
      file: its path, for messages.
      names: what messages call the chunks of a record; of no chunks, those of the whole file.

    Raises:
      InputError: when magic, index, a crc or a payload's length is wrong, or payloads overlap.
    """
    index = _index(data, ids_per_record, lambda *said: InputError(file, names(()), *said))
    _check_ranges(
        index[:, -2:], data, lambda at, *said: InputError(file, names(index[at, :-2].tolist()), *said)
    )
    for *chunk_ids, offset, size in index.tolist():

        def wrong(*said: str, chunk_ids: list[int] = chunk_ids) -> InputError:
            return InputError(file, names(chunk_ids), *said)

        stored = memoryview(data)[offset : offset + size]
        payload = stored[:-_CRC_BYTES]
        if _crc(payload) != stored[-_CRC_BYTES:]:
            raise wrong("a payload with its crc32", "a payload whose crc32 differs")
        if len(payload) % item_bytes:
            advice = "correct DATA_VERSION, or write the file again"
            raise wrong(f"records of {item_bytes} bytes", f"{len(payload)} bytes of them", advice)
        yield tuple(chunk_ids), payload


def _check_ranges(
    ranges: npt.NDArray[np.uint64], data: bytes, wrong: Callable[[int, str, str], InputError]
) -> None:
    """Raise unless the payloads at `ranges` of (offset, size), shape (n, 2), are in the file and apart.

    A payload named twice would be summed twice, and a few bytes named a million times fill the memory.
    """
    end = np.uint64(len(data))
    offsets, sizes = ranges.T
    outside = (offsets < _HEADER_BYTES) | (offsets > end) | (sizes < _CRC_BYTES)
    outside |= sizes > end - np.minimum(offsets, end)
    if outside.any():
        at = int(np.argmax(outside))
        found = f"offset {offsets[at]}, size {sizes[at]}"
        raise wrong(at, f"a payload within the file's {len(data)} bytes", found)
    every = np.vstack([ranges, np.frombuffer(data[4:_HEADER_BYTES], "<u8")])  # the index is no payload
    order = np.lexsort((np.arange(len(every)), every[:, 0]))
    begins, ends = every[order, 0], every[order].sum(axis=1)
    shared = np.flatnonzero(begins[1:] < ends[:-1])
    if shared.size:
        one, other = sorted(order[shared[0] : shared[0] + 2].tolist())
        at = other if other < len(ranges) else one
        found = f"offset {offsets[at]}, size {sizes[at]}, where another is, or the index"
        raise wrong(at, "every byte in one payload", found)


def _index(
    data: bytes, ids_per_record: int, wrong: Callable[[str, str], InputError]
) -> npt.NDArray[np.uint64]:
    if len(data) < _HEADER_BYTES or data[:4] != MAGIC:
        expected = f"a shard file, {MAGIC.decode()} and {_HEADER_BYTES} bytes or more"
        raise wrong(expected, f"{bytes(data[:4])!r} and {len(data)} bytes")
    offset, size = np.frombuffer(data[4:_HEADER_BYTES], "<u8").tolist()
    record_bytes = 8 * (ids_per_record + 2)
    if offset < _HEADER_BYTES or offset + size > len(data) or size < _CRC_BYTES:
        raise wrong(f"an index within the file's {len(data)} bytes", f"offset {offset}, length {size}")
    index = data[offset : offset + size]
    if _crc(index[:-_CRC_BYTES]) != index[-_CRC_BYTES:]:
        raise wrong("an index with its crc32", "an index whose crc32 differs")
    if (size - _CRC_BYTES) % record_bytes:
        raise wrong(f"index records of {record_bytes} bytes", f"{size - _CRC_BYTES} bytes")
    return np.frombuffer(index[:-_CRC_BYTES], "<u8").reshape(-1, ids_per_record + 2)


def _crc(data: bytes | memoryview) -> bytes:
    return crc32(data).to_bytes(_CRC_BYTES, "little")
