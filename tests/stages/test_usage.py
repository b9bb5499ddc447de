"""What local runs took, kept with the graph; and `costs` of graphs that were built here."""

from __future__ import annotations

import json
from pathlib import Path

from beam_ingest.stages import progress
from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import Cli, store_of


def test_runs_and_a_plan_are_kept(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(cli("plan", dataset, "--json").out)
    assert cli("graph", "g", dataset, "--plan", plan).status == 0
    status = cli("status", "g", dataset, "--json").json
    (run,) = status["usage"]
    assert status["plan"] == json.loads(plan.read_text())
    for layer, counted in zip(run, status["layers"], strict=True):
        assert layer["layer"] == counted["layer"]
        assert layer["nbytes"] == counted["counts"]["nbytes"]
        assert layer["cpu_seconds"] >= 0
        assert layer["peak_bytes"] > 1 << 20
    assert run[0]["cpu_seconds"] > 0
    # The last chunk is written again by a resumed run, and that is another one.
    store = SQLiteStore(store_of(dataset))
    store.delete_rows([progress.chunk_key(0x0400000000000000)])
    store.close()
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert len(cli("status", "g", dataset, "--json").json["usage"]) == 2
    assert cli("verify", "g", dataset).status == 0
    costs = cli("costs", "g", dataset)
    assert costs.status == 0
    assert "run 2 here" in costs.out
    assert "$" not in costs.out
    found = cli("costs", "g", dataset, "--json").json
    assert found["compared"]["rows"]["took"] == found["table"]["rows"]
    planned = found["compared"]["cells"]["planned"]
    assert planned["low"] <= found["table"]["cells"] <= 1.02 * planned["high"]
