"""Plans from 32 blocks beside the graphs that were built: rows, bytes, edges, and ranges."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.plan.graphs import assert_close, build, plan
from tests.plan.tissue import write_tissue

SEEDS = (0, 1, 2)


@pytest.mark.slow
def test_a_half_empty_grid_of_512_chunks(cli: Cli, tmp_path: Path) -> None:
    dataset = write_tissue(tmp_path / "tissue", (8, 8, 8), seed=3, half=True)
    found = plan(cli, dataset, "--sample", "32")
    present = len(list((dataset.parent / "edges").iterdir()))
    assert (found["chunks"], found["chunks_with_files"]) == (512, present)
    assert not found["exact"]
    assert all(assert_close(found, build(cli, dataset)))


@pytest.mark.slow
def test_every_kind_of_grid(cli: Cli, tmp_path: Path) -> None:
    held = []
    for chunks in ((8, 8, 8), (16, 16, 16)):
        for seed in SEEDS:
            for half in (False, True):
                dataset = write_tissue(tmp_path / f"{chunks[0]}_{seed}_{half}", chunks, seed, half)
                found = plan(cli, dataset, "--sample", "32")
                held += assert_close(found, build(cli, dataset))
    assert sum(held) >= 0.9 * len(held), held


@pytest.mark.slow
def test_tissue_of_the_synthetic_sample(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    size = ("--chunks", "8", "8", "8", "--chunk-size", "16", "16", "16")
    assert cli("sample", folder, *size, "--seed", "5").status == 0
    dataset = folder / "dataset.yml"
    built = build(cli, dataset)
    for raw in ((), ("--raw",)):  # which describe the same graph
        found = plan(cli, dataset, "--sample", "32", *raw)
        assert not found["exact"]
        assert sum(assert_close(found, built)) >= 5
