"""Files that are sound, each for itself, but contradict each other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from beam_ingest import Dataset, make_job, start_job, store_url
from tests.conftest import GRID, Cli, graph_cells, small_dataset, supervoxel
from tests.inputs.test_bad_files import components, components_file, edges_file, failures
from tests.inputs.test_graphs_of_bad_files import repair
from tests.oracle.cells import Cells
from tests.oracle.datasets import Chunk, Coords, Grid, OracleDataset, write

BAD: Coords = (1, 0, 1)
NAME = "1_0_1"
OTHER: Coords = (2, 0, 1)
"""The chunk next to it along x, in another layer-3 chunk."""
ONE, TWO, THREE, FOUR = (supervoxel(BAD, segment) for segment in (1, 2, 3, 4))
SWAP = "both files must list each edge between their chunks: write them from one segmentation"
LOST = "expected a file, since other chunks have edges to this one"


def spoilt(dataset: Path, **chunks: Chunk) -> None:
    """Write the small dataset with other chunks, given as c1_0_1, in it."""
    changed = {tuple(map(int, name[1:].split("_"))): chunk for name, chunk in chunks.items()}
    write(OracleDataset(GRID, small_dataset().chunks | changed), dataset.parent)


def without(edges: tuple[tuple[int, int], ...], *gone: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    assert set(gone) <= set(edges)
    return tuple(edge for edge in edges if edge not in gone)


def fails_at_layer_3(cli: Cli, dataset: Path, file: Path, name: str) -> str:
    """Run a graph of which two chunks disagree; returns what stands after file and chunk."""
    (line,) = failures(cli, dataset)
    start = f"{file}: chunk {name}: expected "
    assert line.startswith(start), line
    done = cli.done(dataset)
    assert done[0] == 16
    assert done[1] < 2
    assert done[2] == 0
    return line.removeprefix(start)


NEIGHBOUR: Coords = (0, 0, 1)
"""A chunk of the same layer-3 chunk that has an edge with BAD."""


@pytest.mark.parametrize("other", [NEIGHBOUR, OTHER], ids=["of one parent", "of two parents"])
def test_edge_that_the_other_chunk_does_not_have(cli: Cli, dataset: Path, other: Coords) -> None:
    """The other file has an edge to the same chunk, but not this one."""
    chunk = small_dataset().chunks[BAD]
    extra = (TWO, supervoxel(other, 2))
    spoilt(dataset, c1_0_1=replace(chunk, between=(*chunk.between, extra)))
    name = "{}_{}_{}".format(*other)
    line = fails_at_layer_3(cli, dataset, edges_file(dataset, name), name)
    assert line == f"the 2 edges to chunk {NAME} that {edges_file(dataset)} lists, found 1; {SWAP}"


@pytest.mark.parametrize("other", [NEIGHBOUR, OTHER], ids=["of one parent", "of two parents"])
def test_edge_that_the_other_chunk_has_another_one_for(cli: Cli, dataset: Path, other: Coords) -> None:
    chunk = small_dataset().chunks[BAD]
    edge = (ONE, supervoxel(other, 1))
    between = (*without(chunk.between, edge), (TWO, supervoxel(other, 1)))
    spoilt(dataset, c1_0_1=replace(chunk, between=between))
    (line,) = failures(cli, dataset)
    assert re.match(
        rf"{re.escape(str(dataset.parent))}/edges/edges_\w+.proto.zst: chunk \w+: expected the 1 ", line
    )
    assert line.endswith(f"lists, found 1 others; {SWAP}")
    assert NAME in line
    assert "{}_{}_{}".format(*other) in line
    assert cli.done(dataset)[2] == 0


def test_edge_into_a_chunk_whose_file_is_absent(cli: Cli, dataset: Path) -> None:
    edges_file(dataset).unlink()
    components_file(dataset).unlink()
    (line,) = failures(cli, dataset)
    assert line == f"{edges_file(dataset)}: chunk {NAME}: {LOST}, found none; restore it"
    assert cli.done(dataset) == [16, 0, 0]
    status = cli("status", "g", dataset, "--json").json
    assert status["failed"] == 2


def test_inactive_edge_into_a_chunk_whose_file_is_absent(cli: Cli, dataset: Path) -> None:
    """It makes no difference to the graph, yet some file is not what it was written to be."""
    chunks = {
        (0, 0, 0): Chunk(
            between=((supervoxel((0, 0, 0), 4), supervoxel((0, 1, 0), 4)),),
            components=((supervoxel((0, 0, 0), 4),),),
        ),
    }
    write(OracleDataset(GRID, chunks), dataset.parent.parent / "one")
    path = dataset.parent.parent / "one" / "dataset.yml"
    line = fails_at_layer_3(cli, path, edges_file(path, "0_1_0"), "0_1_0")
    assert line == "a file, since other chunks have edges to this one, found none; restore it"


@pytest.mark.parametrize("other", [NEIGHBOUR, OTHER], ids=["of one parent", "of two parents"])
def test_edge_that_is_active_in_one_chunk_alone(cli: Cli, dataset: Path, other: Coords) -> None:
    """Both list it; the components file of one does not join its ends."""
    chunk = small_dataset().chunks[other]
    name = "{}_{}_{}".format(*other)
    own = (supervoxel(other, 1), supervoxel(other, 2))
    spoilt(dataset, **{f"c{name}": replace(chunk, components=(own,))})
    lines = failures(cli, dataset)
    assert len(lines) == sum(0 <= other[0] + step < GRID.chunks[0] for step in (-1, 1))
    for line in lines:
        start = f"{components_file(dataset, name)}: chunk {name}: expected the 1 active edges to chunk "
        assert line.startswith(start)
        assert line.endswith(
            " makes, found 0; the components of both chunks must agree on which edges are active: "
            "write them from one agglomeration"
        )
    assert cli.done(dataset)[0] == 16
    assert cli.done(dataset)[2] == 0


def test_files_that_disagree_are_fixed_and_resumed(cli: Cli, dataset: Path, small_cells: Cells) -> None:
    """Layer 2 was written from the bad file: it is built again, and nothing of it is left."""
    chunk = small_dataset().chunks[BAD]
    edge = (FOUR, supervoxel((1, 1, 1), 4))
    spoilt(
        dataset,
        c1_0_1=replace(chunk, between=without(chunk.between, edge), in_chunk=(), components=((ONE,),)),
    )
    assert failures(cli, dataset)
    assert cli.done(dataset)[0] == 16
    repair(dataset, [NAME])
    outcome = cli("graph", "g", dataset, "--resume")
    assert outcome.status == 0, outcome
    assert graph_cells(dataset) == small_cells


def test_resume_with_other_input_than_a_graph_was_begun_with(
    cli: Cli, dataset: Path, small_cells: Cells
) -> None:
    """One chunk was bad, and by the time that is fixed another one, built already, has changed too."""
    edges_file(dataset, "0_0_0").write_bytes(b"hello")
    assert failures(cli, dataset)
    repair(dataset, ["0_0_0"])
    components_file(dataset).write_bytes(components(1, ONE))
    line = cli.refused("graph", "g", dataset, "--resume", status=1)
    assert line == (
        f"{dataset.parent}/graph.sqlite: graph g was begun with other input files than are there now, "
        "so --resume cannot finish it; --overwrite builds it from scratch"
    )
    repair(dataset, [NAME])
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert graph_cells(dataset) == small_cells


@pytest.mark.slow
def test_fixing_a_contradiction_takes_back_the_blocks_around_it_alone(cli: Cli, tmp_path: Path) -> None:
    """One object along a row of 32 chunks: 16 blocks, of which one has a file that its neighbour belies."""
    grid = Grid((32, 1, 1))
    chain = [grid.node_id(1, (x, 0, 0), 1) for x in range(32)]

    def chunk(x: int) -> Chunk:
        around = [chain[other] for other in (x - 1, x + 1) if 0 <= other < 32]
        between = tuple((chain[x], other) for other in around)
        return Chunk(between=between, components=(tuple(chain),))

    sound = OracleDataset(grid, {(x, 0, 0): chunk(x) for x in range(32)})
    undisturbed = write(sound, tmp_path / "undisturbed")
    assert cli("graph", "g", undisturbed).status == 0
    spoilt = dict(sound.chunks)
    spoilt[(7, 0, 0)] = Chunk(between=((chain[7], chain[8]),), components=(tuple(chain),))
    path = write(OracleDataset(grid, spoilt), tmp_path / "dataset")
    (line,) = failures(cli, path)
    assert line.startswith(f"{edges_file(path, '7_0_0')}: chunk 7_0_0: expected the 1 edges to chunk 6_0_0 ")
    assert cli.done(path) == [32, 15, 0, 0, 0, 0]
    write(sound, path.parent)

    dataset = Dataset.from_file(path)
    job = start_job(make_job("g", dataset, store_url(dataset, "g")), resume=True)
    assert cli.done(path) == [32 - 2 * 5, 16 - 5, 0, 0, 0, 0]  # block 3, and two on each side
    assert job.resume
    assert cli("graph", "g", path, "--resume").status == 0
    assert graph_cells(path) == graph_cells(undisturbed)
