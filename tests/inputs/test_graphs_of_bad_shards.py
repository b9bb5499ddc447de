"""Whole graphs of raw agglomeration with bad shard files: what is told, and what goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.graphs import comparable
from tests.inputs.test_bad_shards import AGAIN, ID, NAME, NEXT, SOUND, edge, flipped, shard

# Whole runs


def raw(dataset: Path, kind: str, name: str = NAME) -> Path:
    return dataset.parent / "agg" / "chunked_rg" / f"{kind}_0_{name}.data"


def remap(dataset: Path, mip: int, name: str) -> Path:
    return dataset.parent / "agg" / "remap" / f"done_{mip}_{name}.data"


def failures(cli: Cli, dataset: Path, *options: str) -> list[str]:
    """Run a raw graph that fails because of its input; returns the lines on stderr."""
    outcome = cli("graph", "g", dataset, "--raw", *options)
    assert (outcome.status, outcome.out) == (1, ""), outcome
    assert "Traceback" not in outcome.err
    assert re.fullmatch(
        r"beam-ingest: \d+ of 16 chunks failed at layer 2(, all in the same way)?; "
        "`beam-ingest failures g [^`]*` lists them; "
        "fix the input and run the same command with --resume, without --overwrite",
        outcome.errors[-1],
    )
    return outcome.errors


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("file_of", "content", "chunk_name", "message"),
    [
        (lambda d: raw(d, "in_chunk"), SOUND[:-9], NAME, "an index within the file's"),
        (lambda d: raw(d, "between_chunks"), b"hello", NAME, "a shard file, SO01 and 20 bytes or more, fo"),
        (lambda d: raw(d, "fake"), flipped(30), NAME, "index records of 32 bytes, found 24 bytes;"),
        (lambda d: remap(d, 0, NAME), flipped(30), NAME, "a payload with its crc32"),
        (lambda d: remap(d, 1, "1_0_0"), b"", "2_0_0", "a shard file"),
        (lambda d: remap(d, 2, "0_0_0"), b"", "0_0_0", "a shard file"),
    ],
    ids=["in_chunk", "between_chunks", "fake", "done_0", "done_1", "done_2"],
)
def test_a_graph_with_a_bad_file(
    cli: Cli, sample: Path, file_of: Callable[[Path], Path], content: bytes, chunk_name: str, message: str
) -> None:
    file = file_of(sample)
    file.write_bytes(content)
    line, last = failures(cli, sample)
    assert line.startswith(f"{file}: chunk {chunk_name}: expected {message}")
    assert last.startswith("beam-ingest: 1 of 16 chunks failed at layer 2")
    assert cli.done(sample)[1:] == [0, 0]
    status = cli("status", "g", sample, "--json").json
    (failure,) = status["failures"]
    assert (failure["layer"], failure["chunk"], failure["file"]) == (2, chunk_name, str(file))


def test_all_bad_files_are_reported_at_once_and_resume_finishes(cli: Cli, sample: Path) -> None:
    bad = [
        *(raw(sample, kind) for kind in ("between_chunks", "fake", "in_chunk")),
        *(raw(sample, "in_chunk", name) for name in ("2_0_0", "3_1_1", "3_1_0")),
    ]
    sound = {file: file.read_bytes() for file in bad}
    for file in bad:
        file.write_bytes(b"hello")
    *lines, more, last = failures(cli, sample)
    assert len(lines) == 5
    assert {line.partition(": ")[0] for line in lines} <= set(map(str, bad))
    assert more.startswith("... and 1 more")
    assert last.startswith("beam-ingest: 4 of 16 chunks failed at layer 2")
    status = cli("status", "g", sample, "--json").json
    assert status["failed"] == 4
    assert {failure["file"] for failure in status["failures"]} == set(map(str, bad))
    assert cli.done(sample) == [0, 0, 0]
    for file, content in sound.items():
        file.write_bytes(content)
    assert cli("graph", "g", sample, "--raw", "--resume").status == 0
    fresh = sample.parent / "fresh.sqlite"
    assert cli("graph", "g", sample, "--raw", "--store", f"sqlite:{fresh}").status == 0
    assert comparable(sample.parent / "graph.sqlite") == comparable(fresh)


def test_records_that_cannot_be_true_in_a_graph(cli: Cli, sample: Path) -> None:
    """The file is whole; what it says of a chunk is not true, and nothing is written for servers."""
    edges = sample.parent / "edges" / f"edges_{NAME}.proto.zst"
    edges.unlink()
    file = raw(sample, "between_chunks")
    file.write_bytes(shard(((ID, NEXT), edge(ID + 1, NEXT + 1) + edge(ID + 1, ID + 2))))
    line, _ = failures(cli, sample)
    assert line == (
        f"{file}: chunk {NAME}: expected between_chunk edges that leave the chunk, found the edge "
        f"{ID + 1} - {ID + 2} with both ends in the chunk; {AGAIN}"
    )
    assert not edges.exists()
    assert cli.done(sample)[1:] == [0, 0]


def test_the_wrong_data_version(cli: Cli, sample: Path) -> None:
    sample.write_text(sample.read_text().replace("DATA_VERSION: 4", "DATA_VERSION: 3"))
    for line in failures(cli, sample)[:4]:
        assert re.search(
            r"expected records of 64 bytes, found \d+ bytes of them; "
            "correct DATA_VERSION, or write the file again$",
            line,
        )


def test_required_file_absent(cli: Cli, sample: Path) -> None:
    for file in (raw(sample, "fake"), remap(sample, 0, NAME)):
        content = file.read_bytes()
        file.unlink()
        line, _ = failures(cli, sample, "--require-files", "--overwrite")
        assert (
            line == f"{file}: chunk {NAME}: expected the file, found none; --require-files asks for every one"
        )
        file.write_bytes(content)
    remap(sample, 1, "1_0_0").unlink()  # of these only some are written
    outcome = cli("graph", "g", sample, "--raw", "--require-files", "--overwrite")
    assert outcome.status == 0, outcome


@pytest.mark.parametrize("file_of", [raw, lambda d, _: remap(d, 1, "0_0_0")], ids=["in_chunk", "done_1"])
def test_unreadable_file_is_not_an_absent_one(
    cli: Cli, sample: Path, file_of: Callable[[Path, str], Path]
) -> None:
    file = file_of(sample, "in_chunk")
    file.unlink()
    file.mkdir()
    line, last = failures(cli, sample)
    assert line.startswith(f"{file}: chunk ")
    assert "expected a file that can be read, found an error: Is a directory; make it readable" in line
    assert last.startswith("beam-ingest: 1 of 16 chunks failed at layer 2")
    assert cli.done(sample) == [0, 0, 0]


def test_agglomeration_without_any_file(cli: Cli, sample: Path) -> None:
    folder = sample.parent / "agg"
    for file in (*folder.rglob("*.data"), *sample.parent.rglob("*.proto*")):
        file.unlink()
    line = cli.refused("graph", "g", sample, "--raw", status=1)
    assert line.startswith(
        f"{folder}/: expected files with edges, found no supervoxel in any chunk (64 files"
    )


def test_edges_that_cannot_be_written(cli: Cli, sample: Path) -> None:
    """Raw input makes edges and components files for servers: that they are not there is an error."""
    target = sample.parent / "edges" / f"edges_{NAME}.proto.zst"
    target.unlink()
    target.mkdir()
    line = cli.refused("graph", "g", sample, "--raw", "--overwrite", status=1)
    assert line == f"{target}: cannot be written: Is a directory"
    assert not list(target.parent.glob(".*")), "a temporary file is left"
