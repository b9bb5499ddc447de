"""Checks of the oracle itself: against PyChunkedGraph's own graph, by hand, and by general rules."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
import zstandard
from hypothesis import HealthCheck, given
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tests.examples import examples

from .cells import (
    Cells,
    count_from,
    counter_bytes,
    ids_bytes,
    ids_from,
    is_compressed,
    pairs_bytes,
    pairs_from,
)
from .datasets import PINKY256, Chunk, Edge, Grid, OracleDataset, datasets, find_pinky256, load, write
from .graph import Graph, build, build_graph, decompress, differences, names, splitmix64

repeatable = examples(30, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def pinky256() -> Path:
    folder = find_pinky256()
    if folder is None:
        pytest.skip(
            "THE ORACLE WAS NOT CHECKED AGAINST PYCHUNKEDGRAPH: set BEAM_INGEST_PINKY256 to its sample"
        )
    return folder


@pytest.fixture(scope="module")
def pinky256_graph(pinky256: Path) -> Graph:
    return build_graph(load(pinky256, PINKY256))


def components_of(nodes: list[int], edges: list[Edge]) -> list[list[int]]:
    """Connected components by scipy."""
    index = {node: i for i, node in enumerate(nodes)}
    rows = np.array([[index[a], index[b]] for a, b in edges], dtype=int).reshape(-1, 2)
    matrix = coo_array((np.ones(len(rows)), (rows[:, 0], rows[:, 1])), shape=(len(nodes), len(nodes)))
    groups = defaultdict(list)
    for node, label in zip(nodes, connected_components(matrix, directed=False)[1], strict=True):
        groups[label].append(node)
    return list(groups.values())


def parents_layer_by_layer(graph: Graph) -> set[tuple[int, int, int, int]]:
    """The rows of `names(…)["parents"]`, by following the skip rule upwards one layer at a time."""
    grid, supervoxels = graph.grid, sorted(graph.supervoxels)
    parents = set()
    top: dict[int, int] = {}  # layer of the top node of each component so far, by its lowest supervoxel
    members: dict[int, list[int]] = {}
    for group in components_of(supervoxels, [edge for edge, k in graph.edges.items() if k == 0]):
        members[group[0]] = group
        parents |= {(1, sv, 2, group[0]) for sv in group}
        top[group[0]] = 2
    for layer in range(3, grid.root_layer + 1):
        head = {sv: lowest for lowest, group in members.items() for sv in group}
        joined = [(head[a], head[b]) for (a, b), k in graph.edges.items() if k == layer - 1]
        for group in components_of(sorted(members), joined):
            lowest = group[0]
            merged = sorted(sv for part in group for sv in members[part])
            if len(group) > 1:
                assert {top[part] for part in group} == {layer - 1}
                parents |= {(top[part], part, layer, lowest) for part in group}
                for part in group:
                    del members[part], top[part]
                members[lowest], top[lowest] = merged, layer
            else:
                inside = set(merged)
                leaving = [k for (a, b), k in graph.edges.items() if a in inside and b not in inside]
                if min(leaving, default=grid.root_layer) == layer:
                    parents.add((top[lowest], lowest, layer, lowest))
                    top[lowest] = layer
    return parents


@pytest.mark.slow
@pytest.mark.shared_data
def test_golden_graph_is_the_oracles(pinky256: Path, pinky256_graph: Graph) -> None:
    cells = build(load(pinky256, PINKY256), version=3)
    ours = names(cells)
    with np.load(pinky256 / "golden.npz") as golden:
        assert set(golden) == set(ours)
        for table, rows in ours.items():
            theirs = sorted(map(tuple, golden[table].tolist()))
            assert len(theirs) == len(set(theirs)) > 1000
            assert set(rows) ^ set(theirs) == set(), table
            assert len(rows) == len(theirs), table


@pytest.mark.shared_data
def test_golden_counts(pinky256_graph: Graph) -> None:
    """Of the 1,092 layer-2 nodes, 715 have a parent at layer 3, and 377 skip it and are children of roots."""
    layer_of = pinky256_graph.grid.layer_of
    assert Counter(map(layer_of, pinky256_graph.children)) == {2: 1092, 3: 270, 4: 538}
    steps = Counter((layer_of(child), layer_of(parent)) for child, parent in pinky256_graph.parents.items())
    assert steps == {(1, 2): 13854, (2, 3): 715, (2, 4): 377, (3, 4): 270}
    roots = [children for node, children in pinky256_graph.children.items() if layer_of(node) == 4]
    assert Counter(len(children) == 1 for children in roots) == {True: 472, False: 66}


@pytest.mark.shared_data
def test_golden_components_are_written_as_they_were_read(pinky256: Path, tmp_path: Path) -> None:
    dataset = load(pinky256, PINKY256)
    write(dataset, tmp_path)
    assert load(tmp_path, PINKY256) == dataset
    for ours in (tmp_path / "components").iterdir():
        assert ours.read_bytes() == (pinky256 / "components" / ours.name).read_bytes()


def test_splitmix64() -> None:
    """The first outputs of the public generator for seed 0."""
    gamma = 0x9E3779B97F4A7C15
    outputs = [splitmix64(i * gamma % 2**64) for i in range(3)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def hand_made() -> OracleDataset:
    """Eight chunks in a row, root layer 5: three supervoxels in a chain across the middle, and two alone."""
    grid = Grid((8, 1, 1))
    a, b, c = (grid.node_id(1, (x, 0, 0), segment) for x, segment in ((3, 7), (4, 5), (2, 1)))
    low, high = (grid.node_id(1, (0, 0, 0), segment) for segment in (2, 9))
    chunks = {
        (0, 0, 0): Chunk(in_chunk=((high, low),), components=((low,),)),
        (2, 0, 0): Chunk(between=((c, a),), components=((c, a),)),
        (3, 0, 0): Chunk(cross=((b, a),), between=((a, c),), components=((c, a),)),
        (4, 0, 0): Chunk(cross=((b, a), (b, a))),
    }
    return OracleDataset(grid, chunks)


def test_hand_made_graph() -> None:
    sv, two, three, four, five = (layer << 56 for layer in (1, 2, 3, 4, 5))
    low, high, c, a, b = sv + 2, sv + 9, sv + (2 << 46) + 1, sv + (3 << 46) + 7, sv + (4 << 46) + 5
    low2, high2, c2, a2, b2 = two + 1, two + 2, two + (2 << 46) + 1, two + (3 << 46) + 1, two + (4 << 46) + 1
    ca3 = three + (1 << 54) + 1  # two bits per axis at layer 3
    ca4, b4 = four + 1, four + (1 << 55) + 1  # one at layer 4; b skips layer 3
    shard, root_shard = splitmix64(two) % 256, splitmix64(five) % 256
    low5, high5, cab5 = five + 256 + shard, five + 512 + shard, five + 256 + root_shard
    families = {
        low2: [low], high2: [high], c2: [c], a2: [a], b2: [b], ca3: [c2, a2], ca4: [ca3], b4: [b2],
        low5: [low2], high5: [high2], cab5: [ca4, b4],
    }  # fmt: skip
    expected: Cells = {}
    for node, children in families.items():
        expected[b"%020d" % node, "0", b"children"] = ids_bytes(children)
        expected |= {(b"%020d" % child, "0", b"parents"): ids_bytes([node]) for child in children}
    for node, k, pair in [(c2, 2, (c, a)), (a2, 2, (a, c)), (a2, 4, (a, b)), (b2, 4, (b, a))]:
        expected[b"%020d" % node, "3", b"atomic_cross_edges_%d" % k] = pairs_bytes([pair])
    counters = {two: 2, two + (2 << 46): 1, two + (3 << 46): 1, two + (4 << 46): 1}
    counters |= {three + (1 << 54): 1, four: 1, four + (1 << 55): 1}
    keys = {b"i%020d" % chunk: n for chunk, n in counters.items()}
    keys |= {b"i%020d_%d" % (five, shard): 2, b"i%020d_%d" % (five, root_shard): 1}
    expected |= {(key, "1", b"counter"): counter_bytes(n) for key, n in keys.items()}
    assert differences(expected, build(hand_made(), version=2)) == []

    cross = [(c2, 2, a2), (a2, 2, c2), (a2, 4, b2), (b2, 4, a2), (ca3, 4, b2), (ca4, 4, b4), (b4, 4, ca4)]
    for node, k, partner in cross:
        expected[b"%020d" % node, "4", b"cross_edges_%d" % k] = pairs_bytes([(node, partner)])
    for chunk, n in {sv: 9, sv + (2 << 46): 1, sv + (3 << 46): 7, sv + (4 << 46): 5}.items():
        expected[b"i%020d" % chunk, "1", b"counter"] = counter_bytes(n)
    assert differences(expected, build(hand_made(), version=3)) == []


def test_senders_of_one_shard_take_consecutive_ranges() -> None:
    grid = Grid((1, 1, 64))
    senders: dict[int, list[int]] = defaultdict(list)
    for z in range(64):
        chunk_id = grid.chunk_id(2, (0, 0, z))
        senders[splitmix64(chunk_id) % 256].append(chunk_id)
    shard, (first, second, *_) = next(item for item in senders.items() if len(item[1]) > 1)
    chunks = {}
    for coords in map(grid.coords_of, (second, first)):
        chunks[coords] = Chunk(in_chunk=((grid.node_id(1, coords, 4), grid.node_id(1, coords, 3)),))
    parents = build_graph(OracleDataset(grid, chunks)).parents
    roots = [parents[sender + segment] for sender in (first, second) for segment in (1, 2)]
    assert roots == [grid.node_id(8, (0, 0, 0), k * 256 + shard) for k in (1, 2, 3, 4)]


def test_contradictions_are_errors() -> None:
    dataset = hand_made()
    one_sided = OracleDataset(dataset.grid, {**dataset.chunks, (4, 0, 0): Chunk()})
    with pytest.raises(ValueError, match="active only in the chunk"):
        build(one_sided, version=3)
    with pytest.raises(ValueError, match="0 ends in the chunk"):
        build(OracleDataset(dataset.grid, {(1, 0, 0): dataset.chunks[4, 0, 0]}), version=3)
    with pytest.raises(ValueError, match="version 4"):
        build(dataset, version=4)


def test_differences_name_the_cell() -> None:
    expected = {(b"7", "0", b"parents"): ids_bytes([9]), (b"i7", "1", b"counter"): counter_bytes(3)}
    actual = {(b"7", "0", b"parents"): ids_bytes([8])}
    assert differences(expected, expected) == []
    assert differences(expected, actual) == ["7 0:parents is [8], not [9]", "i7 1:counter is absent, not 3"]
    assert differences(expected, {}, limit=1)[1:] == ["… and 1 more"]


@pytest.mark.slow
@repeatable
@given(datasets())
def test_hierarchy_is_a_forest(dataset: OracleDataset) -> None:
    graph = build_graph(dataset)
    grid, parents, children = graph.grid, graph.parents, graph.children
    assert {child: node for node in children for child in children[node]} == parents
    assert sum(map(len, children.values())) == len(parents), "no node has two parents"
    assert parents.keys() | children.keys() == graph.supervoxels | children.keys()
    for child, parent in parents.items():
        layer = grid.layer_of(parent)
        shift = max(layer, 2) - max(grid.layer_of(child), 2)
        assert grid.layer_of(child) < layer <= grid.root_layer
        assert tuple(c >> shift for c in grid.coords_of(child)) == grid.coords_of(parent)
    bottom: dict[int, set[int]] = defaultdict(set)
    for supervoxel in graph.supervoxels:
        bottom[graph.ancestor(supervoxel, grid.root_layer)].add(supervoxel)
    assert {grid.layer_of(root) for root in bottom} <= {grid.root_layer}
    groups = components_of(sorted(graph.supervoxels), list(graph.edges))
    assert {frozenset(group) for group in groups} == set(map(frozenset, bottom.values()))


@repeatable
@given(datasets())
def test_nodes_are_those_of_the_rule_layer_by_layer(dataset: OracleDataset) -> None:
    rows = names(build(dataset, version=2), dataset.grid.layer_id_bits)["parents"]
    assert set(rows) == parents_layer_by_layer(build_graph(dataset))


@pytest.mark.slow
@repeatable
@given(datasets())
def test_segments_and_counters(dataset: OracleDataset) -> None:
    graph, cells = build_graph(dataset), build(dataset, version=3)
    grid = graph.grid
    counters = {row: count_from(value) for (row, _, column), value in cells.items() if column == b"counter"}
    segments: dict[bytes, list[int]] = defaultdict(list)
    for node in sorted(graph.children, key=lambda node: graph.children[node][0]):
        key, segment = b"i%020d" % grid.chunk_of(node), grid.segment_of(node)
        if grid.layer_of(node) == grid.root_layer:
            key, segment = key + b"_%d" % (segment % 256), segment // 256
        segments[key].append(segment)
    for key, used in segments.items():
        order = sorted(used) if b"_" in key else used  # the senders of one shard are not in order of children
        assert order == list(range(1, counters.pop(key) + 1)), key
    layer_one = counters  # of supervoxels, whose segments begin at 0
    assert {int(key[1:]) + n for key, n in layer_one.items()} <= graph.supervoxels
    assert layer_one.keys() == {b"i%020d" % grid.chunk_of(sv) for sv in graph.supervoxels}
    version_2 = {key: value for key, value in cells.items() if key[1] != "4" and key[0] not in layer_one}
    assert build(dataset, version=2) == version_2


@pytest.mark.slow
@repeatable
@given(datasets())
def test_cross_edges_have_their_mirror(dataset: OracleDataset) -> None:
    graph, cells = build_graph(dataset), build(dataset, version=3)
    grid, atomic = graph.grid, set()
    edges: dict[int, set[Edge]] = defaultdict(set)
    for (row, family, column), value in cells.items():
        if family in ("3", "4"):
            pairs, k = pairs_from(value), int(column.rpartition(b"_")[2])
            assert pairs == sorted(set(pairs)) != []
            if family == "4":
                assert {own for own, _ in pairs} == {int(row)}
                edges[k].update(pairs)
            else:
                assert {graph.parents[own] for own, _ in pairs} == {int(row)}
                assert {grid.cross_layer(*pair) for pair in pairs} == {k}
                atomic.update(pairs)
    assert atomic == {(b, a) for a, b in atomic}
    for k, all_pairs in edges.items():
        for node, partner in all_pairs:
            layer, partner_layer = grid.layer_of(node), grid.layer_of(partner)
            assert 2 <= partner_layer <= layer <= k < grid.root_layer
            back = {far for near, far in all_pairs if near == partner}
            assert any(graph.ancestor(far, layer) == node for far in back)
            assert layer != partner_layer or node in back


@pytest.mark.slow
@repeatable
@given(datasets())
def test_folders_hold_the_dataset(dataset: OracleDataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(dataset, folder)
        assert load(folder, dataset.grid) == dataset
        assert len(os.listdir(Path(folder, "edges"))) == len(dataset.chunks)


def test_dataset_yml_and_watershed_info(tmp_path: Path) -> None:
    dataset = hand_made()
    path = write(dataset, tmp_path, offset=(5, -6, 7), size=(449, 1, 64), ingest_config=["A: b"])
    config = yaml.safe_load(path.read_text())
    assert config["graph_config"]["CHUNK_SIZE"] == [64, 64, 64]
    assert (config["backend_client"]["TYPE"], config["ingest_config"]) == ("sqlite", {"A": "b"})
    info = json.loads((tmp_path / config["data_source"]["WATERSHED"] / "info").read_text())
    assert (info["scales"][0]["size"], info["scales"][0]["voxel_offset"]) == ([449, 1, 64], [5, -6, 7])
    with pytest.raises(ValueError, match="are not"):
        write(dataset, tmp_path, size=(448, 1, 64))
    write(dataset, tmp_path, empty_files=True)
    assert len(os.listdir(tmp_path / "edges")) == 8
    assert load(tmp_path, dataset.grid) == dataset


def test_cells_as_a_table_holds_them() -> None:
    cells = build(hand_made(), version=3)
    compress = zstandard.ZstdCompressor().compress
    table = {key: compress(value) if is_compressed(*key[1:]) else value for key, value in cells.items()}
    assert table != cells
    assert decompress({**table, (b"meta", "0", b"meta"): b"", (b"version", "0", b"version"): b"3"}) == cells


@pytest.mark.slow
def test_datasets_are_of_all_kinds() -> None:
    """What the strategy is for happens often enough: skipped layers above all."""
    seen: Counter[str] = Counter()

    @examples(200, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(datasets())
    def look(dataset: OracleDataset) -> None:
        graph = build_graph(dataset)
        layer_of, root = graph.grid.layer_of, graph.grid.root_layer
        steps = [(layer_of(p) - layer_of(c), layer_of(p) < root) for c, p in graph.parents.items()]
        cross = [ids_from(v) for key, v in build(dataset, version=3).items() if key[1] == "4"]
        all_edges = [e for c in dataset.chunks.values() for e in (*c.in_chunk, *c.cross, *c.between)]
        single = {len(c) == 1 for n, c in graph.children.items() if 3 <= layer_of(n) < root}
        seen["skip"] += any(step > 1 and below_root for step, below_root in steps)
        seen["long skip"] += any(step > 2 and below_root for step, below_root in steps)
        seen["partner of a lower layer"] += any(layer_of(ids[0]) != layer_of(x) for ids in cross for x in ids)
        seen["components and arrivals"] += len(single) == 2
        seen["joined at the root"] += any(
            len(c) > 1 for n, c in graph.children.items() if layer_of(n) == root
        )
        seen["inactive edges"] += any(edge not in graph.edges for edge in all_edges)
        seen["listed twice"] += any(len(set(c.in_chunk)) < len(c.in_chunk) for c in dataset.chunks.values())

    look()
    assert len(seen) == 7, seen
    assert min(seen.values()) >= 20, seen
