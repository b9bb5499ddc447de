"""Good graphs of every kind verify without a difference, and all of their cells are looked at."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from tests.conftest import Cli
from tests.examples import examples, slow
from tests.graphs import ingest, of_the_graph, pinky256, prism, read_cells
from tests.oracle.datasets import OracleDataset, datasets, write
from tests.oracle.graph import build
from tests.verify import Graph, Table, verify_plainly
from tests.verify.conftest import SAMPLE

SOME = examples(2, suppress_health_check=list(HealthCheck), database=None)


def assert_all_counted(counts: dict[str, int], store: Path) -> None:
    """The counts of a verification are those of the table itself."""
    cells = of_the_graph(read_cells(store))
    assert counts["cells"] == len(cells)
    assert counts["rows"] == len({key for key, _, _ in cells})
    nodes = {int(key) for key, _, _ in cells if key.isdigit()}
    assert counts["supervoxels"] == sum(node >> 56 == 1 for node in nodes)
    assert counts["counters"] == sum(qualifier == b"counter" for _, _, qualifier in cells)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--raw",),
        ("--graph-version", "2"),
        ("--test",),
        ("--raw", "--test"),
        slow(("--raw", "--graph-version", "2")),
        slow(("--test", "--graph-version", "2")),
    ],
    ids=" ".join,
)
def test_graphs_of_a_sample(options: tuple[str, ...], sample_dataset: Path, tmp_path: Path, cli: Cli) -> None:
    dataset = shutil.copytree(sample_dataset.parent, tmp_path / "sample") / "dataset.yml"
    store = tmp_path / "graph.sqlite"
    assert ingest(dataset, store, *options) == 0
    outcome = cli("verify", "graph", dataset, "--store", f"sqlite:{store}", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.json["differences"] == {}
    assert outcome.json["total"] == 0
    counts = outcome.json["counts"]
    assert_all_counted(counts, store)
    if "--test" in options:
        assert counts["chunks"] == 1 + len({SAMPLE.chunk_of(n) for n in Table(store, SAMPLE).nodes(2)})
    else:
        assert counts["chunks"] == 48 + 8 + 2
        assert counts["roots"] == len(Table(store, SAMPLE).nodes(5))
    assert counts.get("written files", 0) >= 8 or "--raw" not in options


@pytest.mark.slow
def test_several_workers_say_the_same(good: Graph, cli: Cli) -> None:
    arguments = ("verify", "graph", good.dataset, "--store", f"sqlite:{good.store}")
    alone, together = cli(*arguments, "--json"), cli(*arguments, "--json", "--direct_num_workers", "2")
    assert alone.json == together.json
    outcome = cli(*arguments)
    assert outcome.status == 0
    cells = alone.json["counts"]["cells"]
    assert f"Graph graph matches its inputs ({cells:,} cells verified in " in outcome.out


@SOME
@given(dataset=datasets(), version=st.sampled_from([2, 3]), seed=st.integers(0, 9))
def test_graphs_of_random_datasets(dataset: OracleDataset, version: int, seed: int) -> None:
    """Odd grids, odd formats, and edges of every odd kind."""
    assume(build(dataset, version))
    with tempfile.TemporaryDirectory() as folder:
        path, store = write(dataset, Path(folder)), Path(folder) / "graph.sqlite"
        assert ingest(path, store, "--graph-version", str(version)) == 0
        found = verify_plainly(path, store, seed=seed)
        assert found.as_dict()["differences"] == {}
        assert found.counts["cells"] == len(of_the_graph(read_cells(store)))


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    "options", [slow(()), ("--raw",), slow(("--test",)), slow(("--raw", "--test"))], ids=" ".join
)
def test_graphs_of_the_real_sample(options: tuple[str, ...], tmp_path: Path, cli: Cli) -> None:
    folder = shutil.copytree(pinky256(), tmp_path / "pinky256")
    store = tmp_path / "graph.sqlite"
    # The sample's own edges have other affinities than its raw records.
    assert ingest(folder / "dataset.yml", store, *options, "--overwrite") == 0
    outcome = cli("verify", "graph", folder / "dataset.yml", "--store", f"sqlite:{store}", "--json")
    assert (outcome.status, outcome.json["differences"]) == (0, {})
    counts = outcome.json["counts"]
    assert_all_counted(counts, store)
    if "--test" not in options:
        assert counts["supervoxels"] == 13_854
        assert (counts["nodes at layer 2"], counts["nodes at layer 3"], counts["roots"]) == (1_092, 270, 538)


@pytest.mark.slow
def test_written_files_are_compared(sample_dataset: Path, tmp_path: Path, cli: Cli) -> None:
    """A raw ingest's edges and components, which servers read when they split."""
    dataset = shutil.copytree(sample_dataset.parent, tmp_path / "sample") / "dataset.yml"
    assert cli("graph", "graph", dataset, "--raw").status == 0
    edges = sorted((dataset.parent / "edges").iterdir())
    shutil.copy(edges[0], edges[1])
    edges[2].unlink()
    components = sorted((dataset.parent / "components").iterdir())
    components[3].write_bytes(components[3].read_bytes()[:-1])
    outcome = cli("verify", "graph", dataset, "--json")
    assert outcome.status == 1
    found = outcome.json["differences"]
    assert found.keys() == {"written file"}
    assert found["written file"]["count"] == 3
    for file in (edges[1], edges[2], components[3]):
        assert any(line.startswith(f"{file}:") for line in found["written file"]["examples"])


@pytest.mark.slow
def test_a_damaged_shard_file_is_found(sample_dataset: Path, tmp_path: Path, cli: Cli) -> None:
    dataset = shutil.copytree(sample_dataset.parent, tmp_path / "sample") / "dataset.yml"
    assert cli("graph", "graph", dataset, "--raw").status == 0
    file = max(dataset.parent.rglob("in_chunk_0_*.data"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    outcome = cli("verify", "graph", dataset, "--json")
    assert outcome.status == 1
    (line,) = outcome.json["differences"]["input"]["examples"]
    assert str(file) in line


@pytest.mark.slow
@pytest.mark.external
def test_prism_says_the_same(good: Graph, tmp_path: Path, cli: Cli) -> None:
    arguments = ("verify", "graph", good.dataset, "--store", f"sqlite:{good.store}", "--json")
    runner = (
        "--runner=PrismRunner",
        f"--prism_location={prism()}",
        f"--temp_location={tmp_path / 'temporary'}",
    )
    alone, elsewhere = cli(*arguments), cli(*arguments, *runner)
    assert (elsewhere.status, elsewhere.json) == (0, alone.json)
