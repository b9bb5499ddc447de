"""``beam-ingest chunk``: any chunk, built alone, comes out as in the whole graph."""

from __future__ import annotations

import hashlib
from itertools import product
from pathlib import Path

import pytest

from tests.conftest import GRID, Cli, store_of

CHUNKS = [
    (layer, *coords)
    for layer, bounds in ((2, (4, 2, 2)), (3, (2, 1, 1)), (4, (1, 1, 1)))
    for coords in product(*map(range, bounds))
]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "options", [(), ("--raw",), ("--graph-version=2",)], ids=["proto", "raw", "version 2"]
)
def test_every_chunk_has_the_cells_that_the_graph_has(
    cli: Cli, sample: Path, options: tuple[str, ...]
) -> None:
    assert GRID.chunks == (4, 2, 2)
    assert cli("graph", "g", sample, *options).status == 0
    before = {path: digest(path) for path in sample.parent.rglob("*") if path.is_file()}
    for chunk in CHUNKS:
        outcome = cli("chunk", "g", sample, *map(str, chunk))
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out.splitlines()[-2:] == [
            "  graph  has the same cells",
            "Nothing was written",
        ]
    assert {path: digest(path) for path in sample.parent.rglob("*") if path.is_file()} == before


def test_what_it_read_and_would_write(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    lines = cli("chunk", "g", dataset, "2", "1", "0", "0").out.splitlines()
    edges = dataset.parent / "edges" / "edges_1_0_0.proto.zst"
    assert lines[0] == "chunk 1_0_0 of layer 2, from the files of 1 chunk of layer 2"
    assert lines[1] == f"  read   {edges}  {edges.stat().st_size} B"
    # Two edges inside, one cut supervoxel, two neighbours along x and one along y; 1 and 2 are one node.
    assert "  edges  6, supervoxels 4, nodes 3" in lines
    assert any(line.startswith("  write  0:parents  4 cells, ") for line in lines)


@pytest.mark.parametrize("layer", ["2", "3"])
def test_a_chunk_that_cannot_be_built_shows_the_traceback(cli: Cli, dataset: Path, layer: str) -> None:
    file = dataset.parent / "edges" / "edges_1_0_0.proto.zst"
    file.write_bytes(b"hello")
    assert cli("graph", "g", dataset).status == 1
    outcome = cli("chunk", "g", dataset, layer, str(int(layer == "2")), "0", "0")
    assert outcome.status == 1
    assert f"  read   {file}  5 B" in outcome.out
    assert "Traceback (most recent call last)" in outcome.err
    assert "in decode_chunk_edges" in outcome.err
    assert outcome.err.splitlines()[-1].startswith(f"beam-ingest: {file}: chunk 1_0_0: expected a zstd frame")


def test_other_input_and_chunks_not_built(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset, "--test").status == 0
    assert (
        "  graph  does not have this chunk yet"
        in cli("chunk", "g", dataset, "2", "0", "0", "0").out.splitlines()
    )
    assert "has the same cells" in cli("chunk", "g", dataset, "2", "2", "0", "0").out
    (dataset.parent / "components" / "components_2_0_0.proto").unlink()
    assert "has other cells: the input has changed" in cli("chunk", "g", dataset, "2", "2", "0", "0").out


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (("1", "0", "0", "0"), "layer 1: expected 2 to 4"),
        (("5", "0", "0", "0"), "layer 5: expected 2 to 4"),
        (("2", "4", "0", "0"), "chunk 4_0_0: layer 2 has 4 x 2 x 2 chunks"),
        (("3", "0", "-1", "0"), "chunk 0_-1_0: layer 3 has 2 x 1 x 1 chunks"),
    ],
)
def test_chunks_that_are_not_there(cli: Cli, dataset: Path, chunk: tuple[str, ...], said: str) -> None:
    assert cli("graph", "g", dataset).status == 0
    assert cli.refused("chunk", "g", dataset, *chunk) == said


def test_without_a_graph(cli: Cli, dataset: Path) -> None:
    message = cli.refused("chunk", "g", dataset, "2", "0", "0", "0", status=1)
    assert message == f"{store_of(dataset)}: no graph is there; `beam-ingest graph` builds one"
