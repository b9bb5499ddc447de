"""The same cells, byte for byte, however the work is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.inputs.components import Mapping, decode_components, encode_components
from beam_ingest.inputs.edges import ChunkEdges, Edges, decode_chunk_edges, encode_chunk_edges
from beam_ingest.sample import SampleSpec, write_sample
from tests.examples import slow
from tests.graphs import comparable, ingest, prism, timestamps
from tests.oracle.cells import Cells


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "dataset"
    write_sample(folder, SampleSpec(chunks=(5, 3, 4), chunk_size=(16, 16, 16), seed=7), processes=1)
    return folder / "dataset.yml"


@pytest.fixture(scope="module")
def expected(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    store = tmp_path_factory.mktemp("once") / "graph.sqlite"
    assert ingest(dataset, store, "--direct_num_workers=1") == 0
    assert len(timestamps(store)) == 1
    return comparable(store)


@pytest.mark.parametrize(
    "options",
    [
        ("--direct_num_workers=2",),
        slow(("--direct_num_workers=4",)),
        ("--direct_num_workers=2", "--direct_running_mode=multi_threading"),
        ("--direct_num_workers=1", "--direct_runner_bundle_repeat=1"),
        ("--raw", "--direct_num_workers=1"),
        slow(("--raw", "--direct_num_workers=2")),
    ],
    ids=["2 workers", "4 workers", "2 threads", "every bundle twice", "raw", "raw, 2 workers"],
)
def test_local_runs_write_the_same_cells(
    dataset: Path, expected: Cells, options: tuple[str, ...], tmp_path: Path
) -> None:
    assert_same(dataset, expected, options, tmp_path)


@pytest.mark.slow
def test_a_grid_of_several_slabs_gives_the_same_cells(
    dataset: Path, expected: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_ingest.stages.planning.PER_SLAB", 5)
    assert_same(dataset, expected, (), tmp_path)


@pytest.mark.external
@pytest.mark.parametrize("options", [(), slow(("--raw",))], ids=["proto", "raw"])
def test_prism_writes_the_same_cells(
    dataset: Path, expected: Cells, options: tuple[str, ...], tmp_path: Path
) -> None:
    runner = ("--runner=PrismRunner", f"--prism_location={prism()}")
    assert_same(dataset, expected, (*runner, *options), tmp_path)


def assert_same(dataset: Path, expected: Cells, options: tuple[str, ...], tmp_path: Path) -> None:
    store = tmp_path / "graph.sqlite"
    ignored = {b"meta"}  # it names the folders
    if "--raw" in options:
        ignored.add(b"counts")  # they count absent files, and those of an empty chunk are others
    copy = tmp_path / "dataset"  # raw runs write into it
    shutil.copytree(dataset.parent, copy, ignore=shutil.ignore_patterns("*.sqlite*"))
    assert ingest(copy / "dataset.yml", store, *options) == 0
    found = comparable(store)
    assert {k: v for k, v in found.items() if k[2] not in ignored} == {
        k: v for k, v in expected.items() if k[2] not in ignored
    }
    assert len(timestamps(store)) == 1


def test_the_order_of_edges_and_components_in_a_file_does_not_matter(
    dataset: Path, expected: Cells, tmp_path: Path
) -> None:
    """Rewrites every file with its edges shuffled, pairs swapped and components renumbered."""
    random = np.random.default_rng(3)
    copy = tmp_path / "copy"
    shutil.copytree(dataset.parent, copy, ignore=shutil.ignore_patterns("agg", "*.sqlite*"))

    def shuffled(edges: Edges) -> Edges:
        order = random.permutation(len(edges))
        swap = random.random(len(edges)) < 0.5
        first, second = edges.node_ids1[order], edges.node_ids2[order]
        return Edges(
            np.where(swap, second, first),
            np.where(swap, first, second),
            edges.affinities[order],
            edges.areas[order],
        )

    for file in (copy / "edges").iterdir():
        edges = decode_chunk_edges(file.read_bytes(), "", "")
        groups = ("in_chunk", "cross_chunk", "between_chunk")
        file.write_bytes(encode_chunk_edges(ChunkEdges(**{g: shuffled(getattr(edges, g)) for g in groups})))
    for file in (copy / "components").iterdir():
        mapping = decode_components(file.read_bytes(), "", "")
        renumbered = random.permutation(int(mapping.components.max()) + 1)[mapping.components]
        file.write_bytes(encode_components(Mapping(mapping.ids, renumbered)))
    store = tmp_path / "graph.sqlite"
    assert ingest(copy / "dataset.yml", store) == 0
    meta = (b"meta", "0", b"meta")  # names the folders
    assert {**comparable(store), meta: b""} == {**expected, meta: b""}
