"""What ended a run is what is told, though chunks failed in a bundle that was tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from beam_ingest.ingest.build import Builder
from beam_ingest.stages.failures import Failure
from beam_ingest.stages.manifest import read_manifest
from beam_ingest.stores import open_store
from tests.conftest import GRID, Cli, graph_cells, small_dataset, store_of
from tests.inputs.test_bad_files import components_file, edges_file
from tests.oracle.cells import Cells
from tests.oracle.datasets import OracleDataset, write


@pytest.fixture
def retried(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """One chunk fails, and is built when its bundle is tried again; here at once, by the same builder."""
    atomic = Builder.atomic

    def again(self: Builder, coords, *arguments, **options):  # type: ignore[no-untyped-def]
        if coords == (1, 0, 1):
            failed = Failure.now(
                2, "1_0_1", "edges_1_0_1.proto.zst", "edges_1_0_1.proto.zst: chunk 1_0_1: bad"
            )
            store = open_store(f"sqlite:{store_of(dataset)}")
            store.write(failed.cells(GRID.chunk_id(2, coords)), read_manifest(store).timestamp)
            store.close()
        return atomic(self, coords, *arguments, **options)

    return lambda: monkeypatch.setattr(Builder, "atomic", again)


def fail(error: Exception) -> Callable[..., None]:
    def build(*_: object) -> None:
        raise error

    return build


@pytest.mark.parametrize("options", [(), ("--test",)], ids=" ".join)
def test_a_finished_graph_has_no_failures(
    options: tuple[str, ...], cli: Cli, dataset: Path, retried: Callable[[], None], small_cells: Cells
) -> None:
    retried()
    assert cli("graph", "g", dataset, *options).status == 0
    assert cli("failures", "g", dataset, "--json").out == ""
    assert cli("status", "g", dataset, "--json").json["failed"] == 0
    assert cli("verify", "g", dataset).status == 0
    assert options or graph_cells(dataset) == small_cells


@pytest.mark.parametrize("detail", ["", "Unable to allocate 8.00 GiB"])
def test_memory_that_is_not_to_be_had_is_told(
    detail: str, cli: Cli, dataset: Path, retried: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    retried()
    monkeypatch.setattr(Builder, "parent", fail(MemoryError(*filter(None, [detail]))))
    line = cli.refused("graph", "g", dataset, status=1)
    assert line.startswith(f"out of memory: {detail}; " if detail else "out of memory; ")
    assert "--resume finishes graph g" in line


def test_an_error_that_nothing_is_known_of_is_told(
    cli: Cli, dataset: Path, retried: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    retried()
    monkeypatch.setattr(Builder, "parent", fail(OSError(28, "No space left on device")))
    try:
        outcome = cli("graph", "g", dataset)
    except RuntimeError as error:
        told = str(error)
    else:
        told = outcome.err
    assert "No space left on device" in told
    assert "chunks failed" not in told


def test_a_changed_input_is_told(
    cli: Cli, dataset: Path, retried: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Builder, "parent", fail(MemoryError()))
        assert cli("graph", "g", dataset).status == 1
    chunk = small_dataset().chunks[0, 0, 0]
    write(OracleDataset(GRID, {(0, 0, 0): replace(chunk, in_chunk=())}), dataset.parent)
    retried()
    line = cli.refused("graph", "g", dataset, "--resume", status=1)
    assert "was begun with other input files than are there now" in line


def test_verify_tells_first_that_a_graph_is_not_finished(cli: Cli, dataset: Path) -> None:
    for name in ("0_0_0", "2_1_1"):
        edges_file(dataset, name).write_bytes(b"hello")
    assert cli("graph", "g", dataset).status == 1
    line = cli.refused("verify", "g", dataset, status=1)
    first = f"{edges_file(dataset, '0_0_0')}: chunk 0_0_0: "
    assert line.startswith(f"graph g is not finished: 2 of 16 chunks failed at layer 2 ({first}")


def test_verify_tells_of_every_file_that_cannot_be_read(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    files = [edges_file(dataset, "0_0_0"), components_file(dataset, "3_1_1")]
    for file in files:
        file.unlink()
        file.mkdir()
    found = cli("verify", "g", dataset, "--json")
    assert found.status == 1
    lines = found.json["differences"]["input"]["examples"]
    assert [line.partition(":")[0] for line in lines] == [str(files[1]), str(files[0])]
    assert all("expected a file that can be read, found an error: Is a directory" in line for line in lines)


def test_verify_tells_of_every_shard_file_that_cannot_be_read(cli: Cli, sample: Path) -> None:
    for file in [*sample.parent.rglob("edges_*"), *sample.parent.rglob("components_*")]:
        file.unlink()
    assert cli("graph", "g", sample, "--raw").status == 0
    files = [
        next(sample.parent.rglob("in_chunk_*")),
        next(sample.parent.rglob("done_0_*")),
        next(sample.parent.rglob("edges_*")),
    ]
    for file in files:
        file.unlink()
        file.mkdir()
    found = cli("verify", "g", sample, "--json")
    assert found.status == 1
    kinds = found.json["differences"]
    lines = [*kinds["input"]["examples"], *kinds["written file"]["examples"]]
    for file in files:
        assert any(line.startswith(f"{file}: ") and "Is a directory" in line for line in lines)
