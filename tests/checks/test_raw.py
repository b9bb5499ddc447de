"""Shard files of raw agglomeration: every kind of damage is found, all in one run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checks import ALL, checked, lines, problems
from tests.conftest import Cli
from tests.inputs.test_bad_shards import EDGE, ID, NAME, NEXT, SOUND, edge, flipped, shard
from tests.inputs.test_graphs_of_bad_shards import raw, remap

RAW = "--raw"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("options", [(ALL,), ("--sample", "1")], ids=["all", "sample"])
@pytest.mark.parametrize(
    ("file_of", "content", "chunk", "kind", "message"),
    [
        (lambda d: raw(d, "in_chunk"), SOUND[:-9], NAME, "in_chunk", "an index within the file's"),
        (lambda d: raw(d, "in_chunk"), flipped(30), NAME, "in_chunk", "a payload with its crc32"),
        (lambda d: raw(d, "between_chunks"), b"hello", NAME, "between_chunks", "a shard file, SO01 and 20 b"),
        (lambda d: raw(d, "fake"), flipped(30), NAME, "fake", "index records of 32 bytes, found 24 bytes;"),
        (lambda d: remap(d, 0, NAME), flipped(30), NAME, "done", "a payload with its crc32"),
        (lambda d: remap(d, 1, "1_0_0"), b"", "2_0_0", "done", "a shard file"),
        (lambda d: remap(d, 2, "0_0_0"), b"", "0_0_0", "done", "a shard file"),
        (
            lambda d: raw(d, "in_chunk"),
            shard(((NEXT + (1 << 57),), EDGE)),
            None,
            "in_chunk",
            "edges of chunks at the file's coordinates or one above",
        ),
        (
            lambda d: raw(d, "between_chunks"),
            shard(((ID, NEXT), edge(ID + 1, ID + 2))),
            NAME,
            "between_chunks",
            "between_chunk edges that leave the chunk",
        ),
    ],
)  # fmt: skip
def test_a_bad_file(
    cli: Cli,
    sample: Path,
    file_of: Callable[[Path], Path],
    content: bytes,
    chunk: str | None,
    kind: str,
    message: str,
    options: tuple[str, ...],
) -> None:
    """A sample of one chunk opens these too: it is 1_0_1, and they may hold records of it."""
    file = file_of(sample)
    file.write_bytes(content)
    found = checked(cli, sample, RAW, *options)
    (line,) = lines(found, f"damaged {kind} files")
    ((named, where),) = problems(found)[f"damaged {kind} files"]
    assert named == str(file)
    assert chunk is None or where == chunk
    assert line.startswith(f"{file}: chunk {where}: expected {message}")
    assert found["problems"].keys() == {f"damaged {kind} files"}
    assert line in cli("graph", "g", sample, RAW).errors


def test_all_bad_files_are_reported_in_one_run(cli: Cli, sample: Path) -> None:
    bad = {
        "damaged in_chunk files": [raw(sample, "in_chunk", name) for name in (NAME, "3_1_0")],
        "damaged between_chunks files": [raw(sample, "between_chunks", "0_1_0")],
        "damaged fake files": [raw(sample, "fake", "3_1_1")],
        "damaged done files": [
            remap(sample, 0, "2_0_0"),
            remap(sample, 1, "0_0_0"),
            remap(sample, 2, "0_0_0"),
        ],
        "files that cannot be read": [raw(sample, "fake", "0_0_0")],
    }
    for kind, files in bad.items():
        for file in files:
            if kind == "files that cannot be read":
                file.unlink()
                file.mkdir()
            else:
                file.write_bytes(b"hello")
    (sample.parent / "agg/chunked_rg/in_chunk_0_4_0_0.data").write_bytes(b"")
    found = checked(cli, sample, RAW, ALL)
    cases = {kind: {file for file, _ in cases} for kind, cases in problems(found).items()}
    outside = {"files outside the grid": {f"{sample.parent}/agg/chunked_rg/in_chunk_0_4_0_0.data"}}
    grid = {"a grid that does not fit the files": {f"{sample.parent}/agg/"}}
    assert cases == {kind: set(map(str, files)) for kind, files in bad.items()} | outside | grid
    assert found["wrong"] == 10


def test_a_file_that_the_sample_does_not_need(cli: Cli, sample: Path) -> None:
    """1_0_1 and its neighbours are put together from many files, but not from those of the far end."""
    raw(sample, "in_chunk", "3_1_1").write_bytes(b"hello")
    checked(cli, sample, RAW, "--sample", "1", status=0)
    checked(cli, sample, RAW, ALL, status=1)


def test_the_wrong_data_version(cli: Cli, sample: Path) -> None:
    sample.write_text(sample.read_text().replace("DATA_VERSION: 4", "DATA_VERSION: 3"))
    tally = checked(cli, sample, RAW)["problems"]["damaged in_chunk files"]
    assert tally["count"] > 5
    assert len(tally["examples"]) == 5
    # Now and then a payload is long enough for records of either size, whose ids then make no sense.
    whole = [case for case in tally["examples"] if case["expected"] == "records of 64 bytes"]
    assert whole
    assert {case["advice"] for case in whole} == {"correct DATA_VERSION, or write the file again"}


def test_a_folder_that_is_not_there(cli: Cli, sample: Path) -> None:
    (sample.parent / "agg" / "remap").rename(sample.parent / "agg" / "elsewhere")
    tally = checked(cli, sample, RAW)["problems"]["folders that cannot be listed"]
    assert tally["examples"][0]["line"] == (
        f"{sample.parent}/agg/remap: expected a folder to list, found an error: No such file or directory"
    )
