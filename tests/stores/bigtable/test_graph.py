"""Whole graphs in Bigtable, as they stand in SQLite, and as PyChunkedGraph's own client reads them."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from pathlib import Path

import pytest

from beam_ingest.cli import main
from beam_ingest.dataset import Dataset
from beam_ingest.ingest.job import make_job, start_job
from beam_ingest.runners.run import run_job
from beam_ingest.sample import SampleSpec, write_sample
from testing.emulator import Emulator, read_table
from testing.faults import Fault, Plan
from testing.proxy import FaultyProxy
from tests.examples import slow
from tests.graphs import ingest, read_cells
from tests.oracle.cells import Cells

Capture = pytest.CaptureFixture[str]
PROJECT, INSTANCE = "project", "instance"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "dataset"
    write_sample(folder, SampleSpec(chunks=(4, 3, 4), chunk_size=(16, 16, 16), seed=5), processes=1)
    file = folder / "dataset.yml"
    text = file.read_text()
    settings = f"TYPE: bigtable\n  CONFIG: {{PROJECT: {PROJECT}, INSTANCE: {INSTANCE}, ADMIN: true}}\n"
    file.write_text(text[: text.index("TYPE: sqlite")] + settings)
    return file


@pytest.fixture(scope="module")
def expected(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Cells]:
    """The graphs in SQLite, by version."""
    graphs = {}
    for version in (2, 3):
        store = tmp_path_factory.mktemp("sqlite") / "graph.sqlite"
        assert ingest(dataset, store, "--graph-version", str(version)) == 0
        graphs[version] = comparable(read_cells(store, own=True))
    return graphs


@pytest.fixture(autouse=True)
def _local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BIGTABLE_PROJECT", "BIGTABLE_INSTANCE"):
        monkeypatch.delenv(name, raising=False)


def comparable(cells: Cells, ignored: tuple[bytes, ...] = ()) -> Cells:
    """Cells without what differs between runs: times, and the manifest with the dataset's text."""
    drop = (b"milliseconds", b"manifest", b"usage", *ignored)
    return {key: value for key, value in cells.items() if key[2] not in drop}


def table_cells(address: str, table: str) -> Cells:
    found = read_table(address, PROJECT, INSTANCE, table)
    assert len({timestamp for _, timestamp in found.values()}) == 1
    return {key: value for key, (value, _) in found.items()}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("version", [slow(2), 3])
@pytest.mark.parametrize(
    "options", [(), ("--raw",), slow(("--direct_num_workers=2",))], ids=["proto", "raw", "2 workers"]
)
def test_table_holds_cell_for_cell_what_sqlite_holds(
    emulator: Emulator,
    dataset: Path,
    expected: dict[int, Cells],
    version: int,
    options: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    graph = f"whole_{version}_{len(options)}_{'raw' in str(options)}"
    copy = tmp_path / "dataset"  # raw runs write into it
    shutil.copytree(dataset.parent, copy)
    arguments = [graph, str(copy / "dataset.yml")]
    assert main(["graph", *arguments, "--graph-version", str(version), *options]) == 0
    # The meta row names the graph and its folders; absent files are counted otherwise with raw input.
    ignored = (b"meta", b"counts")
    found = comparable(table_cells(emulator.address, graph), ignored)
    assert found == {k: v for k, v in expected[version].items() if k[2] not in ignored}
    capsys.readouterr()
    assert main(["status", *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "2       : 48 / 48"


def test_test_run_and_reader(
    emulator: Emulator, dataset: Path, expected: dict[int, Cells], monkeypatch: pytest.MonkeyPatch
) -> None:
    from beam_ingest import GraphReader, open_store, store_url

    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert main(["graph", "part", str(dataset), "--test"]) == 0
    found = comparable(table_cells(emulator.address, "part"), (b"meta",))
    assert found.items() <= expected[3].items()
    opened = Dataset.from_file(dataset)
    store = open_store(store_url(opened, "part"))
    job = make_job("part", opened, store_url(opened, "part"))
    reader = GraphReader(store, job.grid)
    (node, *_) = (int(k) for k, _, q in found if q == b"children" and int(k) >> 56 == 3)
    (leaves,) = reader.leaves([node])
    assert leaves.size
    assert set(reader.parents(reader.parents(leaves)).tolist()) == {node}
    assert reader.roots(leaves).tolist() == [node] * leaves.size  # of a test, the highest that is written
    assert reader.exist([node, node + 10**6]).tolist() == [True, False]
    assert [i for some in reader.nodes(2, (0, 0, 0)) for i in some.tolist()] == sorted(
        int(k)
        for k, _, q in found
        if q == b"children" and int(k) >> 38 == job.grid.chunk_id(2, (0, 0, 0)) >> 38
    )
    edges = reader.cross_edges(sorted({int(k) for k, f, _ in found if f == "4"}))
    assert len(edges.pairs)
    store.close()


def test_kvdbclient_opens_the_table(
    emulator: Emulator, dataset: Path, expected: dict[int, Cells], monkeypatch: pytest.MonkeyPatch
) -> None:
    kvdbclient = pytest.importorskip("kvdbclient", reason="kvdbclient needs Python 3.11 or newer")
    from kvdbclient import attributes
    from kvdbclient.bigtable import BigTableConfig

    from tests.oracle.cells import decompress, ids_from, pairs_from

    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert main(["graph", "opened", str(dataset)]) == 0
    client = kvdbclient.BigTableClient("opened", config=BigTableConfig(PROJECT, INSTANCE, True, False))
    meta = client.read_table_meta()
    assert meta.graph_config._surrogate_args[0] == "opened"
    assert client.read_table_version().startswith("3.")
    cells = decompress(expected[3])
    nodes = sorted({int(key) for key, _, _ in cells if key.isdigit()})
    rows = client.read_nodes(node_ids=nodes)
    assert sorted(map(int, rows)) == nodes
    checked = 0
    for node, row in rows.items():
        for attribute, found in row.items():
            value = cells[b"%020d" % node, attribute.family_id, attribute.key]
            if attribute.key == b"parents":
                assert [int(found[0].value)] == ids_from(value)
            elif attribute.key == b"children":
                assert found[0].value.tolist() == ids_from(value)
            else:
                assert [tuple(pair) for pair in found[0].value.tolist()] == pairs_from(value)
            checked += 1
    assert checked == sum(key.isdigit() for key, _, _ in cells)
    # New ids follow on from ours.
    for (key, _, qualifier), value in cells.items():
        if qualifier == b"counter" and b"_" not in key:
            chunk = int(key[1:])
            highest = int.from_bytes(value, "big")
            assert int(client.get_max_node_id(chunk)) == chunk | highest
            assert client.create_node_ids(chunk, 2).tolist() == [chunk | highest + 1, chunk | highest + 2]
    root_chunk = 4 << 56
    roots = {node for node in nodes if node >> 56 == 4}
    assert not roots & set(map(int, client.create_node_ids(root_chunk, 50, root_chunk=True)))
    assert int(client.get_max_node_id(root_chunk, root_chunk=True)) >= max(roots)
    assert attributes.TableMeta.key == b"meta"


def test_meta_row_in_the_table_is_the_bytes_of_sqlite(
    emulator: Emulator, dataset: Path, expected: dict[int, Cells], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert main(["graph", "graph", str(dataset)]) == 0
    assert table_cells(emulator.address, "graph")[b"meta", "0", b"meta"] == expected[3][b"meta", "0", b"meta"]


@pytest.mark.parametrize("seed", [0, slow(1)])
def test_faults_on_the_way_change_nothing(
    emulator: Emulator,
    dataset: Path,
    expected: dict[int, Cells],
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("beam_ingest.stages.sink.FLUSH_BYTES", 40_000)
    monkeypatch.setattr("beam_ingest.stores.bigtable.REQUEST_ENTRIES", 300)
    graph = f"faults_{seed}"
    plan = Plan.of_everything(seed, rate=0.03, rate_limits=((1.3, 0.01), (1.2, 0.01)))
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        assert main(["graph", graph, str(dataset)]) == 0
        injected, calls = proxy.injected, proxy.calls
    assert sum(injected.values()) > 20
    assert all(call.announced for call in calls)
    found = comparable(table_cells(emulator.address, graph), (b"meta",))
    assert found == {k: v for k, v in expected[3].items() if k[2] != b"meta"}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("whole_call", [False, True])
def test_a_permanent_code_fails_the_run_and_names_the_row(
    emulator: Emulator, dataset: Path, whole_call: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    layer_3 = b"%020d" % (3 << 56)
    plan = Plan(bad_row=lambda key: key[:4] == layer_3[:4] and key >= layer_3, bad_call=whole_call)
    graph = f"bad_{whole_call}"
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        assert main(["graph", graph, str(dataset)]) == 1
        refused = proxy.injected[Fault.BAD_ROW]
    assert refused
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "built graph" not in captured.out
    assert f"bigtable:{PROJECT}/{INSTANCE}/{graph} (emulator at {proxy.address}): row 0" in captured.err
    assert "INVALID_ARGUMENT" in captured.err
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert main(["status", graph, str(dataset), "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert layers[1]["done"] == 0
    # What passed is kept: the run that follows finishes the graph.
    assert main(["graph", graph, str(dataset), "--resume"]) == 0


def test_metrics_say_what_writing_took(
    emulator: Emulator, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apache_beam as beam
    from apache_beam.metrics import MetricsFilter

    from beam_ingest import IngestGraph, store_url

    plan = Plan(rates={Fault.ENTRY_REFUSED: 0.01}, seed=1)
    with FaultyProxy(emulator.address, plan) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        opened = Dataset.from_file(dataset)
        job = start_job(make_job("metrics", opened, store_url(opened, "metrics")))
        before = len(proxy.calls), proxy.injected[Fault.ENTRY_REFUSED]
        pipeline = beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner")
        pipeline | IngestGraph(job)
        result = pipeline.run()
        result.wait_until_finish()
        requests = len(proxy.calls) - before[0]
        refused = proxy.injected[Fault.ENTRY_REFUSED] - before[1]
    found = result.metrics().query(MetricsFilter())
    counters: Counter[tuple[str, str]] = Counter()
    for counter in found["counters"]:
        counters[counter.key.metric.namespace, counter.key.metric.name] += counter.committed
    layers = [f"Layer {layer}" for layer in (2, 3, 4)]
    assert sum(counters[layer, "requests"] for layer in layers) == requests
    retries = sum(
        n for (layer, name), n in counters.items() if layer in layers and name.startswith("retries_")
    )
    assert retries == refused > 0
    assert counters["Layer 2", "chunks"] == 48
    cells = table_cells(emulator.address, "metrics")
    own = [key for key in cells if key[0].startswith(b"beam_ingest") or key[0] in (b"meta", b"version")]
    assert sum(counters[layer, "cells"] for layer in layers) >= len(cells) - len(own)
    latencies = {d.key.metric.namespace for d in found["distributions"] if d.key.metric.name == "request_ms"}
    assert latencies == set(layers)


def test_two_runs_of_one_job_at_once_write_the_same_cells(
    emulator: Emulator, dataset: Path, expected: dict[int, Cells], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bundle runs twice, at the same time."""
    from beam_ingest import store_url

    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    opened = Dataset.from_file(dataset)
    job = start_job(make_job("twice", opened, store_url(opened, "twice")))
    together, errors = threading.Barrier(2), []

    def run() -> None:
        together.wait()
        try:
            run_job(job, {})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    found = comparable(table_cells(emulator.address, "twice"), (b"meta",))
    assert found == {k: v for k, v in expected[3].items() if k[2] != b"meta"}


def test_an_existing_table_is_refused_and_removed_only_when_told(
    emulator: Emulator, dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    arguments = ["graph", "there", str(dataset), "--test"]
    assert main(arguments) == 0
    before = table_cells(emulator.address, "there")
    capsys.readouterr()
    assert main(arguments) == 1
    assert "a graph is there already; --resume finishes it" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert main([*arguments, "--overwrite"]) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "their")
    assert main([*arguments, "--overwrite"]) == 2
    assert table_cells(emulator.address, "there") == before
    monkeypatch.setattr("builtins.input", lambda question: "there" if "will be removed" in question else "")
    assert main([*arguments, "--overwrite"]) == 0
    assert main([*arguments, "--overwrite", "--yes"]) == 0
    assert comparable(table_cells(emulator.address, "there")) == comparable(before)
