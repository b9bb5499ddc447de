"""Whole graphs with bad and absent input files: what is told, and what goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import GRID, Cli, graph_cells, small_dataset, supervoxel
from tests.examples import slow
from tests.inputs.test_bad_files import (
    AGAIN,
    BAD,
    NAME,
    ONE,
    SOUND,
    THREE,
    TWO,
    components,
    components_file,
    edges_file,
    fails_at_layer_2,
    failures,
    field,
    frame,
    group,
    ids,
)
from tests.oracle.cells import Cells
from tests.oracle.datasets import Chunk, OracleDataset, write


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("file_of", "content", "message"),
    [
        (edges_file, b"hello", "a zstd frame, found 5 damaged bytes ("),
        (edges_file, frame(SOUND)[:-1], "a whole zstd frame, found "),
        (edges_file, frame(SOUND[:-1]), "a ChunkEdgesMsg protobuf, found broken bytes ("),
        (
            edges_file,
            frame(field(1, group(ids(ONE), b""))),
            "in_chunk columns of 1 edges (as node_ids1), found",
        ),
        (
            edges_file,
            frame(field(2, group(ids(ONE), ids(0)))),
            "cross_chunk ids of layer 1, found 0 of layer 0;",
        ),
        (components_file, b"hello", "a ChunkComponentsMsg protobuf, found broken bytes ("),
        (components_file, components(3, ONE, TWO), "a component of 3 ids, found 2 ids up to the file's end;"),
    ],
)
def test_a_graph_with_a_bad_file(
    cli: Cli, dataset: Path, file_of: Callable[[Path], Path], content: bytes, message: str
) -> None:
    file_of(dataset).write_bytes(content)
    line = fails_at_layer_2(cli, dataset, file_of(dataset))
    assert line.startswith(message)
    assert line.endswith(f"; {AGAIN}")


@pytest.mark.parametrize("file_of", [edges_file, components_file])
def test_required_file_absent(cli: Cli, dataset: Path, file_of: Callable[[Path], Path]) -> None:
    file_of(dataset).unlink()
    line = fails_at_layer_2(cli, dataset, file_of(dataset), "--require-files")
    assert line == "the file, found none; --require-files asks for every one"


@pytest.mark.parametrize("file_of", [edges_file, components_file])
def test_unreadable_file_is_not_an_absent_one(
    cli: Cli, dataset: Path, file_of: Callable[[Path], Path]
) -> None:
    file_of(dataset).unlink()
    file_of(dataset).mkdir()
    edges_file(dataset, "3_0_0").write_bytes(b"hello")  # is found in the same run
    lines = failures(cli, dataset)
    assert lines[0] == (
        f"{file_of(dataset)}: chunk {NAME}: expected a file that can be read, found an error: "
        "Is a directory; make it readable for this program"
    )
    assert lines[1].startswith(f"{edges_file(dataset, '3_0_0')}: chunk 3_0_0: expected a zstd frame")
    assert cli.done(dataset) == [14, 0, 0]


def test_every_chunk_bad(cli: Cli, dataset: Path) -> None:
    """No message reaches layer 3, and yet nothing is built above."""
    for file in (dataset.parent / "edges").iterdir():
        file.write_bytes(b"hello")
    outcome = cli("graph", "g", dataset)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.errors[-1].startswith("beam-ingest: 16 of 16 chunks failed at layer 2")
    assert cli.done(dataset) == [0, 0, 0]


@pytest.mark.parametrize("workers", [1, slow(2)])
def test_all_bad_files_of_a_layer_are_reported_at_once(
    cli: Cli, dataset: Path, small_cells: Cells, workers: int
) -> None:
    names = ["0_0_0", "0_1_1", "1_0_1", "2_0_0", "3_0_0", "3_1_1"]
    for name in names:
        edges_file(dataset, name).write_bytes(b"hello")
    components_file(dataset, "0_0_0").write_bytes(b"hello")
    causes = [f"{edges_file(dataset, name)}: chunk {name}: expected a zstd frame, found 5" for name in names]
    causes.insert(1, f"{components_file(dataset, '0_0_0')}: chunk 0_0_0: expected a ChunkComponentsMsg")
    outcome = cli("graph", "g", dataset, f"--direct_num_workers={workers}")
    assert (outcome.status, outcome.out) == (1, "")
    assert "Traceback" not in outcome.err
    *lines, last = outcome.errors
    assert all(line.startswith(cause) for line, cause in zip(lines[:5], causes, strict=False)), lines
    assert lines[5:] == ["... and 2 more"]
    assert last == (
        f"beam-ingest: 6 of 16 chunks failed at layer 2; `beam-ingest failures g {dataset}` lists them; "
        "fix the input and run the same command with --resume, without --overwrite"
    )
    status = cli("status", "g", dataset, "--json").json
    assert status["failed"] == len(names)
    assert [f["cause"].startswith(c) for f, c in zip(status["failures"], causes, strict=True)] == [True] * 7
    assert cli.done(dataset) == [10, 0, 0]

    # Fixed a part at a time: what is left is reported, what was fixed is not.
    repair(dataset, names[:-1])
    (line,) = failures(cli, dataset, "--resume")
    assert line.startswith(causes[-1])
    assert cli.done(dataset) == [15, 0, 0]
    repair(dataset, names)
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert graph_cells(dataset) == small_cells
    assert cli("status", "g", dataset, "--json").json["failures"] == []


def repair(dataset: Path, names: Iterable[str]) -> None:
    """Put the sound files of chunks in the place of bad ones."""
    folder = dataset.parent.parent / "fixed"
    write(small_dataset(), folder)
    for name in names:
        for file_of in (edges_file, components_file):
            file_of(dataset, name).write_bytes(file_of(folder / "dataset.yml", name).read_bytes())


# What is no error


def test_swapped_pairs_are_put_right(cli: Cli, dataset: Path, small_cells: Cells) -> None:
    swapped = {
        coords: replace(
            chunk,
            cross=tuple((b, a) for a, b in chunk.cross),
            between=tuple((b, a) for a, b in chunk.between[::-1]),
        )
        for coords, chunk in small_dataset().chunks.items()
    }
    write(OracleDataset(GRID, swapped), dataset.parent)
    assert cli("graph", "g", dataset).status == 0
    assert graph_cells(dataset) == small_cells


def test_sizes_of_zero_and_ids_twice_in_one_component(cli: Cli, dataset: Path, small_cells: Cells) -> None:
    whole = small_dataset().chunks[BAD].components[0]
    numbers = (0, len(whole) + 1, *whole, ONE, 0, 1, THREE, 0)
    components_file(dataset).write_bytes(components(*numbers))
    assert cli("graph", "g", dataset).status == 0
    assert graph_cells(dataset) == small_cells


def test_absent_files_are_empty_chunks_and_counted(cli: Cli, dataset: Path) -> None:
    lonely = OracleDataset(
        GRID,
        {
            (0, 0, 0): Chunk(
                in_chunk=((supervoxel((0, 0, 0), 1), supervoxel((0, 0, 0), 2)),),
                components=((supervoxel((0, 0, 0), 1),),),
            )
        },
    )
    path = write(lonely, dataset.parent.parent / "lonely")
    outcome = cli("graph", "g", path)
    assert outcome.status == 0
    assert "absent files 30, taken as empty chunks" in outcome.out
