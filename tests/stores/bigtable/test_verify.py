"""Verifying graphs in Bigtable, whose cells can have several versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_ingest import Dataset, open_store, store_url
from beam_ingest.cli import main
from beam_ingest.format import table
from beam_ingest.sample import SampleSpec, write_sample
from testing.emulator import Emulator, read_table
from tests.examples import slow
from tests.graphs import of_the_graph

Capture = pytest.CaptureFixture[str]
PROJECT, INSTANCE = "project", "instance"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "dataset"
    write_sample(folder, SampleSpec(chunks=(4, 2, 3), chunk_size=(16, 16, 16), seed=8), processes=1)
    file = folder / "dataset.yml"
    text = file.read_text()
    settings = f"TYPE: bigtable\n  CONFIG: {{PROJECT: {PROJECT}, INSTANCE: {INSTANCE}}}\n"
    file.write_text(text[: text.index("TYPE: sqlite")] + settings)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("version", [slow(2), 3])
def test_graphs_in_bigtable(
    emulator: Emulator, dataset: Path, version: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    graph = f"verified_{version}"

    def verify() -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        status = main(["verify", graph, str(dataset), "--json"])
        return status, json.loads(capsys.readouterr().out)

    assert main(["graph", graph, str(dataset), "--graph-version", str(version)]) == 0
    status, found = verify()
    assert (status, found["differences"]) == (0, {})
    cells = read_table(emulator.address, PROJECT, INSTANCE, graph)
    assert found["counts"]["cells"] == len(of_the_graph(cells))

    store = open_store(store_url(Dataset.from_file(dataset), graph))
    (key, _, _), (_, timestamp) = next(cell for cell in cells.items() if cell[0][2] == b"children")
    parent = table.fixed(table.PARENT, np.array([key]), np.array([1], "<u8"))
    late = [parent, table.single(table.CHILDREN, key, b"late")]
    store.write(late, timestamp - 1000)  # older than what the builder wrote
    status, found = verify()
    assert status == 1
    kinds = {kind: difference["count"] for kind, difference in found["differences"].items()}
    assert kinds == {"timestamp": 2, "versions": 2}
    assert all(key.decode() in line for line in found["differences"]["versions"]["examples"])

    store.delete_rows([key])
    status, found = verify()
    assert status == 1
    assert any(str(int(key)) in line for line in found["differences"]["child not listed"]["examples"])
    store.close()
