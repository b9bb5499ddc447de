"""`graph`, `check` and `verify` come to one verdict about a dataset, however it was spoilt."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from beam_ingest.cli import main
from tests.conftest import GRID, Cli, small_dataset, supervoxel
from tests.examples import examples
from tests.inputs.test_bad_files import components_file, edges_file
from tests.oracle.datasets import Chunk, Coords, OracleDataset, write

EVERY = sorted(small_dataset().chunks)
SOME = examples(3, suppress_health_check=list(HealthCheck), database=None)


# What is done to one chunk of a dataset before it is written


def _without_id(chunk: Chunk, rng: random.Random) -> Chunk:
    gone = rng.choice([i for component in chunk.components for i in component])
    return replace(chunk, components=tuple(tuple(i for i in c if i != gone) for c in chunk.components))


def _without_component(chunk: Chunk, rng: random.Random) -> Chunk:
    gone = rng.randrange(len(chunk.components))
    return replace(chunk, components=tuple(c for i, c in enumerate(chunk.components) if i != gone))


def _one_component(chunk: Chunk, rng: random.Random) -> Chunk:
    return replace(chunk, components=(tuple(i for component in chunk.components for i in component),))


def _own_ids_alone(chunk: Chunk, rng: random.Random) -> Chunk:
    here = GRID.coords_of(chunk.in_chunk[0][0])
    own = tuple(tuple(i for i in c if GRID.coords_of(i) == here) for c in chunk.components)
    return replace(chunk, components=own)


def _without_edge(chunk: Chunk, rng: random.Random) -> Chunk:
    kind = rng.choice(["in_chunk", "cross", "between"])
    edges = getattr(chunk, kind)
    return replace(chunk, **{kind: tuple(e for e in edges if e != rng.choice(edges))})


def _another_edge(chunk: Chunk, rng: random.Random) -> Chunk:
    own, partner = rng.choice(chunk.between)
    edge = (own + rng.randrange(2), supervoxel(GRID.coords_of(partner), rng.randrange(1, 5)))
    return replace(chunk, between=(*chunk.between, edge))


CHANGES: list[Callable[[Chunk, random.Random], Chunk]] = [
    _without_id,
    _without_component,
    _one_component,
    _own_ids_alone,
    _without_edge,
    _another_edge,
]


# What is done to files that are there


def _absent(file: Path, other: Path) -> None:
    file.unlink(missing_ok=True)


def _empty(file: Path, other: Path) -> None:
    file.write_bytes(b"")


def _cut(file: Path, other: Path) -> None:
    if file.exists():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _another_chunks(file: Path, other: Path) -> None:
    if other.exists():
        file.write_bytes(other.read_bytes())


def _swapped(file: Path, other: Path) -> None:
    if file.exists() and other.exists():
        first, second = file.read_bytes(), other.read_bytes()
        file.write_bytes(second)
        other.write_bytes(first)


DAMAGES: list[Callable[[Path, Path], None]] = [_absent, _empty, _cut, _another_chunks, _swapped]


def verdicts(dataset: Path) -> list[int]:
    """Exit statuses of the three."""
    commands = (["graph", "g"], ["check"], ["verify", "g"])
    return [main([*c, str(dataset), *(["--all"] if c == ["check"] else [])]) for c in commands]


@SOME
@given(
    changes=st.lists(st.tuples(st.sampled_from(CHANGES), st.sampled_from(EVERY)), max_size=2),
    damages=st.lists(
        st.tuples(
            st.sampled_from(DAMAGES),
            st.sampled_from([edges_file, components_file]),
            st.sampled_from(EVERY),
            st.sampled_from(EVERY),
        ),
        max_size=1,
    ),
    seed=st.integers(0, 99),
)
def test_one_verdict(
    changes: list[tuple[Callable[[Chunk, random.Random], Chunk], Coords]],
    damages: list[tuple[Callable[[Path, Path], None], Callable[[Path, str], Path], Coords, Coords]],
    seed: int,
) -> None:
    rng = random.Random(seed)
    chunks = dict(small_dataset().chunks)
    for change, coords in changes:
        chunks[coords] = change(chunks[coords], rng)
    with tempfile.TemporaryDirectory() as folder:
        dataset = write(OracleDataset(GRID, chunks), Path(folder))
        for damage, file_of, coords, other in damages:
            damage(*(file_of(dataset, "_".join(map(str, c))) for c in (coords, other)))
        assert verdicts(dataset) in ([0, 0, 0], [1, 1, 1])


@pytest.mark.sampled(1)
@pytest.mark.parametrize("coords", [(0, 0, 1), (1, 0, 1), (2, 1, 0)], ids=str)
def test_an_id_missing_in_one_chunks_components(coords: Coords, dataset: Path) -> None:
    """Of an object that has other edges to the same chunks: every partner is known, and one edge is not."""
    chunks = dict(small_dataset().chunks)
    x, y, z = coords
    for here, there in ((coords, (x + 1, y, z)), ((x + 1, y, z), coords)):
        more = (supervoxel(here, 2), supervoxel(there, 2))
        chunks[here] = replace(chunks[here], between=(*chunks[here].between, more))
    gone = supervoxel((x + 1, y, z), 2)
    spoilt = tuple(tuple(i for i in c if i != gone) for c in chunks[coords].components)
    chunks[coords] = replace(chunks[coords], components=spoilt)
    write(OracleDataset(GRID, chunks), dataset.parent)
    assert verdicts(dataset) == [1, 1, 1]


@pytest.mark.slow
def test_components_of_each_chunk_alone(cli: Cli, tmp_path: Path) -> None:
    """Many edges between chunks, none of them active: refused, unless the dataset file allows it."""
    chunks = {}
    for coords in EVERY:
        x, y, z = coords
        own = [supervoxel(coords, segment) for segment in range(1, 30)]
        along = [(x + step, y, z) for step in (-1, 1) if 0 <= x + step < GRID.chunks[0]]
        between = [(i, supervoxel(other, n)) for other in along for n, i in enumerate(own, 1)]
        chunks[coords] = Chunk(in_chunk=((own[0], own[1]),), between=tuple(between), components=(tuple(own),))
    dataset = write(OracleDataset(GRID, chunks), tmp_path)
    said = f"{tmp_path}/components/: expected active edges between chunks, found 0 of 348; "
    assert cli.refused("graph", "g", dataset, status=1).startswith(said)
    assert cli.done(dataset) == [16, 0, 0]
    found = cli("check", dataset, "--all", "--json")
    assert found.status == 1
    (tally,) = found.json["problems"].values()
    assert tally["examples"][0]["line"].startswith(said)
    dataset = write(OracleDataset(GRID, chunks), tmp_path, ingest_config=["ALLOW_UNJOINED_CHUNKS: true"])
    outcome = cli("graph", "g", dataset, "--overwrite")
    assert outcome.status == 0
    assert "0 of 348 between chunks are active" in outcome.out
    assert cli("check", dataset, "--all").status == cli("verify", "g", dataset).status == 0


def test_active_edges_are_reported(cli: Cli, dataset: Path) -> None:
    """Of the small dataset: 12 edges along x are active, 8 along y are not; cut supervoxels do not count."""
    assert "12 of 20 between chunks are active" in cli("graph", "g", dataset).out
    counts = cli("check", dataset, "--all", "--json").json["counts"]
    assert (counts["active edges between chunks"], counts["edges between chunks"]) == (12, 20)
    counts = cli("verify", "g", dataset, "--json").json["counts"]
    assert (counts["active edges between chunks"], counts["edges between chunks"]) == (12, 20)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lost", ["absent", "empty", "another folder"])
def test_no_component_at_all(lost: str, cli: Cli, dataset: Path) -> None:
    for file in (dataset.parent / "components").iterdir():
        if lost == "empty":
            file.write_bytes(b"")
        elif lost == "absent":
            file.unlink()
    if lost == "another folder":
        (dataset.parent / "elsewhere").mkdir()
        text = dataset.read_text()
        dataset.write_text(text.replace("COMPONENTS: ./components", "COMPONENTS: ./elsewhere"))
    assert verdicts(dataset) == [1, 1, 1]


def test_components_of_one_supervoxel_say_that_none_is_meant(cli: Cli, dataset: Path) -> None:
    chunks = {
        coords: replace(chunk, components=((chunk.in_chunk[0][0],),))
        for coords, chunk in small_dataset().chunks.items()
    }
    write(OracleDataset(GRID, chunks), dataset.parent)
    assert verdicts(dataset) == [0, 0, 0]


def test_raw_agglomeration_without_remap_files(cli: Cli, sample: Path) -> None:
    for name in ("done_*", "edges_*", "components_*"):  # the last two are made from raw agglomeration
        for file in sample.parent.rglob(name):
            file.unlink()
    line = cli.refused("graph", "g", sample, "--raw", status=1)
    assert "remap: expected components of the supervoxels of " in line
    assert cli("check", sample, "--raw").status == 1
    assert cli("check", sample, "--raw", "--all").status == 1
    assert cli("verify", "g", sample).status == 1


def test_one_run_names_what_is_damaged_and_what_is_lost(cli: Cli, dataset: Path) -> None:
    """A damaged file stops layer 2; whose files are absent, empty or elsewhere is told in the same run."""
    edges_file(dataset, "0_0_0").write_bytes(b"hello")
    edges_file(dataset, "3_1_1").unlink()
    components_file(dataset, "3_0_0").unlink()
    components_file(dataset, "1_1_1").write_bytes(b"")
    first, second = (edges_file(dataset, name) for name in ("0_1_0", "2_1_0"))
    _swapped(first, second)
    outcome = cli("graph", "g", dataset)
    assert outcome.status == 1
    listed = cli("failures", "g", dataset, "--json").out.splitlines()
    cli_lines = [json.loads(line)["cause"] for line in listed]
    start, swap = f"{dataset.parent}/", "put each file in its place"
    for beginning, end in (
        ("edges/edges_0_0_0.proto.zst: chunk 0_0_0: expected a zstd frame", ""),
        ("edges/edges_3_1_1.proto.zst: chunk 3_1_1: expected a file", "found none; restore it"),
        ("components/components_3_0_0.proto: chunk 3_0_0: expected a file", "found none; restore it"),
        ("components/components_1_1_1.proto: chunk 1_1_1: expected components in", ""),
        (
            "edges/edges_0_1_0.proto.zst: chunk 0_1_0: ",
            f"these ids are of chunk 2_1_0: {swap}",
        ),
        (
            "edges/edges_2_1_0.proto.zst: chunk 2_1_0: ",
            f"these ids are of chunk 0_1_0: {swap}",
        ),
    ):
        found = [line for line in cli_lines if line.startswith(start + beginning)]
        assert found, beginning
        assert found[0].endswith(end)
    # Sound chunks beside damaged ones are not blamed.
    blamed = {line.partition(": chunk ")[2].partition(":")[0] for line in cli_lines}
    assert blamed == {"0_0_0", "3_1_1", "3_0_0", "1_1_1", "0_1_0", "2_1_0"}
