"""Raw agglomeration whose numbers cannot be right, or whose few bytes would become many."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from beam_ingest.errors import InputError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.agglomeration import BETWEEN, FAKE, IN_CHUNK, ShardFile, assemble_chunk, read_shard
from tests.conftest import GRID, Cli
from tests.examples import slow
from tests.inputs.test_bad_shards import AGAIN, EDGE, HERE, ID, NAME, NEXT, RECORD, refused, shard
from tests.inputs.test_graphs_of_bad_shards import failures, raw

BIG = 3e38
"""A float32, but not twice."""


def record(first: int, second: int, affinity: float, area: int) -> bytes:
    return RECORD.pack(first, second, affinity, area, 0.5, 1, 0.5, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("kind", "ids"), [(IN_CHUNK, (ID,)), (BETWEEN, (ID, NEXT))])
def test_affinities_that_are_not_finite(kind: str, ids: tuple[int, ...], value: float) -> None:
    ends = (ids[0] + 1, ids[-1] + 2)
    name = " and ".join(["1_0_1", "2_0_1"][: len(ids)])
    content = shard((ids, record(*ends, 0.5, 1) + record(*ends, value, 1)))
    assert refused(kind, content) == (
        f"chunk {name}: expected affinities that are finite in {kind}, found aff_x {value} in the edge "
        f"{ends[0]} - {ends[1]}; {AGAIN}"
    )


def test_cut_supervoxels_have_no_affinity() -> None:
    """Their edges are always active: what writers put there is not read."""
    content = shard(((ID, NEXT), record(ID + 1, NEXT + 1, math.nan, 2**64 - 1) * 3))
    grid = ChunkGrid(GRID.chunks)
    payloads = read_shard(grid, ShardFile(FAKE, 0, HERE), content, 4, "some.data")
    edges, _ = assemble_chunk(grid, HERE, payloads, 4, (8, 8, 40), "agg/{}".format)
    assert [column.tolist() for column in (edges.cross_chunk.node_ids1, edges.cross_chunk.node_ids2)] == [
        [ID + 1],
        [NEXT + 1],
    ]
    assert edges.cross_chunk.affinities.tolist() == [math.inf]
    assert edges.cross_chunk.areas.tolist() == [1]


def assembled(version: int, resolution: tuple[float, float, float], *files: bytes) -> str:
    """What is wrong with the sums of the edges of several files; "" if nothing is."""
    grid = ChunkGrid(GRID.chunks)
    places = [HERE, (0, 0, 1), (1, 0, 0)]
    payloads = [
        payload
        for coords, content in zip(places, files, strict=False)
        for payload in read_shard(grid, ShardFile(IN_CHUNK, 0, coords), content, version, "some.data")
    ]
    try:
        edges, _ = assemble_chunk(grid, HERE, payloads, version, resolution, "agg/{}".format)
    except InputError as error:
        return str(error)
    assert len(edges.in_chunk) == 1
    return ""


SUMS = f"chunk {NAME}: expected edges whose {{}}, summed over records and axes, fits {{}}, found the edge"


@pytest.mark.parametrize(
    ("records", "resolution", "column", "kind", "found"),
    [
        ([(0.5, 2**64 - 1)], (1, 1, 1), "area", "uint64", "1.84467e+19"),
        ([(0.5, 2**63), (0.5, 2**63)], (1, 1, 1), "area", "uint64", "1.84467e+19"),
        ([(0.5, 2**61)], (8, 8, 40), "area", "uint64", "1.84467e+19"),
        ([(BIG, 1)], (8, 8, 40), "affinity", "float32", "2.4e+39"),
        ([(BIG, 1), (BIG, 1)], (1, 1, 1), "affinity", "float32", "6e+38"),
        ([(-BIG, 1), (-BIG, 1)], (1, 1, 1), "affinity", "float32", "-6e+38"),
        ([(BIG, 1), (-BIG, 1)], (1, 1, 1), "", "", ""),
        ([(0.5, 2**62)], (1, 1, 1), "", "", ""),
    ],
)
def test_sums_that_do_not_fit(
    records: list[tuple[float, int]],
    resolution: tuple[float, float, float],
    column: str,
    kind: str,
    found: str,
) -> None:
    """Each record is sound; what an edges file would hold of their sum is not."""
    files = [shard(((ID,), record(ID + 1, ID + 2, *values))) for values in records]
    line = assembled(4, resolution, *files)
    if not found:
        assert line == ""
        return
    name = "0_0_1" if len(records) > 1 else NAME  # the first of its files, in order of their names
    assert line == (
        f"agg/chunked_rg/in_chunk_0_{name}.data: {SUMS.format(column, kind)} {ID + 1} - {ID + 2} with "
        f"{found}; {AGAIN}"
    )


def test_sums_of_other_versions() -> None:
    """Version 2 has one float32 affinity an edge; version 3 has affinities of 8 bytes."""
    line = assembled(2, (8, 8, 40), shard(((ID,), struct.pack("<QQfQ", ID + 1, ID + 2, 0.5, 2**64 - 1))))
    assert SUMS.format("area", "uint64") in line
    version_3 = struct.pack("<QQdQdQdQ", ID + 1, ID + 2, 1e300, 1, 0, 0, 0, 0)
    line = assembled(3, (8, 8, 40), shard(((ID,), version_3)))
    assert SUMS.format("affinity", "float32") in line
    huge = struct.pack("<QQdQdQdQ", ID + 1, ID + 2, 1.7e308, 1, -1.7e308, 0, 0, 0)
    assert SUMS.format("affinity", "float32") in assembled(3, (8, 8, 40), shard(((ID,), huge)))


APART = "every byte in one payload"


@pytest.mark.parametrize(
    ("places", "at"),
    [
        ([(20, 68), (20, 68)], (20, 68)),  # twice the same
        ([(20, 68), (88, 68), (24, 68)], (24, 68)),
        ([(88, 68), (20, 136)], (20, 136)),
        ([(20, 68), (88, 92)], (88, 92)),  # and into the index
    ],
)
def test_byte_ranges_that_overlap(places: list[tuple[int, int]], at: tuple[int, int]) -> None:
    def index(_: bytes) -> bytes:
        return b"".join(struct.pack("<QQQ", ID, *place) for place in places)

    content = shard(((ID,), EDGE), ((ID,), EDGE), index=index)
    assert refused(IN_CHUNK, content) == (
        f"chunk {NAME}: expected {APART}, found offset {at[0]}, size {at[1]}, where another is, or the "
        f"index; {AGAIN}"
    )


def test_a_chunk_with_several_payloads() -> None:
    """Their ranges are apart, so each counts."""
    content = shard(((ID,), EDGE), ((ID,), EDGE), ((NEXT,), b""))
    found = read_shard(ChunkGrid(GRID.chunks), ShardFile(IN_CHUNK, 0, HERE), content, 4, "some.data")
    assert [(payload.chunks, bytes(payload.data)) for payload in found] == [((ID,), EDGE)] * 2


def test_a_million_records_of_one_payload() -> None:
    """Nothing is read of it but the index."""
    content = shard(((ID,), EDGE * 20_000), index=lambda records: records * 1_000_000)
    assert refused(IN_CHUNK, content).startswith(f"chunk {NAME}: expected {APART}, found offset 20, size ")


# Whole runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        slow(shard(((ID,), record(ID + 1, ID + 2, math.nan, 1))), "affinities that are finite in in_chunk, "),
        (shard(((ID,), record(ID + 1, ID + 2, 0.5, 2**63) * 2)), "edges whose area, summed over records"),
        slow(shard(((ID,), EDGE), index=lambda records: records * 2), f"{APART}, found offset 20"),
    ],
    ids=["affinity", "area", "ranges"],
)
def test_graph_verify_and_check_find_the_same(cli: Cli, sample: Path, content: bytes, message: str) -> None:
    file = raw(sample, "in_chunk")
    assert cli("graph", "g", sample, "--raw").status == 0
    file.write_bytes(content)
    start = f"{file}: chunk {NAME}: expected {message}"
    verified = cli("verify", "g", sample, "--json")
    assert verified.status == 1
    assert start in str(verified.json)
    checked = cli("check", sample, "--raw", "--all", "--json")
    assert checked.status == 1
    assert start in str(checked.json)
    line, _ = failures(cli, sample, "--overwrite")
    assert line.startswith(start)
