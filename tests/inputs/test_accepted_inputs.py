"""What PyChunkedGraph takes: supervoxels whose segment is 0, edges files of no bytes, its own keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import GRID, Cli, small_dataset, store_of, supervoxel
from tests.graphs import read_cells
from tests.inputs.test_bad_files import edges_file
from tests.oracle.cells import decompress
from tests.oracle.datasets import Chunk, Coords, OracleDataset, write
from tests.oracle.graph import build

ALONE: Coords = (3, 1, 1)
"""A chunk whose only supervoxel has segment 0."""


def counted_from_0() -> OracleDataset:
    """The small dataset with segments 0 to 3 in place of 1 to 4; that of the first chunk is the lowest id."""

    def lower(ids: tuple) -> tuple:
        return tuple(lower(i) if isinstance(i, tuple) else i - 1 for i in ids)

    chunks = {
        coords: Chunk(*(lower(group) for group in (c.in_chunk, c.cross, c.between, c.components)))
        for coords, c in small_dataset().chunks.items()
    }
    x, y, z = ALONE
    one, partner = supervoxel(ALONE, 0), supervoxel((x - 1, y, z), 0)
    chunks[ALONE] = Chunk(between=((one, partner),), components=((one, partner),))
    for beside in ((x, 1 - y, z), (x, y, 1 - z)):  # edges to what is no longer there
        c = chunks[beside]
        chunks[beside] = Chunk(
            c.in_chunk,
            tuple(e for e in c.cross if not any(GRID.coords_of(i) == ALONE for i in e[:2])),
            tuple(e for e in c.between if not any(GRID.coords_of(i) == ALONE for i in e[:2])),
            c.components,
        )
    return OracleDataset(GRID, chunks)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("version", [2, 3])
def test_segments_that_begin_at_0(cli: Cli, tmp_path: Path, version: int) -> None:
    small = counted_from_0()
    path = write(small, tmp_path)
    assert cli("graph", "g", path, f"--graph-version={version}").status == 0
    found = decompress(read_cells(store_of(path)))
    expected = build(small, version)
    assert (b"%020d" % supervoxel(ALONE, 0), "0", b"parents") in expected
    assert found == expected
    assert cli("verify", "g", path).status == 0
    assert cli("check", path, "--all").status == 0


def test_an_id_of_0_is_none(cli: Cli, dataset: Path) -> None:
    """0 is background: it has no layer."""
    small = small_dataset()
    small.chunks[0, 0, 0] = Chunk(in_chunk=((0, supervoxel((0, 0, 0), 1)),))
    path = write(small, dataset.parent / "other")
    outcome = cli("graph", "g", path)
    assert outcome.status == 1
    assert "expected in_chunk ids of layer 1, found 0 of layer 0;" in outcome.errors[0]


def test_edges_files_of_no_bytes(cli: Cli, tmp_path: Path) -> None:
    """They are files without edges, and counted."""
    gone = (3, 1, 1)
    chunks = {
        coords: Chunk(
            in_chunk=chunk.in_chunk,
            between=tuple(e for e in chunk.between if not any(GRID.coords_of(i) == gone for i in e[:2])),
            cross=tuple(e for e in chunk.cross if not any(GRID.coords_of(i) == gone for i in e[:2])),
            components=chunk.components,
        )
        for coords, chunk in small_dataset().chunks.items()
        if coords != gone
    }
    path = write(OracleDataset(GRID, chunks), tmp_path)
    assert cli("graph", "g", path).status == 0
    before = read_cells(store_of(path))
    edges_file(path, "3_1_1").write_bytes(b"")
    outcome = cli("graph", "g", path, "--overwrite")
    assert outcome.status == 0
    assert "\n  empty files  1 edges files of no bytes, taken as files without edges\n" in outcome.out
    assert read_cells(store_of(path)) == before
    verified = cli("verify", "g", path, "--json")
    assert verified.status == 0
    assert verified.json["counts"]["edges files of no bytes"] == 1
    checked = cli("check", path, "--all", "--json")
    assert checked.status == 0
    assert checked.json["counts"]["edges files of no bytes"] == 1


def test_nothing_but_files_of_no_bytes(cli: Cli, dataset: Path) -> None:
    for coords in small_dataset().chunks:
        edges_file(dataset, "{}_{}_{}".format(*coords)).write_bytes(b"")
    line = cli.refused("graph", "g", dataset, status=1)
    assert "found no supervoxel in any chunk (0 files are absent, 16 have no bytes); correct EDGES in" in line


def spoken(cli: Cli, dataset: Path, *options: str) -> str:
    """What is refused before anything is written; `check` says the same."""
    line = cli.refused("graph", "g", dataset, *options)
    found = cli("check", dataset, *options, "--json").json["problems"]["configuration"]["examples"]
    assert line in [case["line"] for case in found]
    return line


@pytest.mark.slow
def test_pychunkedgraphs_keys_for_raw_input(cli: Cli, sample: Path) -> None:
    text = sample.read_text()
    agglomeration = next(line for line in text.splitlines() if "AGGLOMERATION:" in line)
    for value in ("true", "false"):
        keys = "".join(f"\n  {key}: {value}" for key in ("USE_RAW_EDGES", "USE_RAW_COMPONENTS"))
        sample.write_text(text.replace(agglomeration, agglomeration + keys))
        if value == "true":
            assert spoken(cli, sample) == (
                f"{sample}: ingest_config.USE_RAW_EDGES and USE_RAW_COMPONENTS: true means raw "
                "agglomeration: add --raw, or set it to false"
            )
        assert cli("graph", "g", sample, "--raw", "--overwrite").status == 0
    assert cli("graph", "g", sample, "--overwrite").status == 0
    sample.write_text(text.replace(agglomeration, f"{agglomeration}\n  USE_RAW_EDGES: 3"))
    line = cli.refused("graph", "g", sample)
    assert line == f"{sample}: ingest_config.USE_RAW_EDGES: expected true or false, found int 3"


def test_agglomeration_without_edges_names_raw(cli: Cli, sample: Path) -> None:
    sample.write_text(re.sub("EDGES: .*", 'EDGES: ""', sample.read_text()))
    assert spoken(cli, sample) == (
        f"{sample}: data_source: the key EDGES is missing: to read ingest_config.AGGLOMERATION instead, "
        "add --raw"
    )
