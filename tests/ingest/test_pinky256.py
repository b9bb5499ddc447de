"""The real sample, against the graph that PyChunkedGraph itself built from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.dataset import Dataset
from beam_ingest.ingest.meta import encode_meta
from beam_ingest.inputs.components import Mapping, decode_components
from beam_ingest.inputs.edges import Edges, decode_chunk_edges
from tests.graphs import comparable, ingest, pinky256, read_cells
from tests.oracle.cells import decompress, names

pytestmark = pytest.mark.shared_data
Capture = pytest.CaptureFixture[str]
SUPERVOXELS = 13_854
NODES = {2: 1_092, 3: 270, 4: 538}


@pytest.fixture(scope="module")
def golden() -> dict[str, set[tuple[int, ...]]]:
    with np.load(pinky256() / "golden.npz") as file:
        return {key: set(map(tuple, file[key].tolist())) for key in file.files}


@pytest.fixture(scope="module")
def proto_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("proto") / "graph.sqlite"
    assert ingest(pinky256() / "dataset.yml", store) == 0
    return store


@pytest.fixture(scope="module")
def raw_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with raw agglomeration alone."""
    folder = tmp_path_factory.mktemp("raw")
    for part in ("agg", "ws", "dataset.yml"):
        source = pinky256() / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    return folder


def assert_golden(store: Path, golden: dict[str, set[tuple[int, ...]]]) -> None:
    graph = names(decompress(read_cells(store)))
    for kind, expected in golden.items():
        rows = [tuple(map(int, row)) for row in graph[kind]]
        assert len(rows) == len(set(rows))
        assert set(rows) == expected, kind


def layers_of(store: Path) -> dict[int, int]:
    rows = {int(key) for key, _, _ in read_cells(store) if key.isdigit()}
    layers, counts = np.unique(np.array(sorted(rows), np.uint64) >> np.uint64(56), return_counts=True)
    return dict(zip(layers.tolist(), counts.tolist(), strict=True))


def test_proto_input_gives_pychunkedgraphs_graph(
    proto_graph: Path, golden: dict[str, set[tuple[int, ...]]]
) -> None:
    assert_golden(proto_graph, golden)
    assert layers_of(proto_graph) == {1: SUPERVOXELS, **NODES}


def test_raw_input_gives_the_same_graph_and_writes_the_files(
    raw_dataset: Path, proto_graph: Path, golden: dict[str, set[tuple[int, ...]]], tmp_path: Path
) -> None:
    store = tmp_path / "graph.sqlite"
    assert ingest(raw_dataset / "dataset.yml", store, "--raw") == 0
    assert_golden(store, golden)
    # The meta row names the folders, which differ.
    meta = (b"meta", "0", b"meta")
    expected, found = comparable(proto_graph), comparable(store)
    assert {k: v for k, v in found.items() if k != meta} == {k: v for k, v in expected.items() if k != meta}
    # And what was written to EDGES and COMPONENTS builds the same graph once more.
    again = tmp_path / "again.sqlite"
    assert ingest(raw_dataset / "dataset.yml", again) == 0
    assert comparable(again) == found


@pytest.mark.slow
def test_raw_input_writes_the_edges_that_the_sample_has(raw_dataset: Path, tmp_path: Path) -> None:
    assert ingest(raw_dataset / "dataset.yml", tmp_path / "graph.sqlite", "--raw") == 0
    files = sorted((pinky256() / "edges").iterdir())
    assert len(files) == 64
    for file in files:
        expected = decode_chunk_edges(file.read_bytes(), str(file), "")
        found = decode_chunk_edges((raw_dataset / "edges" / file.name).read_bytes(), file.name, "")
        for group in ("in_chunk", "between_chunk", "cross_chunk"):
            ours, theirs = edge_rows(getattr(found, group)), edge_rows(getattr(expected, group))
            assert ours.keys() == theirs.keys(), file.name
            for pair, (affinity, area) in ours.items():
                if group == "cross_chunk":
                    assert (affinity, area) == (np.inf, 1)
                else:  # the raw records hold affinity times area, both weighted by the resolution
                    assert affinity / area == pytest.approx(theirs[pair][0], rel=1e-5)
                    assert area > theirs[pair][1]
    for file in sorted((pinky256() / "components").iterdir()):
        expected_mapping = decode_components(file.read_bytes(), file.name, "")
        mapping = decode_components((raw_dataset / "components" / file.name).read_bytes(), file.name, "")
        edges_file = pinky256() / "edges" / f"edges_{file.stem.removeprefix('components_')}.proto.zst"
        edges = decode_chunk_edges(edges_file.read_bytes(), edges_file.name, "")
        groups = (edges.in_chunk, edges.between_chunk)
        in_edges = {i for g in groups for i in (*g.node_ids1.tolist(), *g.node_ids2.tolist())}
        assert partition(mapping, in_edges) == partition(expected_mapping, in_edges), file.name


def edge_rows(edges: Edges) -> dict[tuple[int, int], tuple[float, int]]:
    columns = [getattr(edges, n).tolist() for n in ("node_ids1", "node_ids2", "affinities", "areas")]
    return {(a, b): (affinity, area) for a, b, affinity, area in zip(*columns, strict=True)}


def partition(mapping: Mapping, among: set[int]) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for node, component in zip(mapping.ids.tolist(), mapping.components.tolist(), strict=True):
        if node in among:
            groups.setdefault(component, set()).add(node)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@pytest.mark.parametrize("options", [(), ("--raw",)], ids=["proto", "raw"])
def test_test_run_writes_a_part_of_the_whole(
    options: tuple[str, ...], raw_dataset: Path, proto_graph: Path, tmp_path: Path, capsys: Capture
) -> None:
    dataset = (raw_dataset if options else pinky256()) / "dataset.yml"
    assert ingest(dataset, tmp_path / "graph.sqlite", "--test", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["2       : 8 / 64", "3       : 1 / 8", "4       : 0 / 1"]
    part, whole = read_cells(tmp_path / "graph.sqlite"), read_cells(proto_graph)
    settings = {(b"meta", "0", b"meta")}
    assert part.items() - {(k, part[k]) for k in settings} <= whole.items()
    assert len(layers_of(tmp_path / "graph.sqlite")) == 3


def test_version_2_lacks_cross_edges_and_supervoxel_counters(proto_graph: Path, tmp_path: Path) -> None:
    store = tmp_path / "graph.sqlite"
    assert ingest(pinky256() / "dataset.yml", store, "--graph-version", "2") == 0
    version_3, version_2 = read_cells(proto_graph), read_cells(store)
    gone = set(version_3) - set(version_2)
    assert {family for _, family, _ in gone} == {"4", "1"}
    assert {int(key[1:]) >> 56 for key, family, _ in gone if family == "1"} == {1}
    changed = {key for key in version_2 if version_2[key] != version_3[key]}
    assert changed == {(b"version", "0", b"version")}
    assert version_2[(b"version", "0", b"version")].startswith(b"2.")
    assert version_3[(b"version", "0", b"version")].startswith(b"3.")


def test_meta_row_is_pychunkedgraphs_own_bytes() -> None:
    facts = json.loads((pinky256() / "meta.json").read_text())
    text = json.dumps({"data_source": facts["data_source"], "graph_config": facts["graph_config"]})
    dataset = Dataset.from_text(text, "dataset.yml")  # JSON is YAML
    assert encode_meta(dataset, facts["graph_id"]) == (pinky256() / "meta.bin").read_bytes()
