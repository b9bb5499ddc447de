"""What stages after the graph read of it: whether it is whole and as it was built, and nodes of chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from beam_ingest.dataset import Dataset
from beam_ingest.errors import StoreError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.stages.finished import read_chunk_nodes, read_finished_graph
from beam_ingest.stores import Store, open_store
from beam_ingest.stores.sqlite import SQLiteStore
from tests.conftest import GRID, Cli, store_of
from tests.graphs import read_cells
from tests.stores.test_overwrite import execute

_GRID = ChunkGrid(GRID.chunks)


@pytest.fixture
def built(cli: Cli, dataset: Path) -> Path:
    assert cli("graph", "g", dataset).status == 0
    return dataset


@pytest.fixture
def store(built: Path) -> Iterator[Store]:
    with open_store(f"sqlite:{store_of(built)}") as opened:
        yield opened


def test_nodes_of_chunks_are_those_in_the_rows(built: Path, store: Store) -> None:
    parents = {
        int(key): int.from_bytes(value, "little")
        for (key, _, qualifier), value in read_cells(store_of(built)).items()
        if qualifier == b"parents" and int(key) >> 56 == 1
    }
    found = {}
    for coords in np.ndindex(*GRID.chunks):
        supervoxels, nodes = read_chunk_nodes(store, _GRID, coords)
        assert (np.diff(supervoxels.astype(np.int64)) > 0).all()
        found.update(zip(supervoxels.tolist(), nodes.tolist(), strict=True))
    assert found == parents
    assert read_chunk_nodes(store, _GRID, (900, 0, 0))[1].size == 0


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "change", ["x'00'", "x'0000000000000001'", "x'0900000400000002'"], ids=["short", "above", "elsewhere"]
)
def test_rows_that_no_graph_has(built: Path, store: Store, change: str) -> None:
    key = next(
        key for key, *_ in sorted(read_cells(store_of(built))) if key.isdigit() and int(key) >> 56 == 1
    )
    where = f"CAST(row_key AS TEXT) = '{key.decode()}'"
    execute(store_of(built), f"UPDATE cells SET value = {change} WHERE {where}")
    with pytest.raises(StoreError, match=rf"row {key.decode()}: expected .*; the row is damaged"):
        read_chunk_nodes(store, _GRID, (0, 0, 0))


def check(dataset: Path, store: Store, **options: bool) -> int:
    return read_finished_graph(store, "g", Dataset.from_file(dataset), _GRID, **options).timestamp


def test_a_whole_graph_will_do_also_with_sections_of_stages(built: Path, store: Store) -> None:
    before = check(built, store)
    content = yaml.safe_load(built.read_text())
    built.write_text(yaml.safe_dump(content | {"l2cache_config": {"table_id": "t", "cave_x": 1}}))
    assert check(built, store) == before


def test_another_datasets_graph(built: Path, store: Store) -> None:
    content = yaml.safe_load(built.read_text())
    content["graph_config"]["SPATIAL_BITS"] = 9
    built.write_text(yaml.safe_dump(content))
    with pytest.raises(StoreError, match=r"found one with graph_config.SPATIAL_BITS .*, not 9 as in"):
        check(built, store)
    with pytest.raises(StoreError, match="it holds graph g, not h"):
        read_finished_graph(store, "h", Dataset.from_file(built), _GRID)


def test_another_grid(built: Path, store: Store) -> None:
    with pytest.raises(StoreError, match=r"found one with a grid of chunks \(4, 2, 2\), not \(4, 2, 3\)"):
        read_finished_graph(store, "g", Dataset.from_file(built), ChunkGrid((4, 2, 3)))


@pytest.mark.parametrize("key", ["ioperations", f"{1:020d}"])
def test_an_edited_graph(built: Path, store: Store, key: str) -> None:
    execute(store_of(built), f"INSERT INTO cells VALUES (CAST('{key}' AS BLOB), '1', x'61', 1, x'00')")
    with pytest.raises(StoreError, match=rf"found the row '{key}': a PyChunkedGraph server has edited it"):
        check(built, store)


def test_an_incomplete_graph(built: Path, store: Store) -> None:
    key = f"beam_ingest/{_GRID.chunk_id(4, (0, 0, 0)):020d}"
    execute(store_of(built), f"DELETE FROM cells WHERE CAST(row_key AS TEXT) = '{key}'")
    with pytest.raises(StoreError, match=r"found one that is not; `beam-ingest graph` with --resume"):
        check(built, store)


def test_a_graph_of_a_test(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset, "--test").status == 0
    store = SQLiteStore(store_of(dataset))
    with pytest.raises(StoreError, match="found one of --test; add --test"):
        check(dataset, store)
    check(dataset, store, test=True)
