"""Rows and cells: `graph`, `verify` and a look into the table count the same."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from testing.emulator import Emulator, read_table
from tests.conftest import Cli, store_of
from tests.stores.bigtable.conftest import emulator  # noqa: F401  (a fixture)

OWN = ("meta", "version", "beam_ingest")
"""Rows that are there once whatever the graph, or that this program keeps for itself."""


def counted(cli: Cli, dataset: Path, *options: str) -> tuple[int, int]:
    """Rows and cells, which ``graph`` and ``verify`` agree on."""
    build = [option for option in options if not option.startswith("--store")]
    place = [option for option in options if option.startswith("--store")]
    outcome = cli("graph", "numbers", dataset, *place, *build)
    assert outcome.status == 0, outcome
    found = re.search(r"rows +([\d,]+) of ([\d,]+) cells", outcome.out)
    assert found, outcome
    said = int(found[1].replace(",", "")), int(found[2].replace(",", ""))
    outcome = cli("verify", "numbers", dataset, *place, "--json")
    assert outcome.status == 0, outcome
    counts = outcome.json["counts"]
    assert (counts["rows"], counts["cells"]) == said
    return said


@pytest.mark.sampled(2)
@pytest.mark.parametrize("options", [[], ["--graph-version=2"], ["--raw"], ["--test"]])
def test_in_sqlite(cli: Cli, sample: Path, options: list[str]) -> None:
    said = counted(cli, sample, *options)
    with closing(sqlite3.connect(store_of(sample))) as connection:
        rows = connection.execute("SELECT row_key FROM cells").fetchall()
    graph = [key for (key,) in rows if not key.decode().startswith(OWN)]
    assert said == (len(set(graph)), len(graph))


def test_in_bigtable(
    cli: Cli,
    sample: Path,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    said = counted(cli, sample, "--store=bigtable:project/instance")
    keys = [key for key, *_ in read_table(emulator.address, "project", "instance", "numbers")]
    graph = [key for key in keys if not key.decode().startswith(OWN)]
    assert said == (len(set(graph)), len(graph))
