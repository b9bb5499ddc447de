"""Failures by the thousand: the job stops early, in bounded memory, and says that they are all alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Cli, store_of
from tests.examples import slow
from tests.oracle.datasets import Grid, OracleDataset, write

GRID = Grid((16, 16, 8))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, slow(2)])
def test_a_dataset_of_which_nothing_can_be_built(cli: Cli, tmp_path: Path, workers: int) -> None:
    dataset = write(OracleDataset(GRID), tmp_path / "dataset")
    for x, y, z in OracleDataset(GRID).all_coords():
        (dataset.parent / "edges" / f"edges_{x}_{y}_{z}.proto.zst").write_bytes(b"hello")
    outcome = cli("graph", "g", dataset, f"--direct_num_workers={workers}")
    assert (outcome.status, outcome.out) == (1, "")
    *causes, more, early, last = outcome.errors
    assert len(causes) == 5
    assert all("expected a zstd frame, found 5" in cause for cause in causes)
    assert re.fullmatch(r"\.\.\. and \d+ more", more)
    assert early == "the job stopped early, since no chunk could be built"
    found = re.match(r"beam-ingest: (\d+) of 2048 chunks failed at layer 2, all in the same way; ", last)
    assert found
    assert 1000 <= int(found[1]) < 2048
    assert cli.done(dataset) == [0, 0, 0, 0, 0]
    assert store_of(dataset).exists()
