"""The Bigtable store by itself: encoding, limits, flow control, creation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from google.cloud import bigtable
from google.cloud.bigtable_v2.types import MutateRowsRequest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.format.table import Column
from beam_ingest.stages.scope import Scope
from beam_ingest.stages.splits import MOST_TABLETS, check_tablets, split_keys, tablet_count
from beam_ingest.stores import bigtable as product
from beam_ingest.stores import open_store, store_url
from beam_ingest.stores.bigtable import BigtableStore
from beam_ingest.stores.mutate_rows import encode_batches, encode_head
from testing.columns import COLUMNS, listed
from testing.emulator import Emulator, read_table
from testing.faults import Plan
from testing.proxy import FaultyProxy


@given(COLUMNS, st.integers(0, 2**50), st.integers(1, 9), st.integers(1, 3000))
def test_requests_are_what_protobuf_reads(
    cells: list[Column], timestamp: int, most_entries: int, most_bytes: int
) -> None:
    found = []
    for batch in encode_batches(cells, timestamp, most_entries, most_bytes):
        data = encode_head("the table", "the profile") + batch.data()
        request = MutateRowsRequest.pb(MutateRowsRequest()).FromString(data)
        assert (request.table_name, request.app_profile_id) == ("the table", "the profile")
        assert 1 <= len(request.entries) == len(batch) <= most_entries
        assert len(batch.data()) <= most_bytes or len(batch) == 1
        assert batch.first_key() == request.entries[0].row_key
        odd = np.arange(0, len(batch), 2)
        some = MutateRowsRequest.pb(MutateRowsRequest()).FromString(batch.take(odd).data())
        assert list(some.entries) == [request.entries[i] for i in odd]
        for entry in request.entries:
            (mutation,) = entry.mutations
            cell = mutation.set_cell
            assert cell.timestamp_micros == timestamp
            found.append((entry.row_key, cell.family_name, cell.column_qualifier, cell.value))
    assert sorted(found) == sorted(listed(cells))


@pytest.fixture
def store(
    emulator: Emulator, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> BigtableStore:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    opened = BigtableStore("p", "i", request.node.name[:40].replace("[", "_").replace("]", "_"))
    opened.create()
    return opened


def test_column_families_are_collected_as_servers_expect(store: BigtableStore, emulator: Emulator) -> None:
    families = (
        bigtable.Client(project="p", admin=True).instance("i").table(store._names[2]).list_column_families()
    )
    rules = {name: family.gc_rule for name, family in families.items()}
    assert set(rules) == {"0", "1", "2", "3", "4"}
    assert rules["1"].max_num_versions == 1
    assert rules["3"].max_age.days == 365
    assert all(not getattr(rules[name], "max_num_versions", 0) for name in "024")


def test_a_range_of_rows_is_removed(
    store: BigtableStore, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "REQUEST_ENTRIES", 3)
    keys = [b"a", b"b/0", b"b/1", b"b/2", b"b/3", b"b/4", b"b/:", b"c"]
    store.write([table.single(table.PARENT, key, b"12345678") for key in keys], 1000)
    store.delete_range(b"b/0", b"b/:")
    rows = bigtable.Client(project="p", admin=True).instance("i").table(store._names[2]).read_rows()
    assert [row.row_key for row in rows] == [b"a", b"b/:", b"c"]
    store.delete_range(b"b/0", b"b/:")  # nothing is left in it


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [10, 60])
def test_large_rows_are_written_whole(store: BigtableStore, emulator: Emulator, megabytes: int) -> None:
    """A node with very many children: one cell, one request."""
    ids = np.arange(megabytes << 17, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    keys = table.node_keys(np.array([7, 8], np.uint64))
    cells = [table.id_arrays(table.CHILDREN, keys, ids, np.array([0, ids.size - 1, ids.size]))]
    store.write(cells, 1000)
    found = read_table(emulator.address, *store._names)
    assert table.decode_ids(found[bytes(keys[0]), "0", b"children"][0]).tolist() == ids[:-1].tolist()
    assert len(found) == 2


def test_values_are_read_without_names(store: BigtableStore) -> None:
    names = [table.ColumnName("0", b"%03d" % number) for number in range(300)]
    large = bytes(3 << 20)
    for key in (b"a", b"b", b"c"):
        cells = [table.single(name, key, key + name.qualifier) for name in names]
        store.write([*cells, table.single(table.ColumnName("4", b"large"), key, large)], 1000)
    store.write([table.single(names[0], b"b", b"newer")], 2000)
    found = dict(store.read_values(b"a", b"c"))
    assert list(found) == [b"a", b"b"]
    # Families come in any order from the emulator; within one, columns are in order of their qualifiers.
    assert [value for value in found[b"a"] if value != large] == [b"a" + name.qualifier for name in names]
    assert [value for value in found[b"b"] if value != large][:2] == [b"newer", b"b001"]
    rows = {key: [cell.value for cell in row.values()] for key, row in store.read_range(b"a", b"c")}
    assert {key: sorted(values) for key, values in found.items()} == {k: sorted(v) for k, v in rows.items()}


def test_a_cell_above_the_limit_is_refused_by_name_before_anything_is_sent(
    store: BigtableStore, emulator: Emulator
) -> None:
    big = Column(
        table.CHILDREN,
        table.node_keys(np.array([1, 2], np.uint64)),
        np.zeros((100 << 20) + 9, np.uint8),
        np.array([0, 8, (100 << 20) + 9]),
    )
    with pytest.raises(StoreError, match=r"row 00000000000000000002: children has 104857601 bytes"):
        store.write([big], 1000)
    assert read_table(emulator.address, *store._names) == {}


def test_a_row_above_the_limit_is_refused_by_name(store: BigtableStore) -> None:
    keys, part = table.node_keys(np.array([3], np.uint64)), 90 << 20
    cells = [
        Column(table.cross_edges(k), keys, np.zeros(part, np.uint8), np.array([0, part])) for k in (2, 3, 4)
    ]
    with pytest.raises(StoreError, match=r"row 00000000000000000003: it has more than the 268435456 bytes"):
        store.write(cells, 1000)


def test_requests_are_bounded_in_size_and_number(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.arange(200_000, dtype=np.uint64)
    with FaultyProxy(emulator.address, Plan()) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        store = BigtableStore("p", "i", "bounded")
        store.create()
        report = store.write([table.fixed(table.PARENT, table.node_keys(ids), ids)], 1000)
        calls, (most_calls, most_bytes) = proxy.calls, proxy.max_in_flight
    assert report.requests == len(calls) == len(report.latencies_ms)
    assert max(call.mutations for call in calls) <= 100_000
    assert max(call.size for call in calls) <= product.REQUEST_BYTES + 200
    assert most_calls <= product.IN_FLIGHT
    assert most_bytes <= product.IN_FLIGHT * (product.REQUEST_BYTES + 200)


def test_a_spent_budget_names_the_row(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    import grpc

    monkeypatch.setattr(product, "WRITE_SECONDS", 0.1)
    plan = Plan(bad_row=lambda key: key == b"%020d" % 3, bad_code=grpc.StatusCode.UNAVAILABLE)
    ids = np.arange(5, dtype=np.uint64)
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        store = BigtableStore("p", "i", "spent")
        store.create()
        with pytest.raises(StoreError, match=r"row 0{19}3 cannot be written: UNAVAILABLE: .* used up"):
            store.write([table.fixed(table.PARENT, table.node_keys(ids), ids)], 1000)
        entries = [call.entries for call in proxy.calls]
    assert entries[0] == 5
    assert set(entries[1:]) == {1}  # the failed entry alone was sent again


def test_where_the_table_is(monkeypatch: pytest.MonkeyPatch) -> None:
    base = "data_source: {WATERSHED: gs://b/w}\ngraph_config: {CHUNK_SIZE: [1, 1, 1], ID_PREFIX: lab_}\n"
    for name in ("BIGTABLE_PROJECT", "BIGTABLE_INSTANCE"):
        monkeypatch.delenv(name, raising=False)
    bare = Dataset.from_text(base + "backend_client: {TYPE: bigtable}", "d.yml")
    full = Dataset.from_text(
        base + "backend_client: {TYPE: bigtable, CONFIG: {PROJECT: p, INSTANCE: i}}", "d.yml"
    )
    with pytest.raises(ConfigError, match=r"d.yml: .*PROJECT is missing, and BIGTABLE_PROJECT is not set"):
        store_url(bare, "g")
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    assert open_store(store_url(bare, "g", "bigtable:a/b")).place == "bigtable:a/b/lab_g"
    assert open_store(store_url(full, "g")).place == "bigtable:p/i/lab_g"
    monkeypatch.setenv("BIGTABLE_PROJECT", "env-p")
    monkeypatch.setenv("BIGTABLE_INSTANCE", "env-i")
    assert open_store(store_url(bare, "g")).place == "bigtable:env-p/env-i/lab_g"
    assert open_store(store_url(full, "g")).place == "bigtable:p/i/lab_g"
    assert open_store(store_url(full, "g", app_profile="batch"))._app_profile == "batch"
    for wrong in ("bigtable:", "bigtable:p", "bigtable:p/", "bigtable:p/i/t", "spanner:x"):
        with pytest.raises(ConfigError, match="expected sqlite:PATH or bigtable:PROJECT/INSTANCE"):
            store_url(full, "g", wrong)


@given(st.tuples(*[st.integers(1, 12)] * 3).filter(lambda c: max(c) > 1), st.integers(1, 60))
def test_splits_divide_the_chunks_evenly(chunks: tuple[int, int, int], tablets: int) -> None:
    grid = ChunkGrid(chunks)
    keys = split_keys(Scope(grid, False), tablets)
    assert len(keys) < tablets or tablets == 1
    assert keys == sorted(set(keys))
    # Of the chunks of layer 1, no part has more than its share and one.
    ids = grid.chunk_ids(1, np.array(list(np.ndindex(chunks))))
    parts = np.searchsorted(np.array([int(k) for k in keys], np.uint64), ids, "right")
    assert np.bincount(parts).max() <= len(ids) / (tablets * 1000 / 1200) + 2


def test_no_table_begins_with_more_split_keys_than_bigtable_takes() -> None:
    large = ChunkGrid((1000, 120, 100))
    whole = Scope(large, False)
    assert tablet_count(whole) == MOST_TABLETS
    assert len(split_keys(whole, tablet_count(whole))) == MOST_TABLETS - 1 < 100
    assert tablet_count(Scope(large, True)) == tablet_count(Scope(ChunkGrid((4, 4, 4)), False)) == 1
    for wrong in (-1, 0, MOST_TABLETS + 1, 10**12):
        with pytest.raises(ConfigError, match=f"--bigtable-tablets {wrong}: expected 1 to {MOST_TABLETS}"):
            check_tablets(wrong)
        with pytest.raises(ConfigError):
            split_keys(whole, wrong)


def test_the_table_of_a_test_is_divided_by_what_it_writes() -> None:
    """Eight chunks, of which each holds an eighth of the rows of its layer."""
    grid = ChunkGrid((1000, 120, 100))
    scope = Scope(grid, True)
    keys = [int(key) for key in split_keys(scope, 4)]
    assert len(keys) == 3
    assert {grid.layer_of(key) for key in keys} == {1}
    written = list(itertools.product((500, 501), (60, 61), (50, 51)))
    assert all(scope.writes(grid.chunk_id(2, coords)) for coords in written)
    ids = grid.chunk_ids(1, np.array(written))
    assert np.bincount(np.searchsorted(np.array(keys, np.uint64), ids, "right")).tolist() == [2, 2, 3, 1]


def test_the_table_is_created_with_its_splits(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    store = BigtableStore("p", "i", "split")
    splits = split_keys(Scope(ChunkGrid((8, 8, 8)), False), 6)
    seen = {}
    opened = store._open()
    create = type(opened).create

    def spy(self: object, **arguments: object) -> None:
        seen.update(arguments)
        create(self, **arguments)

    monkeypatch.setattr(type(opened), "create", spy)
    store.create(splits)  # the emulator takes them, and keeps them to itself
    assert seen["initial_split_keys"] == splits
    assert store.exists()
    store.drop()
    store.drop()
    assert not store.exists()
