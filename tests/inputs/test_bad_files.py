"""Edges and components files that say what cannot be true.

Every file is spoilt by code of its own: bytes are put together here or by the oracle, never by the
product's encoders.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
import zstandard

from beam_ingest.dataset import Dataset
from beam_ingest.errors import InputError
from beam_ingest.ingest.build import Builder
from beam_ingest.ingest.job import make_job
from tests.conftest import GRID, Cli, supervoxel
from tests.oracle.datasets import Coords

BAD: Coords = (1, 0, 1)
NAME = "1_0_1"
OTHER: Coords = (2, 0, 1)
"""The chunk next to it along x, in another layer-3 chunk."""
ONE, TWO, THREE, FOUR = (supervoxel(BAD, segment) for segment in (1, 2, 3, 4))
SWAP = "both files must list each edge between their chunks: write them from one segmentation"
AGAIN = "write the file again"


def edges_file(dataset: Path, name: str = NAME) -> Path:
    return dataset.parent / "edges" / f"edges_{name}.proto.zst"


def components_file(dataset: Path, name: str = NAME) -> Path:
    return dataset.parent / "components" / f"components_{name}.proto"


def failures(cli: Cli, dataset: Path, *options: str) -> list[str]:
    """Run a graph that fails because of its input; returns the lines above the last one."""
    outcome = cli("graph", "g", dataset, *options)
    assert (outcome.status, outcome.out) == (1, ""), outcome
    assert "Traceback" not in outcome.err
    *lines, last = outcome.errors
    assert re.fullmatch(
        r"beam-ingest: \d+ of \d+ chunks failed at layer \d(, all in the same way)?; "
        "`beam-ingest failures g [^`]*` lists them; "
        "fix the input and run the same command with --resume, without --overwrite",
        last,
    )
    return lines


def fails_at_layer_2(cli: Cli, dataset: Path, file: Path, *options: str, name: str = NAME) -> str:
    """Run a graph of which one chunk fails; returns what is wrong: what stands after file and chunk."""
    (line,) = failures(cli, dataset, *options)
    start = f"{file}: chunk {name}: expected "
    assert line.startswith(start), line
    # All other chunks are done, and nothing is above them.
    assert cli.done(dataset) == [15, 0, 0]
    status = cli("status", "g", dataset, "--json").json
    assert status["failed"] == 1
    (failure,) = status["failures"]
    assert (failure["layer"], failure["chunk"], failure["file"]) == (2, name, str(file))
    assert failure["cause"] == line
    assert cli("status", "g", dataset).out.endswith(f"\n4       : 0 / 1\nfailed  : 1\n  {line}\n")
    return line.removeprefix(start)


def refused(dataset: Path, file: Path, *, name: str = NAME, require_files: bool = False) -> str:
    """Build the one chunk whose file is bad; returns what is wrong: what stands after file and chunk.

    A tenth of the time of a whole run, which gives the same line: see `fails_at_layer_2`.
    """
    x, y, z = map(int, name.split("_"))
    builder = Builder(make_job("g", Dataset.from_file(dataset), "sqlite:unused", require_files=require_files))
    with pytest.raises(InputError) as caught:
        builder.atomic((x, y, z), *builder.read([(x, y, z)]))
    start = f"{file}: chunk {name}: expected "
    assert str(caught.value).startswith(start), str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(start)


# Bytes


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def ids(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def group(first: bytes, second: bytes, affinities: bytes = b"", areas: bytes = b"") -> bytes:
    return b"".join(field(n, v) for n, v in enumerate((first, second, affinities, areas), 1) if v)


def frame(content: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(content)


SOUND = field(1, group(ids(ONE), ids(TWO)))
"""A message of one in-chunk edge."""
IN_CHUNK, CROSS, BETWEEN = 1, 2, 3


def components(*numbers: int) -> bytes:
    return field(1, b"".join(map(varint, numbers)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"hello", "a zstd frame, found 5 damaged bytes (", id="no frame"),
        pytest.param(SOUND, f"a zstd frame, found {len(SOUND)} damaged bytes (", id="not compressed"),
        pytest.param(
            frame(SOUND * 9)[:-1],
            f"a whole zstd frame, found {len(frame(SOUND * 9)) - 1} bytes of a longer",
            id="cut",
        ),
        pytest.param(frame(SOUND)[:6], "a whole zstd frame, found 6 bytes of a longer one", id="cut early"),
        pytest.param(frame(SOUND) + b"\0", "one zstd frame, found more bytes after its end", id="trailing"),
        pytest.param(frame(SOUND) * 2, "one zstd frame, found more bytes after its end", id="two frames"),
        pytest.param(
            frame(SOUND) + bytes(1 << 16), "one zstd frame, found more bytes after its end", id="long tail"
        ),
        pytest.param(frame(SOUND, write_checksum=True)[:-1] + b"\0", "a zstd frame, found ", id="checksum"),
        pytest.param(frame(b"\x0a\xff" + SOUND), "a ChunkEdgesMsg protobuf, found broken bytes", id="length"),
        pytest.param(frame(SOUND[:-1]), "a ChunkEdgesMsg protobuf, found broken bytes", id="cut message"),
        pytest.param(frame(b"\x0b" * 9), "a ChunkEdgesMsg protobuf, found broken bytes", id="open group"),
        pytest.param(
            frame(field(1, field(1, ids(ONE))[:-1] + b"")),
            "a ChunkEdgesMsg protobuf, found broken b",
            id="inner",
        ),
    ],
)
def test_bytes_that_are_no_edges_file(dataset: Path, content: bytes, message: str) -> None:
    file = edges_file(dataset)
    file.write_bytes(content)
    line = refused(dataset, file)
    assert line.startswith(message)
    assert line.endswith(f"; {AGAIN}")


@pytest.mark.parametrize("declared", [True, False])
def test_zstd_bomb(dataset: Path, monkeypatch: pytest.MonkeyPatch, declared: bool) -> None:
    """A small file that grows beyond all measure is refused before it has grown."""
    limit = 1 << 20
    monkeypatch.setattr("beam_ingest.inputs.edges.MAX_EDGES_BYTES", limit)
    file = edges_file(dataset)
    file.write_bytes(frame(bytes(200 << 20), write_content_size=declared))
    assert file.stat().st_size < 1 << 16
    expected = f"at most {limit} bytes of edges, found {200 << 20 if declared else 'more'}; {AGAIN}"
    assert refused(dataset, file) == expected


def test_frame_that_declares_more_than_there_can_be(dataset: Path) -> None:
    """No memory is set aside because a few bytes ask for it."""
    # Magic number, descriptor (one segment, 8 bytes of size), the size, an empty last block.
    file = edges_file(dataset)
    file.write_bytes(b"\x28\xb5\x2f\xfd" + b"\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\0\0")
    assert refused(dataset, file) == f"at most {1 << 30} bytes of edges, found {1 << 60}; {AGAIN}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (field(1, group(ids(ONE)[:-1], ids(TWO))), "in_chunk.node_ids1 in items of 8 bytes, found 7 bytes"),
        (
            field(2, group(ids(ONE), ids(TWO) + b"x")),
            "cross_chunk.node_ids2 in items of 8 bytes, found 9 byt",
        ),
        (
            field(3, group(ids(ONE), ids(TWO), b"abc")),
            "between_chunk.affinities in items of 4 bytes, found 3",
        ),
        (
            field(1, group(ids(ONE), ids(TWO), b"", b"abc")),
            "in_chunk.areas in items of 8 bytes, found 3 byte",
        ),
        (
            field(1, group(ids(ONE, TWO), ids(TWO))),
            "in_chunk columns of 2 edges (as node_ids1), found node_ids2 of 1;",
        ),
        (field(1, group(ids(ONE), b"")), "in_chunk columns of 1 edges (as node_ids1), found node_ids2 of 0;"),
        (field(1, group(b"", ids(ONE))), "in_chunk columns of 0 edges (as node_ids1), found node_ids2 of 1;"),
        (
            field(3, group(ids(ONE, TWO), ids(TWO, ONE), bytes(4))),
            "between_chunk columns of 2 edges (as node_ids1), found affinities of 1;",
        ),
        (
            field(2, group(ids(ONE), ids(TWO), bytes(8), bytes(24))),
            "cross_chunk columns of 1 edges (as node_ids1), found affinities of 2, areas of 3;",
        ),
    ],
)
def test_columns_of_the_wrong_length(dataset: Path, content: bytes, message: str) -> None:
    file = edges_file(dataset)
    file.write_bytes(frame(content))
    assert refused(dataset, file).startswith(message)


OUTSIDE = supervoxel((0, 1, 0), 1) ^ (9 << GRID.segment_bits(1))
"""A supervoxel of chunk 0_1_9, where no chunk is."""
WITHIN = "in_chunk edges with both ends in the chunk, found the edge"


@pytest.mark.parametrize(
    ("kind", "edge", "message"),
    [
        (IN_CHUNK, (ONE, supervoxel(OTHER, 1)), f"{WITHIN} {ONE} - {supervoxel(OTHER, 1)};"),
        (IN_CHUNK, (supervoxel(OTHER, 1), ONE), f"{WITHIN} {supervoxel(OTHER, 1)} - {ONE};"),
        (IN_CHUNK, (supervoxel(OTHER, 1), supervoxel(OTHER, 2)), f"{WITHIN} {supervoxel(OTHER, 1)} - "),
        (
            IN_CHUNK,
            (ONE, GRID.node_id(2, BAD, 1)),
            f"in_chunk ids of layer 1, found {GRID.node_id(2, BAD, 1)} of l",
        ),
        (IN_CHUNK, (0, ONE), "in_chunk ids of layer 1, found 0 of layer 0;"),
        (IN_CHUNK, (2**64 - 1, ONE), f"in_chunk ids of layer 1, found {2**64 - 1} of layer 255;"),
        (
            IN_CHUNK,
            (ONE, OUTSIDE),
            f"in_chunk ids within the 4x2x2 chunks of the grid, found {OUTSIDE} of chunk 0_1_9;",
        ),
        (
            BETWEEN,
            (ONE, TWO),
            f"between_chunk edges that leave the chunk, found the edge {ONE} - {TWO} with both ends in",
        ),
        (
            CROSS,
            (ONE, ONE),
            f"cross_chunk edges that leave the chunk, found the edge {ONE} - {ONE} with both ends in",
        ),
        (
            BETWEEN,
            (supervoxel(OTHER, 1), supervoxel(OTHER, 2)),
            f"between_chunk edges that leave the chunk, found the edge {supervoxel(OTHER, 1)} - "
            f"{supervoxel(OTHER, 2)} with no end in the chunk;",
        ),
        (
            CROSS,
            (0, 0),
            "cross_chunk edges that leave the chunk, found the edge 0 - 0 with no end in the chunk;",
        ),
        (
            BETWEEN,
            (ONE, OUTSIDE),
            f"between_chunk ids within the 4x2x2 chunks of the grid, found {OUTSIDE} of chunk 0_1_9",
        ),
        (
            CROSS,
            (OUTSIDE, ONE),
            f"cross_chunk ids within the 4x2x2 chunks of the grid, found {OUTSIDE} of chunk 0_1_9",
        ),
        (BETWEEN, (ONE, GRID.node_id(2, OTHER, 1)), "between_chunk ids of layer 1, found "),
        (BETWEEN, (ONE, 0), "between_chunk ids of layer 1, found 0 of layer 0;"),
    ],
)
def test_ids_that_cannot_be_there(dataset: Path, kind: int, edge: tuple[int, int], message: str) -> None:
    file = edges_file(dataset)
    # Sound edges before and after it: it is found anywhere.
    sound = (ONE, TWO) if kind == IN_CHUNK else (ONE, supervoxel(OTHER, 1))
    first, second = zip(sound, edge, sound, strict=True)
    file.write_bytes(frame(field(kind, group(ids(*first), ids(*second)))))
    line = refused(dataset, file)
    assert line.startswith(message)
    assert line.endswith(f"; {AGAIN}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "a ChunkComponentsMsg protobuf, found broken bytes"),
        (components(2, ONE, TWO)[:-1], "a ChunkComponentsMsg protobuf, found broken bytes"),
        (field(1, b"\xff"), "a ChunkComponentsMsg protobuf, found broken bytes"),
        (
            frame(components(2, ONE, TWO)),
            "a ChunkComponentsMsg protobuf, found one with field",
        ),
        (components(3, ONE, TWO), "a component of 3 ids, found 2 ids up to the file's end;"),
        (components(1, ONE, 5), "a component of 5 ids, found 0 ids up to the file's end;"),
        (components(2**64 - 1, ONE), f"a component of {2**64 - 1} ids, found 1 ids up to the file's end;"),
        (components(ONE, TWO), f"a component of {ONE} ids, found 1 ids up to the file's end;"),
        (components(1, ONE, 2, TWO, ONE), f"every supervoxel in one component, found {ONE} in two of them;"),
        (components(1, 0), "components ids of layer 1, found 0 of layer 0;"),
        (components(2, ONE, GRID.node_id(3, (0, 0, 0), 1)), "components ids of layer 1, found "),
        (
            components(1, OUTSIDE),
            f"components ids within the 4x2x2 chunks of the grid, found {OUTSIDE} of chunk 0_1_9;",
        ),
    ],
)
def test_components(dataset: Path, content: bytes, message: str) -> None:
    file = components_file(dataset)
    file.write_bytes(content)
    line = refused(dataset, file)
    assert line.startswith(message)
    assert line.endswith(f"; {AGAIN}")
