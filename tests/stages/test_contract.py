"""A second stage gets starting, running, resuming, progress and failures without code of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from beam_ingest.errors import ChunksFailedError, ConfigError, GraphExistsError, StoreError
from beam_ingest.format import table
from beam_ingest.reader import open_graph
from beam_ingest.runners.run import run_job
from beam_ingest.stages.failures import read_failures
from beam_ingest.stages.manifest import read_manifest
from beam_ingest.stages.progress import is_complete, read_status
from beam_ingest.stages.start import start_job
from tests.conftest import GRID, Cli, small_dataset
from tests.stages.counting import CountJob, count_job
from tests.stages.test_resume import Gate, until

ONE = {"direct_num_workers": 1}
CHUNKS = list(small_dataset().all_coords())


def expected(chunks: list[tuple[int, int, int]] = CHUNKS) -> dict[bytes, bytes]:
    """Each chunk of the small dataset has four supervoxels."""
    return {table.node_key(GRID.chunk_id(2, coords)): (4).to_bytes(8, "little") for coords in chunks}


def counted(store: Path) -> dict[bytes, bytes]:
    with sqlite3.connect(store) as connection:
        return dict(connection.execute("SELECT row_key, value FROM cells WHERE qualifier = x'636f756e74'"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "counts.sqlite"


def job(dataset: Path, store: Path, **options: int) -> CountJob:
    return count_job(str(dataset), f"sqlite:{store}", **options)  # type: ignore[arg-type]


def test_start_run_and_status(dataset: Path, store: Path, cli: Cli) -> None:
    run_job(start_job(job(dataset, store)), ONE)
    assert counted(store) == expected()
    with job(dataset, store).open_store() as opened:
        manifest = read_manifest(opened)
        assert (manifest.stage, manifest.options, manifest.top) == ("count", {"test": False, "least": 0}, 2)
        status = read_status(opened, job(dataset, store).grid, manifest.top)
    assert is_complete(status, job(dataset, store).scope)
    assert [(layer.layer, layer.done, layer.counts.supervoxels) for layer in status] == [
        (2, len(CHUNKS), 4 * len(CHUNKS))
    ]
    outcome = cli("status", "counts", dataset, "--store", f"sqlite:{store}")
    assert (outcome.status, outcome.out.split()) == (0, ["2", ":", str(len(CHUNKS)), "/", str(len(CHUNKS))])
    with pytest.raises(GraphExistsError):
        start_job(job(dataset, store))
    run_job(start_job(job(dataset, store), overwrite=True), ONE)
    assert counted(store) == expected()


def test_only_the_chunks_of_a_test(dataset: Path, store: Path) -> None:
    begun = start_job(job(dataset, store, test=True))
    run_job(begun, ONE)
    chunks = [c for c in CHUNKS if begun.scope.writes(GRID.chunk_id(2, c))]
    assert 0 < len(chunks) < len(CHUNKS)
    assert counted(store) == expected(chunks)


@pytest.mark.slow
def test_killed_and_resumed(dataset: Path, store: Path) -> None:
    gate = Gate(dataset.parent / "edges" / "edges_2_0_0.proto.zst")
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stages.counting", str(dataset), f"sqlite:{store}"],
            start_new_session=True,
        )
        until(gate.reached)
        until(lambda: len(counted(store)) > 0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        gate.remove()
    before = counted(store)
    assert 0 < len(before) < len(CHUNKS)
    assert before.items() <= expected().items()
    resumed = start_job(job(dataset, store), resume=True)
    run_job(resumed, ONE)
    assert counted(store) == expected()
    with resumed.open_store() as opened:
        assert is_complete(read_status(opened, resumed.grid, resumed.top), resumed.scope)


def test_failures(dataset: Path, store: Path, cli: Cli) -> None:
    bad = dataset.parent / "edges" / "edges_1_0_0.proto.zst"
    sound = bad.read_bytes()
    bad.write_bytes(b"no edges")
    with pytest.raises(ChunksFailedError, match=rf"1 of {len(CHUNKS)} chunks failed at layer 2.*--resume"):
        run_job(start_job(job(dataset, store)), ONE)
    with job(dataset, store).open_store() as opened:
        assert [failure.chunk for failure in read_failures(opened)] == ["1_0_0"]
    assert cli("failures", "counts", dataset, "--store", f"sqlite:{store}").status == 1
    bad.write_bytes(sound)
    run_job(start_job(job(dataset, store), resume=True), ONE)
    assert counted(store) == expected()
    assert cli("failures", "counts", dataset, "--store", f"sqlite:{store}").status == 0


def test_resumed_as_it_was_begun(dataset: Path, store: Path, cli: Cli) -> None:
    start_job(job(dataset, store, least=1))
    with pytest.raises(ConfigError, match="it was begun with --least 1, not 2"):
        start_job(job(dataset, store, least=2), resume=True)
    outcome = cli("graph", "counts", dataset, "--store", f"sqlite:{store}", "--resume")
    assert outcome.status == 2
    assert "it was begun with stage count, not graph" in outcome.err


def test_what_another_stage_made_is_no_graph(dataset: Path, store: Path) -> None:
    start_job(job(dataset, store))
    with pytest.raises(StoreError, match="expected a graph, found what `beam-ingest count` made"):
        open_graph(dataset, "counts", f"sqlite:{store}")
