"""The table's encodings, against zstandard, kvdbclient and plain Python."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.dataset import Dataset
from beam_ingest.format import table
from beam_ingest.ingest.meta import encode_meta
from beam_ingest.stages.coding import WriteUnit, WriteUnitCoder, pack_blobs, unpack_blobs
from beam_ingest.stages.progress import Counts
from testing.columns import listed, values

pytest.importorskip("kvdbclient", reason="kvdbclient reads the table; it needs Python 3.11 or newer")
from kvdbclient import attributes, serializers

IDS = st.integers(0, 2**64 - 1)
# Around the widths at which the frame header grows, and above one block.
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([31, 32, 8223, 8224, 8225, 16384, 16385, 40000]))


@given(st.lists(IDS, max_size=50))
def test_node_keys(ids: list[int]) -> None:
    keys = table.node_keys(np.array(ids, np.uint64)).tolist()
    assert keys == [b"%020d" % i for i in ids] == [serializers.serialize_uint64(np.uint64(i)) for i in ids]


@given(st.lists(SIZES, min_size=1, max_size=6), st.integers(0, 2**32))
def test_id_arrays_are_frames_that_every_reader_decompresses(sizes: list[int], seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 2**64, sum(sizes), np.uint64)
    offsets = np.append(0, np.cumsum(sizes))
    keys = table.node_keys(np.arange(len(sizes), dtype=np.uint64))
    column = table.id_arrays(table.CHILDREN, keys, ids, offsets)
    for value, begin, end in zip(values(column), offsets, offsets[1:], strict=False):
        expected = ids[begin:end]
        assert zstandard.ZstdDecompressor().decompress(value) == expected.tobytes()
        # As a server reads it; and its older clients, which take the size from the frame's header.
        np.testing.assert_array_equal(attributes.Hierarchy.Child.deserialize(value), expected)
        assert zstandard.frame_content_size(value) == expected.nbytes
        np.testing.assert_array_equal(table.decode_ids(value), expected)


def test_a_frame_of_one_id_is_what_zstd_itself_writes() -> None:
    node = np.array([0x0102030405060708], np.uint64)
    column = table.id_arrays(table.CHILDREN, table.node_keys(node), node, np.array([0, 1]))
    assert values(column) == [zstandard.ZstdCompressor(level=22).compress(node.tobytes())]


@given(st.lists(IDS, min_size=1, max_size=20))
def test_fixed_columns(ids: list[int]) -> None:
    nodes = np.array(ids, np.uint64)
    column = table.fixed(table.PARENT, table.node_keys(nodes), nodes)
    assert values(column) == [i.to_bytes(8, "little") for i in ids]
    assert [int(attributes.Hierarchy.Parent.deserialize(v)) for v in values(column)] == ids


@given(st.integers(0, 2**62))
def test_counters(highest: int) -> None:
    key = table.counter_key(7 << 56)
    (value,) = values(table.counter(key, highest))
    assert int(attributes.Concurrency.Counter.deserialize(value)) == highest
    assert key == serializers.serialize_uint64(np.uint64(7 << 56), counter=True)
    assert table.root_counter_key(7 << 56, 255) == key + b"_255"


def test_column_names_are_kvdbclients() -> None:
    for name, attribute in (
        (table.PARENT, attributes.Hierarchy.Parent),
        (table.CHILDREN, attributes.Hierarchy.Child),
        (table.COUNTER, attributes.Concurrency.Counter),
        (table.META, attributes.TableMeta.Meta),
        (table.VERSION, attributes.TableVersion.Version),
        (table.atomic_cross_edges(5), attributes.Connectivity.AtomicCrossChunkEdge[5]),
        (table.cross_edges(5), attributes.Connectivity.CrossChunkEdge[5]),
    ):
        assert (name.family, name.qualifier) == (attribute.family_id, attribute.key)
    assert (attributes.TableMeta.key, attributes.TableVersion.key) == (table.META_KEY, table.VERSION_KEY)


def test_kvdbclient_reads_the_meta_row() -> None:
    dataset = Dataset.from_text(
        "data_source: {EDGES: 'gs://b/e', COMPONENTS: 'gs://b/c', WATERSHED: 'gs://b/w'}\n"
        "graph_config: {CHUNK_SIZE: [256, 128, 64], SPATIAL_BITS: 11, ID_PREFIX: lab_}",
        "dataset.yml",
    )
    meta = attributes.TableMeta.Meta.deserialize(encode_meta(dataset, "graph"))
    config, source = meta.graph_config._surrogate_args, meta.data_source._surrogate_args
    assert config[:6] == ("graph", "lab_", [256, 128, 64], 2, 8, 11)
    assert source == ("gs://b/e", "gs://b/c", "gs://b/w", None, 0)
    assert meta.custom_data == {}


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20))))
def test_blobs_come_back(blobs: list[bytes | None]) -> None:
    assert list(unpack_blobs(pack_blobs(blobs))) == blobs


def test_write_units_come_back_from_their_coder() -> None:
    ids = np.arange(5, dtype=np.uint64)
    cells = [
        table.fixed(table.PARENT, table.node_keys(ids), ids),
        table.id_arrays(table.CHILDREN, table.node_keys(ids[:2]), ids, np.array([0, 4, 5])),
        table.counter(table.counter_key(9), 3),
    ]
    unit = WriteUnit(b"beam_ingest/1", Counts(nodes=5, nbytes=7), 12, cells)
    coder = WriteUnitCoder()
    again = coder.decode(coder.encode(unit))
    assert (again.mark, again.counts, again.milliseconds) == (unit.mark, unit.counts, unit.milliseconds)
    assert listed(again.cells) == listed(cells)
    assert coder.encode(again) == coder.encode(unit)


def long_arrays(ids: np.ndarray) -> table.Column:
    """A column of which one array is too long for a raw block, so that all go through the compressor."""
    return table.id_arrays(
        table.CHILDREN, table.node_keys(np.arange(2, dtype=np.uint64)), ids, np.array([0, 9, ids.size])
    )


def test_a_checksum_of_ids_and_not_of_what_the_compressor_makes_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = np.arange(table.RAW_BLOCK_BYTES // 8 + 10, dtype=np.uint64) * np.uint64(3)
    column = long_arrays(ids)
    others = [long_arrays(np.where(ids == wrong, ids + np.uint64(1), ids)) for wrong in (0, ids[-1])]
    moved = table.id_arrays(column.name, column.keys, ids, np.array([0, 10, ids.size]))
    monkeypatch.setattr(table, "_LEVEL", 19)
    newer = long_arrays(ids)
    assert newer.data.tobytes() != column.data.tobytes()
    assert newer.checksum == column.checksum
    assert len({c.checksum for c in (column, moved, *others)}) == 4
    coder = WriteUnitCoder()
    again = coder.decode(coder.encode(WriteUnit(b"", Counts(), 0, [column])))
    assert again.cells[0].checksum == column.checksum
