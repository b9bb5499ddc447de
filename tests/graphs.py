"""Running the product in tests, and reading what it wrote without its own code."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from beam_ingest.cli import main
from tests.oracle.cells import Cells, Key
from tests.oracle.datasets import find_pinky256

OWN_ROWS = b"beam_ingest"


def ingest(dataset: Path, store: Path, *options: str, graph_id: str = "graph") -> int:
    """Run ``beam-ingest graph`` in this process; returns its exit status."""
    return main(["graph", graph_id, str(dataset), "--store", f"sqlite:{store}", *options])


def read_cells(store: Path, own: bool = False) -> Cells:
    """Every cell of an SQLite graph as any client reads it, the program's own rows only if asked for."""
    query = "SELECT row_key, family, qualifier, value FROM cells"
    with sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute(query).fetchall()
    cells = {(bytes(key), family, bytes(qualifier)): value for key, family, qualifier, value in rows}
    assert len(cells) == len(rows), "a cell has two versions"
    return {key: value for key, value in cells.items() if own or not key[0].startswith(OWN_ROWS)}


def of_the_graph(cells: Iterable[Key]) -> list[Key]:
    """The cells of nodes and counters, which `graph` and `verify` count: neither meta nor own rows."""
    return [key for key in cells if key[0].isdigit() or key[0].startswith(b"i")]


def comparable(store: Path) -> Cells:
    """Every cell, the program's own too, but for what may differ: times, and the manifest's timestamp."""
    return {
        key: value
        for key, value in read_cells(store, own=True).items()
        if key[2] not in (b"milliseconds", b"manifest", b"usage")
    }


def timestamps(store: Path) -> set[int]:
    """The timestamps of all cells."""
    with sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True) as connection:
        return {at for (at,) in connection.execute("SELECT DISTINCT timestamp FROM cells")}


def pinky256() -> Path:
    """The folder of the real sample; skips the test, saying why, when it is not there."""
    folder = find_pinky256()
    if folder is None:
        pytest.skip(
            "the real sample pinky256 is not here: put it at ../shared/data/pinky256 or name its folder "
            "in BEAM_INGEST_PINKY256"
        )
    return folder


def prism() -> str:
    """Path of the Prism runner; skips the test, saying how to get it, when it is not there."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if os.access(Path(folder) / "prism", os.X_OK):
            return str(Path(folder) / "prism")
    pytest.skip("the Prism runner is not on the PATH: install Go and run `make prism`")
