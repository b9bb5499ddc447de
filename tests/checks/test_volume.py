"""The supervoxels of edges beside those of the watershed's voxels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from cloudvolume import CloudVolume

from tests.checks import ALL, checked, lines, problems
from tests.conftest import GRID, Cli
from tests.oracle.datasets import load
from tests.sample import files
from tests.test_bad_files import IN_CHUNK, edges_file, field, frame, group, ids

STRANGE = "supervoxels in the watershed box of another chunk"
ABSENT = "supervoxels of edges that are not in the watershed"
IN_NO_EDGE = "supervoxels of the watershed in no edge"
EVERY = ("--sample", "16")
"""Opens all chunks, and reads the voxels of all."""


def test_voxels_that_are_not_there(cli: Cli, dataset: Path) -> None:
    """The small dataset has an info alone."""
    found = checked(cli, dataset, ALL, status=0)
    assert found["not_checked"] == ["the watershed's voxels: of some of the chunks none are there"]
    assert "chunks with voxels" not in found["counts"]
    assert "\nnot checked: the watershed's voxels: of some " in cli("check", dataset).out


def test_voxels_of_some_chunks(cli: Cli, sample: Path) -> None:
    volume = sample.parent / "ws" / "8_8_32"
    gone = [file for file in volume.iterdir() if file.name.startswith("0-16_0-16_")]
    assert len(gone) == 2
    for file in gone:
        file.unlink()
    found = checked(cli, sample, *EVERY, status=0)
    assert found["counts"]["chunks with voxels"] == 14
    assert len(found["not_checked"]) == 1


def test_voxels_that_cannot_be_read(cli: Cli, sample: Path) -> None:
    for file in (sample.parent / "ws" / "8_8_32").iterdir():
        file.write_bytes(b"hello")
    tally = checked(cli, sample)["problems"]["files that cannot be read"]
    assert tally["count"] == 8
    assert tally["examples"][0]["line"].startswith(f"{(sample.parent / 'ws').as_uri()}: the voxels of chunk ")


def test_a_chunk_without_edges(cli: Cli, sample: Path) -> None:
    """Its supervoxels are none of the graph's; what else is wrong with it is told as well."""
    before = checked(cli, sample, *EVERY, status=0)["notes"][IN_NO_EDGE]["count"]
    known = {i for e in load(sample.parent, GRID).chunks[1, 0, 1].in_chunk for i in e[:2]}
    assert known
    volume = files.voxels(sample.parent)
    labels = set(volume[16:32, :16, 16:].ravel().tolist()) - {0}
    (sample.parent / "edges" / "edges_1_0_1.proto.zst").unlink()
    found = checked(cli, sample, *EVERY)
    assert found["notes"][IN_NO_EDGE]["count"] > before
    # All labels of the chunk are in no edge now, and those of the other chunks as before.
    others = found["notes"][IN_NO_EDGE]["count"] - len(labels)
    assert 0 <= others <= before
    assert found["problems"].keys() == {"pairs of chunks with different edges"}


def test_edges_of_supervoxels_that_do_not_exist(cli: Cli, sample: Path) -> None:
    one, two = (GRID.node_id(1, (1, 0, 1), 10**6 + i) for i in (1, 2))
    edges_file(sample).write_bytes(frame(field(IN_CHUNK, group(ids(one), ids(two)))))
    found = checked(cli, sample, *EVERY)
    assert found["problems"][ABSENT]["count"] == 2
    (line,) = lines(found, ABSENT)
    assert line == (
        f"{edges_file(sample)}: chunk 1_0_1: expected supervoxels that are in {sample.parent}/ws/, found "
        f"{one} and 1 more that are not; name the watershed that the edges were made from, or write the "
        "file anew"
    )


def test_one_voxel_of_another_chunk(cli: Cli, sample: Path) -> None:
    volume = CloudVolume(f"file://{sample.parent}/ws", progress=False, compress="gzip")
    box = np.asarray(volume[16:32, :16, 16:32])
    stranger = GRID.node_id(1, (0, 0, 0), 1)
    box[3, 4, 5] = stranger
    volume[16:32, :16, 16:32] = box
    found = checked(cli, sample, *EVERY)
    assert problems(found) == {STRANGE: [(f"{sample.parent}/ws/", "1_0_1")]}
    assert f"in its box, found {stranger} that are not; correct CHUNK_SIZE" in lines(found, STRANGE)[0]


def test_a_chunk_size_that_is_wrong_along_one_axis(cli: Cli, sample: Path) -> None:
    """No file name tells: half of the chunks might be empty. The voxels do."""
    sample.write_text(sample.read_text().replace("CHUNK_SIZE: [16, 16, 16]", "CHUNK_SIZE: [16, 16, 8]"))
    found = checked(cli, sample, "--sample", "32")
    assert found["grid"] == [4, 2, 4]
    volume, in_edges = files.voxels(sample.parent), load(sample.parent, GRID).chunks
    strange = absent = 0
    for x, y, z in files.chunks_of((4, 2, 4)):
        box = volume[16 * x : 16 * x + 16, 16 * y : 16 * y + 16, 8 * z : 8 * z + 8]
        labels = set(box.ravel().tolist()) - {0}
        own = {i for i in labels if files.chunk_of(i) == (x, y, z)}
        strange += len(labels - own)
        chunk = in_edges.get((x, y, z))
        if chunk:
            edges = [*chunk.in_chunk, *chunk.cross, *chunk.between]
            mentioned = {i for edge in edges for i in edge[:2] if files.chunk_of(i) == (x, y, z)}
            absent += len(mentioned - own)
    assert {kind: tally["count"] for kind, tally in found["problems"].items()} == {
        STRANGE: strange,
        ABSENT: absent,
    }
    assert strange > 100


def test_another_watershed(cli: Cli, sample: Path, tmp_path: Path) -> None:
    """One of the same size, whose supervoxels were not cut into chunks."""
    folder = tmp_path / "other"
    shutil.copytree(sample.parent / "ws", folder)
    volume = CloudVolume(f"file://{folder}", progress=False, compress="gzip")
    volume[:, :, :] = np.full(volume.shape, 7, np.uint64)
    sample.write_text(sample.read_text().replace("WATERSHED: ./ws", f"WATERSHED: {folder}"))
    found = checked(cli, sample)
    assert found["problems"][STRANGE]["count"] == 8
    assert found["problems"][ABSENT]["count"] == found["counts"]["supervoxels"]
