"""Counts of done chunks by block: what `status` reads of grids that have very many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.stages import progress, tallies
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import Scope
from beam_ingest.stores.base import Row
from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import GRID, Cli, store_of
from tests.graphs import comparable

OURS = (b"beam_ingest/done/", b"beam_ingest/layers/")


@pytest.fixture
def every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count chunks up by block in small grids, too."""
    monkeypatch.setattr(tallies, "MOST_ROWS", 1)


def status(cli: Cli, dataset: Path) -> object:
    layers = cli("status", "g", dataset, "--json").json["layers"]
    return [{name: layer[name] for name in ("layer", "done", "total", "counts")} for layer in layers]


def own(dataset: Path) -> dict[object, bytes]:
    return {key: cell for key, cell in comparable(store_of(dataset)).items() if key[0].startswith(OURS)}


def test_status_is_the_same_either_way(cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("graph", "g", dataset).status == 0
    by_chunk = status(cli, dataset)
    assert own(dataset) == {}
    monkeypatch.setattr(tallies, "MOST_ROWS", 1)
    assert cli("graph", "g", dataset, "--overwrite").status == 0
    assert status(cli, dataset) == by_chunk
    # Two blocks, of which one row has the cells; two chunks of layer 3; and both layers as a whole.
    assert len(own(dataset)) == 2 + 2 + 2
    assert cli("verify", "g", dataset).status == 0


@pytest.mark.slow
@pytest.mark.usefixtures("every_layer")
def test_a_resumed_run_writes_the_same_rows(cli: Cli, dataset: Path) -> None:
    file = dataset.parent / "edges" / "edges_1_0_1.proto.zst"
    content = file.read_bytes()
    assert cli("graph", "g", dataset).status == 0
    undisturbed = own(dataset)
    file.write_bytes(b"broken")
    assert cli("graph", "g", dataset, "--overwrite").status == 1
    assert cli.done(dataset) == [15, 0, 0]
    file.write_bytes(content)
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert own(dataset) == undisturbed
    assert cli.done(dataset) == [16, 2, 1]


@pytest.mark.usefixtures("every_layer")
def test_chunks_that_are_taken_back_are_not_counted(cli: Cli, dataset: Path) -> None:
    """Files that contradict each other: layer 2 was done, and then is not."""
    assert cli("graph", "g", dataset).status == 0
    undisturbed = own(dataset)
    file, other = (dataset.parent / "edges" / f"edges_{x}_0_0.proto.zst" for x in (1, 2))
    content = file.read_bytes()
    file.unlink()
    assert cli("graph", "g", dataset, "--overwrite").status == 1
    file.write_bytes(content)
    assert other.exists()
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert own(dataset) == undisturbed


@pytest.mark.sampled(1)
@pytest.mark.usefixtures("every_layer")
@pytest.mark.parametrize("key", [b"beam_ingest/done/02/%020d", b"beam_ingest/layers/02"])
def test_wrong_counts_are_found(cli: Cli, dataset: Path, key: bytes) -> None:
    assert cli("graph", "g", dataset).status == 0
    grid = ChunkGrid(GRID.chunks)
    full = key % grid.chunk_id(grid.root_layer, (0, 0, 0)) if b"%" in key else key
    store = SQLiteStore(store_of(dataset))
    timestamp = next(cell.timestamp for cell in store.read_rows([full])[full].values())
    (name,) = list(store.read_rows([full])[full])[:1]
    store.write([table.single(name, full, np.full(16, 7, "<u4").tobytes())], timestamp)
    assert "count chunks of layer 2" in cli("verify", "g", dataset).out
    store.write([table.single(name, full, b"short")], timestamp)
    assert "does not have the expected cells" in cli("verify", "g", dataset).out
    store.delete_rows([b"beam_ingest/layers/02"] if b"done" in key else [])
    with pytest.raises(StoreError, match="expected cells of 64 or 128 bytes, found 5"):
        progress.read_layer(store, grid, 2)
    store.close()


def test_millions_of_chunks_are_a_few_thousand_rows(tmp_path: Path) -> None:
    """A grid of MICrONS' size: rows of the corner that is built, and their sum."""
    grid = ChunkGrid((1000, 120, 100))
    assert [tallies.is_tallied(grid, layer) for layer in (2, 3, 4, 5, 6)] == [True, True, True, True, False]
    store = SQLiteStore(tmp_path / "graph.sqlite")
    store.create()
    blocks = [tuple(map(int, block)) for block in np.ndindex(9, 8, 8)]
    counts = Counts(supervoxels=10, nbytes=1 << 31)
    cells = [c for block in blocks for c in tallies.block_cells(grid, 2, block, 8, counts)]
    cells += tallies.block_cells(grid, 2, (100, 0, 0), 8, Counts(nbytes=1 << 40))
    store.write(cells, 1000)
    found = progress.read_layer(store, grid, 2)
    assert (found.done, found.total) == (8 * 577, 12_000_000)
    assert found.counts == Counts(supervoxels=5760, nbytes=576 * (1 << 31) + (1 << 40))
    assert len({cells[0].keys[0] for cells in [[c] for c in cells]}) == 3
    store.write(tallies.total_cells(2, 12_000_000, Counts(nodes=5)), 1000)
    assert progress.read_layer(store, grid, 2).done == 12_000_000
    store.close()


class Reads(SQLiteStore):
    """Notes which ranges of rows are read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.layers: list[int] = []

    def read_range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        self.layers.append(ChunkGrid(GRID.chunks).layer_of(int(start.removeprefix(b"beam_ingest/"))))
        return super().read_range(start, end)


def test_a_watch_reads_what_can_still_change(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    grid = ChunkGrid(GRID.chunks)
    store = Reads(store_of(dataset))
    watch = progress.Watch(store, grid, Scope(grid, False))
    parent = progress.chunk_key(grid.chunk_id(3, (1, 0, 0)))
    row = store.read_rows([parent])[parent]
    store.delete_rows([parent])
    assert [layer.done for layer in watch.look()] == [16, 1, 1]
    assert store.layers == [2, 3, 4]
    store.layers.clear()
    cells = [table.single(name, parent, cell.value) for name, cell in row.items()]
    store.write(cells, next(iter(row.values())).timestamp)
    assert [layer.done for layer in watch.look()] == [16, 2, 1]
    assert store.layers == [3]
    store.close()
