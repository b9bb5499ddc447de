"""The roots are verified piece by piece: what is at the first and the last id of a piece, and beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_ingest.sample import SampleSpec, write_sample
from beam_ingest.verify import key_space as verify_grid
from tests.conftest import Cli
from tests.examples import slow
from tests.verify import Graph, lines, verify_plainly
from tests.verify.test_good import assert_all_counted


@pytest.mark.parametrize("piece", [slow(16), 256, slow(1024)])
def test_a_graph_of_many_pieces(piece: int, good: Graph, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cli("verify", "graph", good.dataset, "--store", f"sqlite:{good.store}", "--json").json
    monkeypatch.setattr(verify_grid, "PIECE", piece)
    found = cli("verify", "graph", good.dataset, "--store", f"sqlite:{good.store}", "--json")
    assert (found.status, found.json) == (0, whole)


@pytest.mark.slow
@pytest.mark.sampled(1)
@pytest.mark.parametrize("at", [0, -1])
def test_roots_at_the_ends_of_pieces_are_looked_at(
    at: int, good: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first and the last root of a piece: another child, and no row at all."""
    monkeypatch.setattr(verify_grid, "PIECE", 16)
    table = good.copy(tmp_path)
    roots = table.nodes(good.grid.root_layer)
    root = next(node for node in roots if node % 16 == at % 16)
    child = table.children[root]
    table.put_children(root, [table.nodes(2)[0], *child])
    found = verify_plainly(good.dataset, table.path)
    assert found.differences["parent not named"] == 1
    table.drop(root)
    found = verify_plainly(good.dataset, table.path)
    assert found.differences["child not listed"] == len(child)
    assert f"{child[0]} (" in lines(found)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [(16, 8, 8), (16, 16, 16)], ids=str)
def test_large_samples(chunks: tuple[int, int, int], tmp_path: Path, cli: Cli) -> None:
    folder = tmp_path / "sample"
    write_sample(folder, SampleSpec(chunks=chunks))
    assert cli("graph", "graph", folder / "dataset.yml").status == 0
    outcome = cli("verify", "graph", folder / "dataset.yml", "--json")
    assert (outcome.status, outcome.json["differences"]) == (0, {})
    counts = outcome.json["counts"]
    assert counts["roots"] > verify_grid.PIECE / 2
    if counts["cells"] < 10_000_000:
        assert_all_counted(counts, folder / "graph.sqlite")
