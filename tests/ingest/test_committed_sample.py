"""The builder against the cells of the oracle that are in the repository (tests/data)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.data import GRID, VERSIONS, read_cells, unpack
from tests.graphs import ingest
from tests.graphs import read_cells as stored
from tests.oracle.cells import decompress
from tests.oracle.datasets import load
from tests.oracle.graph import build


@pytest.mark.sampled(2)
@pytest.mark.parametrize("raw", [[], ["--raw", "--overwrite"]], ids=["proto", "raw"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_builder_writes_these_cells(tmp_path: Path, version: int, raw: list[str]) -> None:
    store = tmp_path / "graph.sqlite"
    assert ingest(unpack(tmp_path), store, "--graph-version", str(version), *raw) == 0
    assert decompress(stored(store)) == read_cells(version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_cells_are_the_oracles(tmp_path: Path, version: int) -> None:
    """And of both kinds that matter: there are nodes of every layer, and nodes that skip one."""
    unpack(tmp_path)
    cells = read_cells(version)
    assert cells == build(load(tmp_path, GRID), version)
    parents = {
        int(row): int.from_bytes(value, "little")
        for (row, _, name), value in cells.items()
        if name == b"parents"
    }
    steps = {(GRID.layer_of(child), GRID.layer_of(parent)) for child, parent in parents.items()}
    assert steps == {(1, 2), (2, 3), (2, 4), (3, 4)}


def test_check_and_verify_agree(cli: Cli, tmp_path: Path) -> None:
    dataset = unpack(tmp_path)
    assert cli("check", dataset, "--all").status == 0
    assert cli("graph", "g", dataset).status == 0
    assert cli("verify", "g", dataset).status == 0
