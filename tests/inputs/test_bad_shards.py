"""Shard files of raw agglomeration that cannot be right. They are put together here, field by field."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.errors import InputError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.agglomeration import BETWEEN, FAKE, IN_CHUNK, REMAP, ShardFile, read_shard
from tests.conftest import GRID
from tests.examples import examples
from tests.oracle.datasets import Coords

RECORD = struct.Struct("<QQfQfQfQ")
"""An edge record of DATA_VERSION 4: two supervoxels, then affinity and area along x, y and z."""
PAIR = struct.Struct("<QQ")
"""A record of a remap file."""
HEADER = struct.Struct("<4sQQ")
HERE: Coords = (1, 0, 1)
NAME = "1_0_1"
AGAIN = "write the file again"

Payload = tuple[tuple[int, ...], bytes]


def chunk(x: int, y: int, z: int) -> int:
    return GRID.chunk_id(1, (x, y, z))


def edge(first: int, second: int) -> bytes:
    return RECORD.pack(first, second, 0.5, 1, 0.5, 1, 0.5, 1)


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def shard(*payloads: Payload, index: Callable[[bytes], bytes] = lambda records: records) -> bytes:
    """A shard file; `index` changes its index records before their crc is taken."""
    body, records = b"", b""
    for ids, payload in payloads:
        stored = payload + crc(payload)
        records += struct.pack(f"<{len(ids)}QQQ", *ids, HEADER.size + len(body), len(stored))
        body += stored
    records = index(records)
    return HEADER.pack(b"SO01", HEADER.size + len(body), len(records) + 4) + body + records + crc(records)


ID, NEXT = chunk(*HERE), chunk(2, 0, 1)
EDGE = edge(ID + 1, ID + 2)
SOUND = shard(((ID,), EDGE))
INDEX_AT = len(SOUND) - 28
"""Where its index begins: a record of three numbers, and a crc."""


def patched(at: int, value: bytes, data: bytes = SOUND) -> bytes:
    at %= len(data)
    return data[:at] + value + data[at + len(value) :]


def flipped(at: int, data: bytes = SOUND) -> bytes:
    """The file with one bit of the byte at `at` turned over."""
    return patched(at, bytes([data[at] ^ 16]), data)


def placed(offset: int, size: int) -> bytes:
    """The file whose index says that the payload is somewhere else."""
    return shard(((ID,), EDGE), index=lambda records: records[:8] + struct.pack("<QQ", offset, size))


MAGIC = "a shard file, SO01 and 20 bytes or more, found"
WITHIN = "an index within the file's"
INDEX_CRC = "an index with its crc32, found an index whose crc32 differs;"
PAYLOAD_CRC = "a payload with its crc32, found a payload whose crc32 differs;"


def refused(kind: str, content: bytes, mip: int = 0, coords: Coords = HERE) -> str:
    """What is wrong with a shard file: what stands after file and chunk, and the chunk."""
    grid = ChunkGrid(GRID.chunks)
    with pytest.raises(InputError) as caught:
        read_shard(grid, ShardFile(kind, mip, coords), content, 4, "some.data")
    message = str(caught.value)
    assert message.startswith("some.data: chunk ")
    return message.removeprefix("some.data: ")


def test_a_sound_file() -> None:
    grid = ChunkGrid(GRID.chunks)
    (payload,) = read_shard(grid, ShardFile(IN_CHUNK, 0, HERE), SOUND, 4, "some.data")
    assert (payload.chunks, bytes(payload.data)) == ((ID,), EDGE)


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{MAGIC} b'' and 0 bytes;"),
        (SOUND[:19], f"{MAGIC} b'SO01' and 19 bytes;"),
        (patched(0, b"SO02"), f"{MAGIC} b'SO02' and {len(SOUND)} bytes;"),
        (patched(4, bytes(8)), f"{WITHIN} {len(SOUND)} bytes, found offset 0, length 28;"),
        (patched(4, b"\xff" * 8), f"{WITHIN} {len(SOUND)} bytes, found offset {2**64 - 1}, length 28;"),
        (
            patched(12, b"\xff" * 8),
            f"{WITHIN} {len(SOUND)} bytes, found offset {INDEX_AT}, length {2**64 - 1};",
        ),
        (patched(12, number(3)), f"{WITHIN} {len(SOUND)} bytes, found offset {INDEX_AT}, length 3;"),
        (
            patched(4, number(INDEX_AT + 1)),
            f"{WITHIN} {len(SOUND)} bytes, found offset {INDEX_AT + 1}, length 28",
        ),
        (patched(4, number(INDEX_AT - 1)), INDEX_CRC),
        (patched(12, number(27)), INDEX_CRC),
        (flipped(INDEX_AT), INDEX_CRC),
        (flipped(len(SOUND) - 1), INDEX_CRC),
        (SOUND[:-1], f"{WITHIN} {len(SOUND) - 1} bytes, found offset {INDEX_AT}, length 28;"),
        (SOUND[:60], f"{WITHIN} 60 bytes, found offset {INDEX_AT}, length 28;"),
        (shard(((ID, ID), EDGE)), "index records of 24 bytes, found 32 bytes;"),
        (shard(index=lambda _: bytes(23)), "index records of 24 bytes, found 23 bytes;"),
        (flipped(HEADER.size), PAYLOAD_CRC),
        (flipped(INDEX_AT - 1), PAYLOAD_CRC),
        (
            shard(((ID,), EDGE[:-1])),
            f"records of {RECORD.size} bytes, found {RECORD.size - 1} bytes of them;",
        ),
        (placed(4, 56), f"a payload within the file's {len(SOUND)} bytes, found offset 4, size 56;"),
        (
            placed(20, 1 << 60),
            f"a payload within the file's {len(SOUND)} bytes, found offset 20, size {1 << 60};",
        ),
        (placed(20, 3), f"a payload within the file's {len(SOUND)} bytes, found offset 20, size 3;"),
    ],
)
def test_damaged_file(content: bytes, message: str) -> None:
    line = refused(IN_CHUNK, content)
    assert line.startswith(f"chunk {NAME}: expected {message}")
    assert line.endswith(AGAIN)


def test_damage_in_one_of_many_payloads_is_that_chunks() -> None:
    ids = [chunk(x, 0, 1) for x in (1, 2)]
    payloads = [((i,), edge(i + 1, i + 2)) for i in ids]
    content = shard(*payloads)
    line = refused(IN_CHUNK, flipped(HEADER.size + RECORD.size + 4, content))
    assert line.startswith("chunk 2_0_1: expected a payload with its crc32")
    pair = (chunk(1, 0, 1), chunk(2, 0, 1))
    line = refused(BETWEEN, flipped(HEADER.size, shard((pair, edge(pair[0] + 1, pair[1] + 1)))))
    assert line.startswith("chunk 1_0_1 and 2_0_1: expected a payload with its crc32")


PLACE = "edges of chunks at the file's coordinates or one above"
FACE = ", in pairs that share a face"


@pytest.mark.parametrize(
    ("kind", "ids", "where", "message"),
    [
        (IN_CHUNK, (chunk(0, 0, 1),), "0_0_1", PLACE),
        (IN_CHUNK, (chunk(3, 0, 1),), "3_0_1", PLACE),
        (IN_CHUNK, (GRID.chunk_id(2, HERE),), NAME, PLACE),
        (IN_CHUNK, (ID + 1,), NAME, PLACE),
        (IN_CHUNK, (0,), "0_0_0", PLACE),
        (BETWEEN, (ID, chunk(2, 1, 1)), "1_0_1 and 2_1_1", PLACE + FACE),
        (BETWEEN, (ID, ID), "1_0_1 and 1_0_1", PLACE + FACE),
        (BETWEEN, (ID, chunk(0, 0, 1)), "1_0_1 and 0_0_1", PLACE + FACE),
        (FAKE, (ID, chunk(1, 0, 1) | 5), "1_0_1 and 1_0_1", PLACE + FACE),
        (FAKE, (ID, GRID.node_id(1, (1, 0, 2), 0)), "1_0_1 and 1_0_2", PLACE + FACE),  # outside the grid
        (REMAP, (chunk(2, 0, 1),), "2_0_1", "pairs of chunks of the file's block"),
    ],
)
def test_chunk_that_does_not_belong_in_the_file(
    kind: str, ids: tuple[int, ...], where: str, message: str
) -> None:
    records = PAIR.pack(1, 2) if kind == REMAP else EDGE
    found = " and ".join(map(str, ids))
    assert refused(kind, shard((ids, records))) == (
        f"chunk {where}: expected {message}, found chunk id {found}; {AGAIN}"
    )


def test_remap_file_of_a_block() -> None:
    """A file of mip 1 holds chunks of two chunks per axis; its lowest names the file."""
    assert refused(REMAP, b"SO01", mip=1, coords=(1, 0, 0)).startswith("chunk 2_0_0: expected a shard file")
    line = refused(REMAP, shard(((chunk(1, 0, 0),), PAIR.pack(1, 2))), mip=1, coords=(1, 0, 0))
    assert line.startswith("chunk 1_0_0: expected pairs of chunks of the file's block, ")
    line = refused(REMAP, shard(((chunk(2, 0, 0),), bytes(15))), mip=1, coords=(1, 0, 0))
    assert line.startswith("chunk 2_0_0: expected records of 16 bytes, found 15 bytes")


@pytest.mark.parametrize(
    ("kind", "first", "second", "message"),
    [
        (IN_CHUNK, ID + 1, GRID.node_id(2, HERE, 1), "chunk 1_0_1: expected in_chunk ids of layer 1, found "),
        (
            IN_CHUNK,
            ID + 1,
            NEXT + 1,
            "chunk 1_0_1: expected in_chunk edges with both ends in the chunk, ",
        ),
        (
            BETWEEN,
            ID + 1,
            ID + 2,
            "chunk 1_0_1: expected between_chunk edges that leave the chunk, ",
        ),
        (BETWEEN, ID + 1, chunk(0, 0, 1) + 1, "chunk 2_0_1: expected between_chunk edges that leave the "),
        (
            BETWEEN,
            NEXT + 1,
            chunk(3, 0, 1) + 1,
            "chunk 1_0_1: expected between_chunk edges that leave the ",
        ),
        (FAKE, ID + 1, 0, "chunk 1_0_1: expected cross_chunk ids of layer 1, found 0 of layer 0"),
        (REMAP, ID + 1, 5, "chunk 1_0_1: expected components ids of layer 1, found 5 of layer 0"),
    ],
)
def test_records_that_cannot_be_true(kind: str, first: int, second: int, message: str) -> None:
    ids = (ID, NEXT) if kind in (BETWEEN, FAKE) else (ID,)
    record = PAIR.pack(first, second) if kind == REMAP else edge(first, second)
    line = refused(kind, shard((ids, record)))
    assert line.startswith(message)
    assert line.endswith(AGAIN)


NEAR = [HERE, (2, 0, 1), (1, 1, 1), (0, 0, 1)]
CHUNKS = {
    IN_CHUNK: st.sampled_from([(ID,), (NEXT,)]),
    BETWEEN: st.sampled_from([(ID, NEXT), (NEXT, ID), (ID, chunk(1, 1, 1))]),
    FAKE: st.just((ID, NEXT)),
    REMAP: st.just((ID,)),
}
SOMEWHERE = [
    *(GRID.node_id(1, coords, segment) for coords in NEAR for segment in (0, 1)),
    GRID.node_id(2, HERE, 1),
    GRID.node_id(1, (9, 0, 1), 1),
]
"""Ends of records: true or false, after the chunks of the payload."""


def is_true(kind: str, chunks: tuple[int, ...], ends: tuple[int, int]) -> bool:
    """Whether a record can be among those of `chunks`, by the bits of its ends."""
    segment_bits = 64 - 8 - 3 * GRID.spatial_bits
    places = []
    for number in ends:
        at, segment = divmod(number, 1 << segment_bits)
        layer, at = divmod(at, 1 << 3 * GRID.spatial_bits)
        coords = [at >> shift * GRID.spatial_bits & ((1 << GRID.spatial_bits) - 1) for shift in (2, 1, 0)]
        if layer != 1 or any(c >= n for c, n in zip(coords, GRID.chunks, strict=True)):
            return False
        places.append(number - segment)
    if kind == REMAP:
        return True
    return sorted(places) == sorted(chunks * 2 if len(chunks) == 1 else chunks)


@st.composite
def contents(draw: st.DrawFn) -> tuple[str, list[tuple[tuple[int, ...], list[tuple[int, int]]]]]:
    kind = draw(st.sampled_from([IN_CHUNK, BETWEEN, FAKE, REMAP]))
    found = []
    for chunks in draw(st.lists(CHUNKS[kind], max_size=3)):
        true = (chunks[0] + 1, chunks[-1] + 2)
        some = st.sampled_from([*true, *SOMEWHERE])
        ends = st.tuples(st.just(true[0]), some) | st.tuples(some, st.just(true[1])) | st.permutations(true)
        found.append((chunks, draw(st.lists(ends.map(tuple), max_size=2))))
    return kind, found


@examples(100)
@given(contents())
def test_files_are_refused_when_and_only_when_a_record_cannot_be_true(
    content: tuple[str, list[tuple[tuple[int, ...], list[tuple[int, int]]]]],
) -> None:
    kind, payloads = content
    pack = PAIR.pack if kind == REMAP else edge
    data = shard(*((chunks, b"".join(pack(*ends) for ends in records)) for chunks, records in payloads))
    false = [c for c, records in payloads if not all(is_true(kind, c, ends) for ends in records)]
    if false:
        names = ["_".join(map(str, at)) for at in NEAR if chunk(*at) in false[0]]
        assert any(refused(kind, data).startswith(f"chunk {name}: expected ") for name in names)
        return
    found = read_shard(ChunkGrid(GRID.chunks), ShardFile(kind, 0, HERE), data, 4, "some.data")
    assert [(payload.chunks, bytes(payload.data)) for payload in found] == [
        (chunks, b"".join(pack(*ends) for ends in records)) for chunks, records in payloads if records
    ]


def test_pairs_that_stand_the_other_way_round_are_no_error() -> None:
    content = shard(((ID, NEXT), edge(NEXT + 1, ID + 1)))
    (payload,) = read_shard(ChunkGrid(GRID.chunks), ShardFile(BETWEEN, 0, HERE), content, 4, "some.data")
    assert payload.chunks == (ID, NEXT)
