"""The supervoxels of edges beside those of the watershed's voxels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume
from cloudvolume.chunks import NEEDS_INSTALL

from tests.checks import ALL, checked, lines, problems
from tests.conftest import GRID, Cli
from tests.inputs.test_bad_files import IN_CHUNK, edges_file, field, frame, group, ids
from tests.oracle.datasets import load
from tests.sample import files

STRANGE = "supervoxels in the watershed box of another chunk"
ABSENT = "supervoxels of edges that are not in the watershed"
IN_NO_EDGE = "supervoxels of the watershed in no edge"
EVERY = ("--sample", "16")
"""Opens all chunks, and reads the voxels of all."""


def test_voxels_that_are_not_there(cli: Cli, dataset: Path) -> None:
    """The small dataset has an info alone."""
    found = checked(cli, dataset, ALL, status=0)
    where = f"the watershed's voxels: none are stored at {dataset.parent}/ws/"
    assert found["not_checked"] == [where]
    assert "chunks with voxels" not in found["counts"]
    assert f"\nnot checked: {where}\n" in cli("check", dataset).out


def test_blocks_that_are_not_stored_are_background(cli: Cli, sample: Path) -> None:
    """Writers leave them out; supervoxels of edges that should be there are not in the watershed."""
    volume = sample.parent / "ws" / "8_8_32"
    gone = [file for file in volume.iterdir() if file.name.startswith("0-16_0-16_")]
    assert len(gone) == 2
    in_edges = load(sample.parent, GRID).chunks
    lost = {
        i
        for coords in ((0, 0, 0), (0, 0, 1))
        for edge in (*in_edges[coords].in_chunk, *in_edges[coords].cross, *in_edges[coords].between)
        for i in edge[:2]
        if files.chunk_of(i) == coords
    }
    for file in gone:
        file.unlink()
    found = checked(cli, sample, *EVERY)
    assert {kind: tally["count"] for kind, tally in found["problems"].items()} == {ABSENT: len(lost)}
    assert found["counts"]["chunks with voxels"] == 14
    assert found["counts"]["blocks that are not stored"] == 2
    assert found["not_checked"] == []


def rewritten(sample: Path, **options: object) -> CloudVolume:
    """The watershed of a sample in another layout of storage; the dataset names it."""
    voxels = files.voxels(sample.parent)
    info = CloudVolume.create_new_info(
        num_channels=1, layer_type="segmentation", data_type="uint64", resolution=(8, 8, 32),
        voxel_offset=(0, 0, 0), volume_size=voxels.shape[:3], **options,
    )  # fmt: skip
    folder = sample.parent / "other"
    volume = CloudVolume(
        f"file://{folder}", info=info, progress=False, delete_black_uploads=True, fill_missing=True
    )
    volume.commit_info()
    volume[:, :, :] = voxels
    sample.write_text(sample.read_text().replace("WATERSHED: ./ws", f"WATERSHED: {folder}"))
    return volume


@pytest.mark.slow
def test_small_blocks_of_which_some_are_background(cli: Cli, sample: Path) -> None:
    """Blocks of 4x4x4, in none of which a chunk ends; a chunk is black in one corner."""
    before = checked(cli, sample, *EVERY, status=0)
    volume = rewritten(sample, encoding="compressed_segmentation", chunk_size=(4, 4, 4))
    box = np.asarray(volume[16:32, :16, 16:32])
    labels = set(box.ravel().tolist()) - {0}
    box[:8, :8, :4] = 0
    lost = labels - set(box.ravel().tolist())
    volume[16:32, :16, 16:32] = box
    found = checked(cli, sample, *EVERY, status=1 if lost else 0)
    stored = len(list((sample.parent / "other" / "8_8_32").iterdir()))
    assert found["counts"]["blocks that are not stored"] == 16 * 64 - stored >= 4
    assert found["counts"]["chunks with voxels"] == 16
    assert found["not_checked"] == []
    known = found["counts"]["supervoxels with voxels"]
    assert known == before["counts"]["supervoxels with voxels"] - len(lost)


@pytest.mark.parametrize("encoding", ["crackle", "compresso", "raw"])
def test_every_encoding(cli: Cli, sample: Path, encoding: str) -> None:
    before = checked(cli, sample, status=0)
    rewritten(sample, encoding=encoding, chunk_size=(16, 16, 16))
    after = checked(cli, sample, status=0)
    assert after["counts"] == before["counts"]
    assert {kind: note["count"] for kind, note in after["notes"].items()} == {
        kind: note["count"] for kind, note in before["notes"].items()
    }
    assert after["not_checked"] == []


def test_an_encoding_whose_package_is_not_installed(
    cli: Cli, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten(sample, encoding="crackle", chunk_size=(16, 16, 16))
    monkeypatch.setitem(NEEDS_INSTALL, "crackle", "crackle-codec")
    found = checked(cli, sample, status=0)
    (line,) = found["not_checked"]
    assert line.startswith(f"the watershed's voxels: {(sample.parent / 'other').as_uri()}: ")
    assert "crackle-codec" in line
    assert "chunks with voxels" not in found["counts"]


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
        "file again"
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
