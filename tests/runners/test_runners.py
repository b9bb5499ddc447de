"""Runners other than the local one, and what docs/runners.md tells people to type."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.runners.options import default_workers
from tests.conftest import Cli
from tests.examples import slow
from tests.graphs import comparable, ingest, pinky256, prism
from tests.runners.flink.page import commands, with_options


@pytest.mark.slow
def test_local_commands_of_the_page(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = [words for words in commands("beam-ingest") if "--runner" not in " ".join(words)]
    assert len(local) == 3
    for _, *words in local:
        small = ["--chunks", "2", "2", "2", "--chunk-size", "16", "16", "16"] if words[0] == "sample" else []
        outcome = cli(*words, *small)
        assert (outcome.status, outcome.errors) == (0, []), words


def test_a_local_run_starts_processes_where_there_is_work_for_them() -> None:
    """Where docs/performance.md says that it pays."""
    cores = os.cpu_count()
    chunks = {
        (341, 1, 1): (1, 1),
        (342, 1, 1): (1, cores),
        (1024, 1, 1): (1, cores),
        (1025, 1, 1): (cores, cores),
    }
    for grid, (proto, raw) in chunks.items():
        found = [default_workers(ChunkGrid(grid, spatial_bits=11), weight) for weight in (1, 3)]
        assert found == [proto, raw], grid


def test_the_page_has_no_command_that_is_not_tested() -> None:
    """The others are in tests/runners/flink, and in tests/test_docs.py the targets of make."""
    assert {words[0] for words in commands()} == {"make", "beam-ingest", "java", "python"}
    assert len(commands("java")) == 2
    assert len(commands("python")) == 1
    assert len(commands("beam-ingest", "PortableRunner")) == 2
    assert len(commands("beam-ingest", "PrismRunner")) == 1


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.shared_data
@pytest.mark.parametrize("raw", [[], slow(["--raw", "--overwrite"])], ids=["proto", "raw"])
def test_the_real_sample_on_prism(tmp_path: Path, raw: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    (words,) = commands("beam-ingest", "PrismRunner")
    options = with_options([w for w in words[4:] if w != "--overwrite"], prism_location=prism())
    dataset = shutil.copytree(pinky256(), tmp_path / "pinky256") / "dataset.yml"  # --raw writes into it
    here, there = tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    assert ingest(dataset, here) == 0
    capfd.readouterr()
    assert ingest(dataset, there, *options, *raw) == 0
    assert capfd.readouterr().err.splitlines() == [f"layer {layer} is built" for layer in (2, 3, 4)]
    assert comparable(there) == comparable(here)
