"""Every kind of source that ``prepare`` reads, and every kind that it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from beam_ingest.dataset import Dataset
from beam_ingest.inputs.components import decode_components
from beam_ingest.inputs.edges import Edges, decode_chunk_edges
from beam_ingest.volumes.tables import read_table
from tests.conftest import Cli
from tests.volumes.datasets import OFFSET, SIZE, make_volumes, outputs, write_dataset, write_volume

SUPERVOXELS, _ = make_volumes()
SUPERVOXELS = SUPERVOXELS[:17]
SEGMENTATION = (SUPERVOXELS % 7).astype(np.uint16) * (SUPERVOXELS != 0)
PAIRS = np.unique(np.stack([SUPERVOXELS, SEGMENTATION], axis=-1).reshape(-1, 2), axis=0).astype(np.uint64)
"""Supervoxels and their agglomerated labels."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes that a test does not change."""
    folder = tmp_path_factory.mktemp("sources")
    write_volume(folder / "supervoxels", SUPERVOXELS)
    write_volume(folder / "segmentation", SEGMENTATION)
    return folder


@pytest.fixture
def make(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a dataset file with a section ``volumes``; the supervoxels are those of the module."""

    def made(name: str = "dataset", size: tuple[int, int, int] = SIZE, **volumes: Any) -> Path:
        return write_dataset(tmp_path / name, {"SUPERVOXELS": str(folder / "supervoxels")} | volumes, size)

    return made


def rows(edges: Edges) -> list[tuple[int, int, int]]:
    columns = (edges.node_ids1.tolist(), edges.node_ids2.tolist(), edges.areas.tolist())
    return list(zip(*columns, strict=True))


def partition(dataset: Path) -> dict[str, set[frozenset[int]]]:
    """The components in every file."""
    found = {}
    for file in (dataset.parent / "components").iterdir():
        mapping = decode_components(file.read_bytes(), file.name, "")
        numbers = np.unique(mapping.components)
        found[file.name] = {frozenset(mapping.ids[mapping.components == n].tolist()) for n in numbers}
    return found


def write_npy(path: Path, rows: np.ndarray) -> None:
    np.save(path, rows)


def write_csv(path: Path, rows: np.ndarray) -> None:
    path.write_text("supervoxel,label\n" + "".join(f"{a},{b}\n" for a, b in rows.tolist()))


def write_parquet(path: Path, rows: np.ndarray) -> None:
    parquet.write_table(pa.table({"supervoxel": rows[:, 0], "label": rows[:, 1]}), path)


@pytest.mark.slow
def test_tables_give_the_bytes_that_a_volume_gives(folder: Path, make: Callable[..., Path], cli: Cli) -> None:
    by_volume = make("volume", SEGMENTATION=str(folder / "segmentation"))
    assert cli("prepare", by_volume).status == 0
    tables = []
    for suffix, write in (("npy", write_npy), ("csv", write_csv), ("parquet", write_parquet)):
        dataset = make(suffix, SEGMENTATION=f"./labels.{suffix}")
        write(dataset.parent / f"labels.{suffix}", np.random.default_rng(1).permutation(PAIRS))
        table = read_table(Dataset.from_file(dataset))
        assert table is not None
        tables.append([labels.tolist() for labels in table.of(np.unique(SUPERVOXELS)[1:].astype(np.uint64))])
    assert tables[0] == tables[1] == tables[2]
    assert cli("prepare", dataset).status == 0
    assert outputs(dataset) == outputs(by_volume)
    # Pairs that are joined say the same of all but those of label 0, which are objects of their own.
    dataset = make("pairs", EQUIVALENCES="./pairs.npy")
    objects = [PAIRS[PAIRS[:, 1] == label, 0] for label in range(1, 7)]
    pairs = np.concatenate([np.stack([each[1:], each[:-1]], axis=1) for each in objects])
    write_npy(dataset.parent / "pairs.npy", np.random.default_rng(2).permutation(pairs))
    assert cli("prepare", dataset).status == 0
    expected = partition(by_volume)
    for name, groups in partition(dataset).items():
        mapped = set().union(*expected[name])
        assert {group for group in groups if group & mapped} == expected[name]


@pytest.mark.slow
def test_supervoxels_alone_are_joined_to_nothing(make: Callable[..., Path], cli: Cli) -> None:
    dataset = make()
    assert cli("prepare", dataset).status == 0
    assert all(len(group) == 1 for groups in partition(dataset).values() for group in groups)
    assert cli("graph", "g", dataset).status == 0
    assert cli("verify", "g", dataset).status == 0


def test_supervoxels_that_are_chunked_already_are_not_written_again(
    folder: Path, make: Callable[..., Path], cli: Cli
) -> None:
    first = make("first", SEGMENTATION=str(folder / "segmentation"))
    assert cli("prepare", first).status == 0
    second = make("second", SUPERVOXELS="./ws", SEGMENTATION=str(folder / "segmentation"))
    said = failed(cli, make("other", SUPERVOXELS=str(first.parent / "ws")))
    assert "expected labels that are not ids of their chunks yet, found such ids; let data_source" in said
    shutil.copytree(first.parent / "ws", second.parent / "ws")
    before = {file: file.stat().st_mtime_ns for file in (second.parent / "ws").rglob("*")}
    assert "(read, not written)" in cli("prepare", second).out
    assert before == {file: file.stat().st_mtime_ns for file in (second.parent / "ws").rglob("*")}
    same = {name: data for name, data in outputs(first).items() if not name.startswith("edges/")}
    assert {name: data for name, data in outputs(second).items() if not name.startswith("edges/")} == same
    # Nothing in the ids tells which pieces are halves of one supervoxel: all are edges between chunks.
    for file in (first.parent / "edges").glob("*.zst"):
        was, now = (
            decode_chunk_edges((dataset.parent / "edges" / file.name).read_bytes(), file.name, "")
            for dataset in (first, second)
        )
        assert rows(now.in_chunk) == rows(was.in_chunk)
        assert rows(now.between_chunk) == sorted(rows(was.cross_chunk) + rows(was.between_chunk))
        assert not len(now.cross_chunk)
    # With chunks of another size these are no ids of their chunks.
    third = make("third", (10, 6, 10), SUPERVOXELS="./ws")
    shutil.copytree(first.parent / "ws", third.parent / "ws")
    assert "expected ids of this chunk, since WATERSHED is the same volume, found " in failed(cli, third)


def test_blocks_that_are_not_stored_are_background_if_one_says_so(
    make: Callable[..., Path], cli: Cli
) -> None:
    dataset = make(SUPERVOXELS="./supervoxels", FILL_MISSING=True)
    write_volume(dataset.parent / "supervoxels", SUPERVOXELS)
    block = sorted((dataset.parent / "supervoxels").rglob("*-*_*-*_*-*"))[0]
    block.unlink()
    assert cli("prepare", dataset).status == 0


SHAPE = SUPERVOXELS.shape
REFUSED: dict[str, tuple[str, np.ndarray, dict[str, Any], str]] = {
    "size": ("SEGMENTATION", SEGMENTATION[1:], {}, "expected [17, 11, 19] voxels, as SUPERVOXELS have"),
    "offset": (
        "SEGMENTATION",
        SEGMENTATION,
        {"offset": (7, 100, 34)},
        f"expected {list(OFFSET)} as voxel_offset",
    ),
    "coarse": ("SEGMENTATION", SEGMENTATION[::2], {"resolution": (16, 8, 40)}, "found [9, 11, 19] in file"),
    "resolution": ("SEGMENTATION", SEGMENTATION, {"resolution": (8, 8, 41)}, "[8.0, 8.0, 40.0] nm a voxel"),
    "signed": (
        "SEGMENTATION",
        SEGMENTATION.astype(np.int32),
        {},
        "one channel of unsigned integers, found 1 of int32",
    ),
    "floats": ("SUPERVOXELS", SUPERVOXELS.astype(np.float32), {}, "unsigned integers, found 1 of float32"),
    "channels": (
        "AFFINITIES",
        np.zeros((*SHAPE, 2), np.float32),
        {},
        "3 channels of float32 or uint8, found 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_volumes_that_do_not_fit(name: str, make: Callable[..., Path], cli: Cli) -> None:
    key, voxels, more, message = REFUSED[name]
    dataset = make(**{key: "./wrong"})
    write_volume(dataset.parent / "wrong", voxels, **more)
    line = cli.refused("prepare", dataset)
    assert f"volumes.{key}: " in line
    assert message in line
    assert not outputs(dataset)


def test_places_and_tables_that_are_refused(make: Callable[..., Path], cli: Cli) -> None:
    assert "volumes.SUPERVOXELS: expected a volume with mip 0 at" in cli.refused(
        "prepare", make("none", SUPERVOXELS="./none")
    )
    assert "with mip 3 at" in cli.refused("prepare", make("mip", MIP=3))
    dataset = make("table", SEGMENTATION="./labels.npy")
    assert "expected a table, found no file" in cli.refused("prepare", dataset)
    labels = dataset.parent / "labels.npy"
    for rows, message in (
        (PAIRS[:, :1], "expected two columns of whole numbers, found shape"),
        (PAIRS.astype(float), "expected two columns of whole numbers, found shape"),
        (-PAIRS.astype(np.int64), "expected labels from 0, found -"),
        (
            np.array([[3, 4], [3, 5]]),
            "expected one agglomerated label for each supervoxel, found several for 3",
        ),
    ):
        write_npy(labels, rows)
        assert message in cli.refused("prepare", dataset)
    labels.write_bytes(b"damaged")
    assert "expected a table of labels, found" in cli.refused("prepare", dataset)
    both = make("both", SEGMENTATION="./labels.npy", EQUIVALENCES="./labels.npy")
    assert "either this or SEGMENTATION, not both" in cli.refused("prepare", both)
    assert (
        "CHUNK_SIZE: expected a size along y that storage blocks of 16 to 128 voxels divide, found 257"
        in (cli.refused("prepare", make("odd", (8, 257, 8))))
    )


def test_folders_that_cannot_be_written_are_told_before_anything_is_done(
    make: Callable[..., Path], cli: Cli
) -> None:
    for key, name in (("EDGES", "edges"), ("COMPONENTS", "components"), ("WATERSHED", "ws")):
        dataset = make(key)
        dataset.write_text(dataset.read_text().replace(f"./{name}", "/proc/none"))
        for option in ([], ["--overwrite"]):
            line = cli.refused("prepare", dataset, *option)
            assert (
                f"data_source.{key}: expected a folder that files can be written to, found an error" in line
            )
            assert "make it writable, or name another one" in line
        assert not [file for file in dataset.parent.rglob("*") if file.is_file() and file != dataset]


def failed(cli: Cli, dataset: Path) -> str:
    outcome = cli("prepare", dataset)
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    return outcome.err


def test_chunks_that_are_refused(make: Callable[..., Path], cli: Cli) -> None:
    dataset = make("lacking", SEGMENTATION="./labels.npy")
    write_npy(dataset.parent / "labels.npy", PAIRS[:-1])
    assert f"such as {PAIRS[-1, 0]}; add them, with label 0" in failed(cli, dataset)
    dataset = make("nan", AFFINITIES="./affinities")
    affinities = np.zeros((*SHAPE, 3), np.float32)
    affinities[9, 2, 12, 1] = np.nan
    write_volume(dataset.parent / "affinities", affinities)
    voxel = [9 + OFFSET[0], 2 + OFFSET[1], 12 + OFFSET[2]]
    said = failed(cli, dataset)
    assert (
        f"chunk 1_0_1: expected affinities that are numbers, found NaN at 1 places, such as voxel {voxel}"
        in said
    )
    dataset = make("many")
    text = dataset.read_text().replace("graph_config:\n", "graph_config:\n  SPATIAL_BITS: 18\n")
    dataset.write_text(text)
    assert "expected at most 3 supervoxels in a chunk" in failed(cli, dataset)


def test_check_knows_the_section(folder: Path, make: Callable[..., Path], cli: Cli) -> None:
    dataset = make(SEGMENTATION=str(folder / "segmentation"))
    outcome = cli("check", dataset)
    assert outcome.status == 2
    assert f"`beam-ingest prepare {dataset}` makes EDGES, COMPONENTS and WATERSHED" in outcome.out
    assert "volumes: 17 x 11 x 19 voxels, 12 chunks" in outcome.out
    assert cli("prepare", dataset).status == 0
    assert cli("check", dataset, "--all").status == 0
    wrong = make("wrong", SEGMENTATION="./wrong")
    write_volume(wrong.parent / "wrong", SEGMENTATION[1:])
    assert "expected [17, 11, 19] voxels, as SUPERVOXELS have" in cli("check", wrong).out
