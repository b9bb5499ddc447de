"""The files of EDGES and COMPONENTS that --raw writes, and those that are there already."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import zstandard
from cloudfiles import CloudFiles

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ChunksFailedError
from beam_ingest.files import Folder
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.inputs.server_files import ServerFiles
from beam_ingest.runners.run import run_job
from tests.conftest import Cli
from tests.inputs.test_bad_shards import NAME
from tests.inputs.test_graphs_of_bad_shards import failures

NEXT, BESIDE = "1_1_1", "2_0_1"
"""A chunk of the same block, and one of the other."""
REPLACE = "or build with --overwrite, which replaces it"


def edges(dataset: Path, name: str = NAME) -> Path:
    return dataset.parent / "edges" / f"edges_{name}.proto.zst"


def components(dataset: Path, name: str = NAME) -> Path:
    return dataset.parent / "components" / f"components_{name}.proto"


def files(dataset: Path) -> dict[str, bytes]:
    """Every file of EDGES and COMPONENTS."""
    folders = [edges(dataset).parent, components(dataset).parent]
    return {path.name: path.read_bytes() for folder in folders for path in folder.iterdir()}


@pytest.fixture
def written(cli: Cli, sample: Path) -> Path:
    """A sample whose files --raw has written, without the graph."""
    for folder in ("edges", "components"):
        shutil.rmtree(sample.parent / folder)
    assert cli("graph", "g", sample, "--raw").status == 0
    (sample.parent / "graph.sqlite").unlink()
    return sample


@pytest.mark.slow
def test_other_files_are_kept(cli: Cli, written: Path) -> None:
    mine = edges(written, BESIDE).read_bytes()
    edges(written).write_bytes(mine)
    components(written).write_bytes(b"")
    edges(written, NEXT).unlink()
    before = files(written)
    *lines, last = failures(cli, written)
    assert sorted(lines) == [
        f"{path}: chunk {NAME}: expected no file, or what the raw agglomeration makes of this chunk, found "
        f"another one; move it, name another folder in data_source.{key}, {REPLACE}"
        for path, key in ((components(written), "COMPONENTS"), (edges(written), "EDGES"))
    ]
    assert last.startswith("beam-ingest: 1 of 16 chunks failed at layer 2")
    assert files(written) == before, "nothing of the block is written"
    # The remedies.
    components(written).unlink()
    edges(written).rename(written.parent / "moved")
    assert cli("graph", "g", written, "--raw", "--resume").status == 0
    assert cli("verify", "g", written).status == 0
    edges(written).write_bytes(mine)
    assert cli("graph", "g", written, "--raw", "--overwrite").status == 0
    assert edges(written).read_bytes() != mine
    assert cli("verify", "g", written).status == 0


def test_a_resumed_run_may_replace_what_it_was_begun_to_replace(written: Path) -> None:
    job = make_job("g", Dataset.from_file(written), f"sqlite:{written.parent / 'graph.sqlite'}", raw=True)
    start_job(job)
    sound = files(written)
    edges(written).write_bytes(edges(written, BESIDE).read_bytes())
    with pytest.raises(ChunksFailedError, match="expected no file, or what the raw agglomeration makes of"):
        run_job(start_job(job, resume=True), {})
    assert files(written) != sound
    start_job(job, overwrite=True)
    run_job(start_job(job, resume=True), {})
    assert files(written) == sound


def test_files_of_the_same_content_are_left_alone(cli: Cli, written: Path) -> None:
    """Another version of the compressor makes other bytes."""
    for path in edges(written).parent.iterdir():
        message = zstandard.ZstdDecompressor().decompress(path.read_bytes())
        path.write_bytes(zstandard.ZstdCompressor(level=19, write_checksum=True).compress(message))
    before = files(written)
    assert cli("graph", "g", written, "--raw").status == 0
    assert files(written) == before


def test_what_is_no_edges_file_is_kept_too(cli: Cli, written: Path) -> None:
    edges(written).write_bytes(b"hello")
    components(written).unlink()
    components(written).mkdir()
    lines = failures(cli, written)[:-1]
    assert any("expected no file, or what" in line and "found another one; " in line for line in lines)
    assert any("found one that cannot be read (Is a directory); move it" in line for line in lines)
    assert edges(written).read_bytes() == b"hello"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_no_raw_file_is_no_reason_to_lose_one(cli: Cli, written: Path, options: tuple[str, ...]) -> None:
    """AGGLOMERATION may name the wrong folder: then nothing is removed, asked for or not."""
    for path in (written.parent / "agg").rglob("*.data"):
        path.unlink()
    before = files(written)
    line, *_ = failures(cli, written, *options)
    assert "expected no file, as the raw agglomeration has nothing for it, found another one; move it" in line
    assert "or correct ingest_config.AGGLOMERATION or data_source." in line
    assert files(written) == before


@pytest.mark.slow
def test_files_are_read_and_written_a_block_at_a_time(
    cli: Cli, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    write = Folder.write

    def counted(folder: Folder, contents: Mapping[str, bytes]) -> None:
        calls.append(len(contents))
        write(folder, contents)

    for path in (*edges(written).parent.iterdir(), *components(written).parent.iterdir()):
        path.unlink()
    monkeypatch.setattr(Folder, "write", counted)
    assert cli("graph", "g", written, "--raw").status == 0
    assert calls == [8, 8, 8, 8], "two blocks, two kinds"


def test_in_a_bucket(written: Path) -> None:
    """cloud-files itself reads what is written there."""
    url = "mem://server-files/edges"
    names = {(1, 0, 1): edges(written), (2, 0, 1): edges(written, BESIDE)}
    mine = {coords: path.read_bytes() for coords, path in names.items()}
    other = {(1, 0, 1): mine[2, 0, 1], (2, 0, 1): mine[2, 0, 1], (0, 0, 0): mine[1, 0, 1]}
    assert ServerFiles(url, None, replace=False).write(mine, {}) == {}
    there = {path.name: path.read_bytes() for path in names.values()}
    stored = CloudFiles(url, progress=False)
    assert {name: stored.get(name, raw=True) for name in stored.list()} == there
    refused = ServerFiles(url, None, replace=False).write(other, {})
    assert list(refused) == [(1, 0, 1)]
    assert {name: stored.get(name, raw=True) for name in stored.list()} == there
    assert ServerFiles(url, None, replace=True).write(other, {}) == {}
    assert stored.get("edges_1_0_1.proto.zst", raw=True) == mine[2, 0, 1]
