"""``--overwrite`` in Bigtable: what is removed, what is kept, and what writers notice of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from google.cloud import bigtable

from beam_ingest.cli import main
from beam_ingest.stores.bigtable import BigtableStore
from testing.emulator import Emulator, read_table
from testing.faults import Plan
from testing.proxy import FaultyProxy
from tests.conftest import Cli
from tests.graphs import OWN_ROWS

PROJECT, INSTANCE = "project", "instance"
STORE = f"--store=bigtable:{PROJECT}/{INSTANCE}"
WHERE = f"--instance={INSTANCE} --project={PROJECT}"


@pytest.fixture(autouse=True)
def pauses(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No pause after a removal; the list has those that there would have been."""
    pauses: list[float] = []
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    monkeypatch.setattr("beam_ingest.stages.start.time.sleep", pauses.append)
    return pauses


@pytest.fixture
def graph(request: pytest.FixtureRequest) -> str:
    return "overwrite_" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


def cells(emulator: Emulator, graph: str) -> dict:
    return read_table(emulator.address, PROJECT, INSTANCE, graph)


def table(graph: str) -> bigtable.table.Table:
    return bigtable.Client(project=PROJECT, admin=True).instance(INSTANCE).table(graph)


def write(graph: str, key: bytes, family: str) -> None:
    row = table(graph).direct_row(key)
    row.set_cell(family, b"theirs", b"dear to them", timestamp=None)
    row.commit()


def test_a_table_without_our_manifest_is_kept(
    cli: Cli, dataset: Path, emulator: Emulator, graph: str
) -> None:
    BigtableStore(PROJECT, INSTANCE, graph).create()
    write(graph, b"00076845692567897775", "0")
    before = cells(emulator, graph)
    for options in ([], ["--overwrite", "--yes"], ["--resume"]):
        line = cli.refused("graph", graph, dataset, STORE, *options, status=1)
        assert "it has no manifest: it was not made by beam-ingest" in line
        assert line.endswith(f"remove it with `gcloud bigtable tables delete {graph} {WHERE}`")
    assert cells(emulator, graph) == before


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("key", "family", "named"),
    [
        (b"ioperations", "1", "'ioperations'"),
        (b"zebra", "0", "'zebra'"),
        (b"a note", "theirs", "the column families theirs"),
    ],
)
def test_what_else_is_in_the_table_is_named_and_kept(
    cli: Cli, dataset: Path, emulator: Emulator, graph: str, key: bytes, family: str, named: str
) -> None:
    assert cli("graph", graph, dataset, STORE).status == 0
    if family == "theirs":
        table(graph).column_family(family).create()
    write(graph, key, family)
    before = cells(emulator, graph)
    line = cli.refused("graph", graph, dataset, STORE, "--overwrite", "--yes", status=1)
    assert named in line
    assert f"gcloud bigtable tables delete {graph} {WHERE}" in line
    assert cells(emulator, graph) == before


def test_a_graph_is_removed_once_its_writers_must_have_noticed(
    cli: Cli, dataset: Path, emulator: Emulator, graph: str, pauses: list[float]
) -> None:
    assert cli("graph", graph, dataset, STORE, "--graph-version=2").status == 0
    assert not pauses
    assert cli("graph", graph, dataset, STORE, "--overwrite", "--yes").status == 0
    assert pauses == [5.0]
    assert len({timestamp for _, timestamp in cells(emulator, graph).values()}) == 1


def test_a_table_whose_first_write_fails_is_not_left_behind(
    cli: Cli, dataset: Path, emulator: Emulator, graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(emulator.address, Plan(bad_row=lambda key: key == OWN_ROWS)) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        line = cli.refused("graph", graph, dataset, STORE, status=1)
    assert "INVALID_ARGUMENT" in line
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert main(["graph", graph, str(dataset), STORE]) == 0
