"""What the command says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from beam_ingest.cli import main
from tests.conftest import Cli
from tests.verify import Graph, verify_plainly
from tests.verify.damages import some


def test_differences_as_people_and_programs_see_them(good: Graph, tmp_path: Path, cli: Cli) -> None:
    table = good.copy(tmp_path)
    supervoxel = some(table.nodes(1))
    table.drop(supervoxel)
    store = f"sqlite:{table.path}"
    outcome = cli("verify", "graph", good.dataset, "--store", store)
    assert (outcome.status, outcome.err) == (1, "")
    assert f"  supervoxel {supervoxel} (layer 1, chunk " in outcome.out
    *_, last = outcome.out.splitlines()
    assert last.startswith("Graph graph differs from its inputs: ")
    outcome = cli("verify", "graph", good.dataset, "--store", store, "--json")
    assert outcome.status == 1
    assert outcome.json["differences"]["supervoxel missing"]["count"] == 1
    assert outcome.json["total"] == sum(kind["count"] for kind in outcome.json["differences"].values())
    # Beam's own way says what the same checks say without it.
    plainly = verify_plainly(good.dataset, table.path).as_dict()
    assert {key: outcome.json[key] for key in plainly} == plainly


def test_what_cannot_be_verified_is_refused(good: Graph, tmp_path: Path, cli: Cli) -> None:
    missing = f"sqlite:{tmp_path / 'missing.sqlite'}"
    assert "no graph is there" in cli.refused("verify", "g", good.dataset, "--store", missing, status=1)
    there = f"sqlite:{good.store}"
    assert "it holds graph graph, not g" in cli.refused(
        "verify", "g", good.dataset, "--store", there, status=1
    )
    other = good.dataset.read_text().replace("[16, 16, 16]", "[32, 16, 16]")
    path = good.dataset.with_name("other.yml")
    path.write_text(other)
    assert "a grid of (8, 3, 2) chunks" in cli.refused("verify", "graph", path, "--store", there, status=1)
    line = cli.refused("verify", "graph", good.dataset, "--store", there, "--runner", "FlinkRunner")
    assert "--temp_location" in line


def test_inputs_that_are_gone_are_no_empty_chunks(good: Graph, tmp_path: Path, cli: Cli) -> None:
    dataset = shutil.copytree(good.dataset.parent, tmp_path / "sample") / "dataset.yml"
    shutil.rmtree(dataset.parent / "edges")
    line = cli.refused("verify", "graph", dataset, "--store", f"sqlite:{good.store}")
    assert f"data_source.EDGES: expected a folder, found none at {dataset.parent / 'edges'}" in line
    dataset.write_text(re.sub("  COMPONENTS: .*\n", "", dataset.read_text()))
    (dataset.parent / "edges").mkdir()
    line = cli.refused("verify", "graph", dataset, "--store", f"sqlite:{good.store}")
    assert "the key COMPONENTS is missing" in line


def test_graphs_are_not_changed(good: Graph, tmp_path: Path) -> None:
    before = good.store.read_bytes()
    assert main(["verify", "graph", str(good.dataset), "--store", f"sqlite:{good.store}"]) == 0
    assert good.store.read_bytes() == before
