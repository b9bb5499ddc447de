"""Every kind of bad file is found, with its chunk, and all of them in one run."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.checks import ALL, checked, lines, problems
from tests.conftest import Cli, small_dataset, supervoxel
from tests.examples import slow
from tests.ingest.test_bad_pairs import NEIGHBOUR, SWAP, spoilt, without
from tests.inputs.test_bad_files import (
    AGAIN,
    BAD,
    BETWEEN,
    CROSS,
    FOUR,
    IN_CHUNK,
    NAME,
    ONE,
    OTHER,
    OUTSIDE,
    SOUND,
    TWO,
    components,
    components_file,
    edges_file,
    field,
    frame,
    group,
    ids,
)
from tests.oracle.datasets import Coords

DAMAGED, WRONG_IDS = "damaged edges files", "edges files with ids that cannot be"
DAMAGED_COMPONENTS, WRONG_COMPONENTS = "damaged components files", "components files with ids that cannot be"
UNREADABLE = "files that cannot be read"
ONE_SIDED, DISAGREE = "pairs of chunks with different edges", "pairs of chunks with different active edges"


def edge(kind: int, first: int, second: int) -> bytes:
    return frame(field(kind, group(ids(first), ids(second))))


BAD_FILES = [
    (edges_file, SOUND, DAMAGED, "a zstd frame, found "),
    (edges_file, frame(SOUND * 9)[:-1], DAMAGED, "a whole zstd frame, found "),
    (edges_file, frame(SOUND) * 2, DAMAGED, "one zstd frame, found more bytes after its end"),
    (edges_file, frame(SOUND[:-1]), DAMAGED, "a ChunkEdgesMsg protobuf, found broken bytes ("),
    (edges_file, frame(field(1, group(ids(ONE), b""))), DAMAGED, "in_chunk columns of 1 edges (as node_"),
    (edges_file, frame(field(3, group(ids(ONE)[:-1], ids(TWO)))), DAMAGED, "between_chunk.node_ids1 in "),
    (edges_file, edge(IN_CHUNK, ONE, supervoxel(OTHER, 1)), WRONG_IDS, "in_chunk edges with both ends in"),
    (edges_file, edge(IN_CHUNK, 0, ONE), WRONG_IDS, "in_chunk ids of layer 1, found 0 of layer 0;"),
    (edges_file, edge(IN_CHUNK, ONE, OUTSIDE), WRONG_IDS, "in_chunk ids within the 4x2x2 chunks of the grid"),
    (edges_file, edge(BETWEEN, ONE, TWO), WRONG_IDS, "between_chunk edges that leave the chunk, found the"),
    (components_file, b"hello", DAMAGED_COMPONENTS, "a ChunkComponentsMsg protobuf, found broken bytes ("),
    (components_file, components(3, ONE, TWO), DAMAGED_COMPONENTS, "a component of 3 ids, found 2 ids up"),
    (components_file, components(1, ONE, 2, TWO, ONE), DAMAGED_COMPONENTS, "every supervoxel in one compon"),
    (components_file, components(1, OUTSIDE), WRONG_COMPONENTS, "components ids within the 4x2x2 chunks"),
    (components_file, components(1, 0), WRONG_COMPONENTS, "components ids of layer 1, found 0 of layer 0;"),
]  # fmt: skip


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("file_of", "content", "kind", "message"), BAD_FILES)
def test_a_bad_file(
    cli: Cli, dataset: Path, file_of: Callable[[Path], Path], content: bytes, kind: str, message: str
) -> None:
    file = file_of(dataset)
    file.write_bytes(content)
    found = checked(cli, dataset, ALL)
    assert problems(found) == {kind: [(str(file), NAME)]}
    (line,) = lines(found, kind)
    assert line.startswith(f"{file}: chunk {NAME}: expected {message}")
    (case,) = found["problems"][kind]["examples"]
    parts = "{file}: chunk {chunk}: expected {expected}, found {found}; {advice}".format(**case)
    assert parts == line
    assert case["advice"] == AGAIN
    # The line is that of `graph`, which would have found it after the money was spent.
    assert line in cli("graph", "g", dataset).errors


def test_each_group_of_a_file_is_looked_at(cli: Cli, dataset: Path) -> None:
    edges_file(dataset).write_bytes(
        frame(
            field(IN_CHUNK, group(ids(0), ids(ONE)))
            + field(CROSS, group(ids(ONE), ids(TWO)))
            + field(BETWEEN, group(ids(ONE), ids(OUTSIDE)))
        )
    )
    found = lines(checked(cli, dataset, ALL), WRONG_IDS)
    assert [line.partition("expected ")[2].split()[0] for line in found] == [
        "between_chunk",
        "cross_chunk",
        "in_chunk",
    ]


@pytest.mark.parametrize("file_of", [edges_file, components_file])
def test_a_file_that_cannot_be_read(cli: Cli, dataset: Path, file_of: Callable[[Path], Path]) -> None:
    file_of(dataset).unlink()
    file_of(dataset).mkdir()
    edges_file(dataset, "3_1_1").write_bytes(b"hello")  # and the others are looked at all the same
    found = checked(cli, dataset, ALL)
    assert problems(found) == {
        UNREADABLE: [(str(file_of(dataset)), NAME)],
        DAMAGED: [(str(edges_file(dataset, "3_1_1")), "3_1_1")],
    }
    assert lines(found, UNREADABLE) == [
        f"{file_of(dataset)}: chunk {NAME}: expected a file that can be read, found an error: Is a "
        "directory; make it readable for this program"
    ]


# Files that contradict each other


@pytest.mark.parametrize("other", [NEIGHBOUR, OTHER], ids=["of one parent", "of two parents"])
def test_an_edge_that_the_other_chunk_does_not_have(cli: Cli, dataset: Path, other: Coords) -> None:
    chunk = small_dataset().chunks[BAD]
    spoilt(dataset, c1_0_1=replace(chunk, between=(*chunk.between, (TWO, supervoxel(other, 2)))))
    name = "{}_{}_{}".format(*other)
    found = checked(cli, dataset, ALL)
    assert problems(found) == {ONE_SIDED: [(str(edges_file(dataset, name)), name)]}
    (line,) = lines(found, ONE_SIDED)
    assert line == (
        f"{edges_file(dataset, name)}: chunk {name}: expected the 2 edges to chunk {NAME} that "
        f"{edges_file(dataset)} lists, found 1; {SWAP}"
    )


def test_as_many_edges_but_others(cli: Cli, dataset: Path) -> None:
    chunk = small_dataset().chunks[BAD]
    between = (*without(chunk.between, (ONE, supervoxel(OTHER, 1))), (TWO, supervoxel(OTHER, 1)))
    spoilt(dataset, c1_0_1=replace(chunk, between=between))
    (line,) = lines(checked(cli, dataset, ALL), ONE_SIDED)
    assert line.endswith(f"lists, found 1 others; {SWAP}")
    assert NAME in line
    assert "2_0_1" in line


def test_an_absent_file_that_others_have_edges_to(cli: Cli, dataset: Path) -> None:
    """Four chunks touch it, each with an edge: four pairs disagree, and it is told once what for."""
    edges_file(dataset).unlink()
    components_file(dataset).unlink()
    found = checked(cli, dataset, ALL)
    assert found["problems"].keys() == {ONE_SIDED}
    assert found["problems"][ONE_SIDED]["count"] == 4
    assert lines(found, ONE_SIDED) == [
        f"{edges_file(dataset)}: chunk {NAME}: expected a file, since other chunks have edges to this one, "
        "found none; restore it"
    ]
    assert found["counts"]["edges files absent"] == found["counts"]["components files absent"] == 1


def test_edges_to_a_chunk_that_does_not_touch(cli: Cli, dataset: Path) -> None:
    """No pair of faces, so one file alone mentions it."""
    far = (3, 1, 0)
    chunk = small_dataset().chunks[BAD]
    spoilt(dataset, c1_0_1=replace(chunk, between=(*chunk.between, (TWO, supervoxel(far, 2)))))
    found = checked(cli, dataset, ALL)
    assert problems(found) == {ONE_SIDED: [(str(edges_file(dataset, "3_1_0")), "3_1_0")]}
    (line,) = lines(found, ONE_SIDED)
    assert f"that {edges_file(dataset)} lists, found 0; " in line


@pytest.mark.parametrize("other", [NEIGHBOUR, OTHER], ids=["of one parent", "of two parents"])
def test_an_edge_that_is_active_in_one_chunk_alone(cli: Cli, dataset: Path, other: Coords) -> None:
    chunk = small_dataset().chunks[other]
    name = "{}_{}_{}".format(*other)
    spoilt(
        dataset, **{f"c{name}": replace(chunk, components=((supervoxel(other, 1), supervoxel(other, 2)),))}
    )
    found = checked(cli, dataset, ALL)
    assert problems(found).keys() == {DISAGREE}
    assert {(file, chunk) for file, chunk in problems(found)[DISAGREE]} == {
        (str(components_file(dataset, name)), name)
    }
    expected = (
        f"{components_file(dataset, name)}: chunk {name}: expected the 1 active edges to chunk {NAME} that "
        f"{components_file(dataset)} makes, found 0; the components of both chunks must agree on which edges "
        "are active: write them from one agglomeration"
    )
    assert expected in lines(found, DISAGREE)


def test_a_bad_file_is_not_blamed_twice(cli: Cli, dataset: Path) -> None:
    """What its neighbours list to it is compared with nothing."""
    edges_file(dataset).write_bytes(b"hello")
    components_file(dataset, "3_0_0").write_bytes(b"hello")
    assert problems(checked(cli, dataset, ALL)) == {
        DAMAGED: [(str(edges_file(dataset)), NAME)],
        DAMAGED_COMPONENTS: [(str(components_file(dataset, "3_0_0")), "3_0_0")],
    }


# Many at once


@pytest.mark.parametrize("workers", [1, slow(2)])
def test_all_kinds_are_reported_in_one_run(cli: Cli, dataset: Path, workers: int) -> None:
    """Damage of every kind, each in a chunk of its own as far as there are any."""
    chunk = small_dataset().chunks[3, 1, 1]
    extra = (supervoxel((3, 1, 1), 2), supervoxel((3, 1, 0), 2))
    changed = replace(chunk, between=(*chunk.between, extra))
    inactive = replace(small_dataset().chunks[3, 0, 0], components=())
    spoilt(dataset, c3_1_1=changed, c3_0_0=inactive)
    edges_file(dataset, "0_0_0").write_bytes(b"hello")
    components_file(dataset, "0_0_1").write_bytes(b"hello")
    edges_file(dataset, "0_1_0").write_bytes(edge(IN_CHUNK, 0, 1))
    components_file(dataset, "0_1_1").write_bytes(components(1, 0))
    edges_file(dataset, "1_0_0").unlink()
    edges_file(dataset, "1_0_0").mkdir()
    (dataset.parent / "edges" / "edges_9_0_0.proto.zst").write_bytes(b"")
    (dataset.parent / "edges" / "edges_0_0_0.proto.zst.half").write_bytes(b"")
    found = checked(cli, dataset, ALL, f"--direct_num_workers={workers}")
    folder = dataset.parent / "edges"
    assert problems(found) == {
        DAMAGED: [(str(edges_file(dataset, "0_0_0")), "0_0_0")],
        DAMAGED_COMPONENTS: [(str(components_file(dataset, "0_0_1")), "0_0_1")],
        WRONG_IDS: [(str(edges_file(dataset, "0_1_0")), "0_1_0")],
        WRONG_COMPONENTS: [(str(components_file(dataset, "0_1_1")), "0_1_1")],
        UNREADABLE: [(str(edges_file(dataset, "1_0_0")), "1_0_0")],
        ONE_SIDED: [(str(edges_file(dataset, "3_1_0")), "3_1_0")],
        DISAGREE: [(str(components_file(dataset, "3_0_0")), "3_0_0")],
        "files outside the grid": [(str(folder / "edges_9_0_0.proto.zst"), "")],
        "names of no chunk": [(str(folder / "edges_0_0_0.proto.zst.half"), "")],
        "a grid that does not fit the files": [(f"{folder}/", "")],
    }
    assert found["wrong"] == 10
    text = cli("check", dataset, ALL)
    assert text.status == 1
    for kind in problems(found):
        assert f"PROBLEM: {kind}: 1\n  {lines(found, kind)[0]}\n" in text.out
    assert f"10 problems found in {dataset} (" in text.out.splitlines()[-1]


@pytest.mark.parametrize("seed", range(3))
def test_random_damage(cli: Cli, dataset: Path, seed: int) -> None:
    """Random bad files in random chunks: each is told once, and nothing else."""
    draw = random.Random(seed)
    names = ["_".join(map(str, coords)) for coords in small_dataset().chunks]
    planted = set()
    for name in draw.sample(names, 5):
        file_of = draw.choice([edges_file, components_file])
        file = file_of(dataset, name)
        # A flipped bit in the frame's magic, or a cut in the protobuf: no luck makes them right.
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:] if file_of is edges_file else content[:-1])
        planted.add((str(file), name))
    found = problems(checked(cli, dataset, ALL))
    assert found.keys() <= {DAMAGED, DAMAGED_COMPONENTS}
    cases = [case for kind in found.values() for case in kind]
    assert (set(cases), len(cases)) == (planted, 5)


def test_how_often_and_the_first_examples(cli: Cli, dataset: Path) -> None:
    for file in (dataset.parent / "edges").iterdir():
        file.write_bytes(b"hello")
    tally = checked(cli, dataset, ALL)["problems"][DAMAGED]
    assert tally["count"] == 16
    assert [case["chunk"] for case in tally["examples"]] == ["0_0_0", "0_0_1", "0_1_0", "0_1_1", "1_0_0"]
    assert "  ... 16 in all\n" in cli("check", dataset, ALL).out


# A sample


def test_a_sample_opens_its_chunks_and_their_neighbours(cli: Cli, dataset: Path) -> None:
    """A chunk in the middle of 4x2x2 has four neighbours: with all files bad, one sees which were opened."""
    sound = {file: file.read_bytes() for file in (dataset.parent / "edges").iterdir()}
    for file in sound:
        file.write_bytes(b"hello")
    tally = checked(cli, dataset, "--sample", "1")["problems"][DAMAGED]
    opened = [tuple(map(int, case["chunk"].split("_"))) for case in tally["examples"]]
    assert tally["count"] == len(opened)
    apart = {c: [sum(abs(a - b) for a, b in zip(c, d, strict=True)) for d in opened] for c in opened}
    (centre,) = [c for c, distances in apart.items() if max(distances) <= 1]
    assert len(opened) == 1 + sum(1 for c in small_dataset().chunks if sum(map(abs, _minus(c, centre))) == 1)

    for file, content in sound.items():
        file.write_bytes(content)
    unopened = sorted(set(small_dataset().chunks) - set(opened))[0]
    edges_file(dataset, "_".join(map(str, unopened))).write_bytes(b"hello")
    found = checked(cli, dataset, "--sample", "1", status=0)
    assert (found["sample"], found["counts"]["chunks"], found["counts"]["pairs of chunks"]) == (
        1,
        1,
        len(opened) - 1,
    )
    checked(cli, dataset, ALL, status=1)

    name = "_".join(map(str, centre))
    edges_file(dataset, name).write_bytes(b"hello")
    assert problems(checked(cli, dataset, "--sample", "1")) == {
        DAMAGED: [(str(edges_file(dataset, name)), name)]
    }


def _minus(a: Coords, b: Coords) -> tuple[int, ...]:
    return tuple(i - j for i, j in zip(a, b, strict=True))


def test_a_sample_finds_a_one_sided_edge(cli: Cli, dataset: Path) -> None:
    """Wherever it is: eight of the sixteen chunks and their neighbours are all chunks but a few corners."""
    chunk = small_dataset().chunks[BAD]
    spoilt(dataset, c1_0_1=replace(chunk, between=without(chunk.between, (FOUR, supervoxel((1, 1, 1), 4)))))
    found = checked(cli, dataset)
    assert problems(found) == {ONE_SIDED: [(str(edges_file(dataset)), NAME)]}


@pytest.mark.parametrize("number", ["0", "-3"])
def test_a_sample_of_nothing(cli: Cli, dataset: Path, number: str) -> None:
    line = cli.refused("check", dataset, f"--sample={number}")
    assert line == f"--sample {number}: expected 1 or more; --all opens every chunk"
