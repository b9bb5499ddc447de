"""``beam-ingest l2cache``: rows against an oracle, what is refused, and runs that are disturbed."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from cloudvolume import CloudVolume

from beam_ingest import ConfigError, NodeNotFoundError, StoreError, open_l2cache
from tests.conftest import Cli
from tests.graphs import comparable, pinky256, prism, read_cells, timestamps
from tests.l2cache.conftest import Expected, change, expected_nodes
from tests.l2cache.oracle import Triple
from tests.oracle.cells import Cells
from tests.stages.test_kill import kill, start, stored
from tests.stages.test_resume import until
from tests.stores.test_overwrite import execute
from tests.volumes.datasets import OFFSET, RESOLUTION

SCALARS = {"size_nm3": "<u4", "area_nm2": "<u4", "max_dt_nm": "<u2", "mean_dt_nm": "<f2"}
ARRAYS = {"rep_coord_nm": "<u2", "chunk_intersect_count": "<u2", "pca": "<f2", "pca_val": "<f4"}


def store_of(dataset: Path) -> Path:
    return dataset.parent / "cache.sqlite"


def rows_of(cells: Cells) -> dict[int, dict[str, np.ndarray]]:
    """The nodes' rows, as their clients read them."""
    found: dict[int, dict[str, np.ndarray]] = {}
    for (key, family, name), value in cells.items():
        if key.isdigit():
            assert family == "0"
            dtype = (SCALARS | ARRAYS)[name.decode()]
            found.setdefault(int(key), {})[name.decode()] = np.frombuffer(value, dtype)
    return found


def check_rows(cells: Cells, expected: Expected, resolution: Triple) -> None:
    rows = rows_of(cells)
    assert rows.keys() == expected.nodes.keys()
    for node, wanted in expected.nodes.items():
        row = rows[node]
        assert row.keys() == SCALARS.keys() | ARRAYS.keys()
        assert row["size_nm3"].tolist() == [wanted.size]
        assert row["area_nm2"].tolist() == [min(wanted.area, (1 << 32) - 1)]
        assert row["max_dt_nm"].tolist() == [min(max(wanted.depths), 65_535)]
        assert row["mean_dt_nm"] == np.float16(min(np.mean(wanted.depths), 65_504))
        assert row["chunk_intersect_count"].reshape(2, 3).tolist() == wanted.faces
        (place,) = np.flatnonzero((wanted.coords == row["rep_coord_nm"]).all(axis=1))
        assert wanted.weights[place] == pytest.approx(wanted.weights.max(), rel=1e-6)
        values, axes = wanted.singular(resolution)
        if wanted.size * np.prod(resolution) < 10_000_000:
            assert row["pca"].size == row["pca_val"].size == 0
            continue
        assert row["pca_val"] == pytest.approx(values, rel=1e-5, abs=max(resolution) * 1e-3)
        if np.diff(-values).min() > 0.01 * values[0]:
            cosines = (row["pca"].reshape(3, 3).astype(float) * axes).sum(axis=1)
            assert np.abs(cosines) == pytest.approx(1, abs=1e-3)


def test_every_row(cached: Path) -> None:
    cells = read_cells(store_of(cached))
    expected = expected_nodes(cached, RESOLUTION)
    assert len(expected.nodes) > 50
    check_rows(cells, expected, RESOLUTION)
    (when,) = timestamps(store_of(cached))
    meta = pickle.loads(cells[b"meta", "0", b"meta"])
    assert meta.keys() == {"graph_id", "cv_path", "timestamp"}
    assert (meta["graph_id"], meta["cv_path"]) == ("g", "graphene://https://server/g")
    assert np.datetime64(meta["timestamp"]) == np.datetime64(when, "us").astype("datetime64[s]")
    assert cells[b"version", "0", b"version"] == b"1.3.1"
    assert {key for key, *_ in cells if not key.isdigit()} == {b"meta", b"version"}


def test_what_the_command_says(whole: Path, cached: Path, cli: Cli) -> None:
    ran = cli("l2cache", "g", whole)
    assert ran.status == 0
    assert ran.out.startswith("computed L2 cache cache of graph g in ")
    assert f"  in           {store_of(whole)}\n" in ran.out
    assert cli("status", "cache", whole).out == "2       : 12 / 12\n"  # empty chunks are done chunks
    assert cli("failures", "cache", whole).out == "No chunk has failed\n"
    again = cli("l2cache", "g", whole, "--resume")
    assert (again.status, again.out) == (0, "L2 cache cache is already complete: nothing to resume\n")
    assert "a cache is there already" in cli.refused("l2cache", "g", whole, status=1)
    assert cli("l2cache", "g", whole, "--overwrite").status == 0
    assert same_cells(whole, cached)
    assert cli("graph", "g", whole, "--resume").out == "Graph g is already complete: nothing to resume\n"


def test_another_level_and_values_that_do_not_fit(whole: Path, cli: Cli) -> None:
    """At mip 1 of a volume of large voxels some nodes have no voxel left, and distances overflow."""
    place = whole.parent / "ws" / "info"
    info = json.loads(place.read_text())
    info["scales"][0]["resolution"] = [15_000, 10_000, 40_000]
    place.write_text(json.dumps(info))
    fine = CloudVolume((whole.parent / "ws").as_uri(), progress=False)
    voxels = np.asarray(fine[:])
    fine.add_scale((2, 2, 1), chunk_size=(8, 8, 8), encoding="raw")
    fine.commit_info()
    CloudVolume((whole.parent / "ws").as_uri(), mip=1, progress=False)[:] = voxels[::2, ::2]
    change(whole, "data_source", CV_MIP=1)
    assert "found one with data_source.CV_MIP nothing, not 1" in cli.refused("l2cache", "g", whole, status=1)
    assert cli("graph", "g", whole, "--overwrite").status == 0
    ran = cli("l2cache", "g", whole)
    assert ran.status == 0
    resolution = (30_000, 20_000, 40_000)
    expected = expected_nodes(whole, resolution, 1, (2, 2, 1))
    check_rows(read_cells(store_of(whole)), expected, resolution)
    deep = sum(max(node.depths) > 65_535 for node in expected.nodes.values())
    deep += sum(np.mean(node.depths) > 65_504 for node in expected.nodes.values())
    deep += sum(node.area >= 1 << 32 for node in expected.nodes.values())
    assert deep
    assert f"  clamped      {deep:,} values that their type does not hold\n" in ran.out
    assert re.search(r"  absent       \d+ nodes without a voxel, which have no row\n", ran.out)
    with open_l2cache(whole, "g") as cache:
        some = list(expected.nodes)[::7]
        check_physical(cache.physical(some), some, expected, resolution, (3, 50, 33))


def check_physical(
    found: dict[str, np.ndarray], asked: list[int], expected: Expected, resolution: Triple, offset: Triple
) -> None:
    for at, node in enumerate(asked):
        wanted = expected.nodes[node]
        assert found["size_nm3"][at] == wanted.size * np.prod(resolution)
        inside = found["rep_coord_nm"][at] / resolution - offset
        inside -= np.array(expected.chunk_of[node]) * expected.shape
        assert (wanted.coords == inside).all(axis=1).any()
        assert found["chunk_intersect_count"][at].tolist() == wanted.faces


def test_attributes_of_many_nodes(cached: Path) -> None:
    rows = rows_of(read_cells(store_of(cached)))
    asked = [*list(rows)[::-2], min(rows), min(rows)]
    with open_l2cache(cached, "g") as cache:
        found = cache.stored(asked)
        for name, dtype in (SCALARS | ARRAYS).items():
            assert found[name].dtype == np.dtype(dtype).newbyteorder("=")
            for at, node in enumerate(asked):
                stored = rows[node][name]
                assert found[name][at].reshape(-1).tolist() == stored.tolist() or (
                    stored.size == 0 and np.isnan(found[name][at]).all()
                )
        check_physical(cache.physical(asked), asked, expected_nodes(cached, RESOLUTION), RESOLUTION, OFFSET)
        assert cache.exist([asked[0], 5, asked[0]]).tolist() == [True, False, True]
        assert {name: values.shape[0] for name, values in cache.stored([]).items()} == dict.fromkeys(found, 0)
        with pytest.raises(NodeNotFoundError, match=r"cache.sqlite: no node 5$"):
            cache.stored([asked[0], 5])
    with pytest.raises(StoreError, match="expected the L2 cache of graph h, found l2cache g"):
        open_l2cache(cached, "h")


def test_a_test_computes_the_chunks_at_the_centre(whole: Path, cached: Path, cli: Cli) -> None:
    assert cli("l2cache", "g", whole, "--test").status == 0
    some, every = comparable(store_of(whole)), comparable(store_of(cached))
    drop = {b"meta", b"manifest"}
    assert 0 < len(some) < len(every)
    assert {k: v for k, v in some.items() if k[2] not in drop}.items() < every.items()
    assert cli("status", "cache", whole).out == "2       : 4 / 12\n"
    assert "begun with --test True, not False" in cli.refused("l2cache", "g", whole, "--resume")


def test_a_chunk_that_fails_is_listed_and_resume_finishes(whole: Path, cached: Path, cli: Cli) -> None:
    """A block that is not stored where the graph has nodes: not to be taken for background."""
    block = max((whole.parent / "ws").glob("*/*-*_*-*_*-*"), key=lambda path: path.stat().st_size)
    shutil.move(block, whole.parent / "kept")
    ran = cli("l2cache", "g", whole)
    assert ran.status == 1
    assert re.search(
        r"ws: chunk \d_\d_\d: expected voxels of every node of the graph, found none of \d+ nodes, "
        r"such as \d+, and blocks that are not stored; write the missing blocks",
        ran.err,
    )
    listed = next(line for line in ran.err.splitlines() if "lists them" in line).split("`")[1].split()[1:]
    failed = cli(*listed)
    assert (failed.status, "write the missing blocks" in failed.out) == (1, True)
    shutil.move(whole.parent / "kept", block)
    assert cli("l2cache", "g", whole, "--resume").status == 0
    assert same_cells(whole, cached)


def test_the_watershed_of_another_graph(whole: Path, cli: Cli) -> None:
    volume = CloudVolume((whole.parent / "ws").as_uri(), progress=False)
    voxels = np.asarray(volume[:])
    volume[:] = np.where(voxels, voxels + np.uint64(1000), np.uint64(0))
    ran = cli("l2cache", "g", whole)
    assert ran.status == 1
    assert re.search(
        r"expected supervoxels of the \d+ nodes .* here, found \d+ others alone, such as", ran.err
    )


def same_cells(one: Path, other: Path) -> bool:
    """Whether two caches are the same but for times, that of their meta rows too."""
    first, second = (
        {key: value for key, value in comparable(store_of(path)).items() if key[2] != b"meta"}
        for path in (one, other)
    )
    return first == second


@pytest.mark.slow
def test_a_killed_run_is_resumed_to_the_same_bytes(whole: Path, cached: Path, cli: Cli) -> None:
    process = start("l2cache", "g", whole, often=True)
    until(lambda: process.poll() is not None or stored(store_of(whole)) > 100)
    kill(process)
    assert cli("l2cache", "g", whole, "--resume").status == 0
    assert same_cells(whole, cached)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(whole: Path, cached: Path, cli: Cli) -> None:
    assert cli("l2cache", "g", whole, "--direct_num_workers", "2").status == 0
    assert same_cells(whole, cached)


@pytest.mark.external
def test_prism_writes_the_same_bytes(whole: Path, cached: Path, cli: Cli) -> None:
    options = ["--runner=PrismRunner", f"--prism_location={prism()}"]
    assert cli("l2cache", "g", whole, *options).status == 0
    assert same_cells(whole, cached)


def test_graphs_that_are_refused(whole: Path, cli: Cli) -> None:
    graph = whole.parent / "graph.sqlite"
    shutil.copy(graph, whole.parent / "kept")
    execute(graph, "INSERT INTO cells VALUES (CAST('ioperations' AS BLOB), '1', x'61', 1, x'00')")
    assert "has edited it" in cli.refused("l2cache", "g", whole, status=1)
    shutil.copy(whole.parent / "kept", graph)
    assert "it holds graph g, not h" in cli.refused("l2cache", "h", whole, status=1)
    assert cli("graph", "g", whole, "--overwrite", "--test").status == 0
    assert "found one of --test; add --test" in cli.refused("l2cache", "g", whole, status=1)
    assert not store_of(whole).exists()
    assert cli("l2cache", "g", whole, "--test").status == 0
    execute(graph, "DELETE FROM cells WHERE CAST(row_key AS TEXT) LIKE 'beam_ingest/%'")
    assert "expected a complete graph" in cli.refused("l2cache", "g", whole, "--test", "--resume", status=1)


def test_a_graph_that_was_built_again_in_between(whole: Path, cli: Cli) -> None:
    assert cli("l2cache", "g", whole).status == 0
    assert cli("graph", "g", whole, "--overwrite").status == 0
    refused = cli.refused("l2cache", "g", whole, "--resume")
    assert re.search(
        r"it was begun with a graph built at 2\d{3}-.* UTC, not 2\d{3}-.* UTC; resume it", refused
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"table_id": None}, "l2cache_config: the key table_id is missing"),
        ({"cv_path": None}, "l2cache_config: the key cv_path is missing"),
        ({"table_id": "a/b"}, "l2cache_config.table_id: expected up to 50 letters"),
        ({"table_id": "g"}, "expected another table than that of graph g, found g, in sqlite:"),
        ({"table_id": 5}, "l2cache_config.table_id: expected a text, found int 5"),
    ],
)
def test_sections_that_are_refused(whole: Path, cli: Cli, values: dict[str, object], message: str) -> None:
    change(whole, "l2cache_config", **values)
    assert message in cli.refused("l2cache", "g", whole)


def test_no_section(whole: Path, cli: Cli) -> None:
    content = yaml.safe_load(whole.read_text())
    del content["l2cache_config"]
    whole.write_text(yaml.safe_dump(content))
    assert "the section l2cache_config is missing" in cli.refused("l2cache", "g", whole)
    with pytest.raises(ConfigError, match="the section l2cache_config is missing"):
        open_l2cache(whole, "g")


def test_places(whole: Path, cached: Path, cli: Cli, tmp_path: Path) -> None:
    graph = whole.parent / "graph.sqlite"
    before = graph.read_bytes()
    assert "expected another table" in cli.refused("l2cache", "g", whole, "--cache-store", f"sqlite:{graph}")
    assert "--cache-store nowhere: expected sqlite:PATH" in cli.refused(
        "l2cache", "g", whole, "--cache-store", "nowhere"
    )
    shutil.copy(graph, tmp_path / "other.sqlite")
    for option in ([], ["--overwrite"], ["--resume"]):  # a graph is not replaced by a cache
        place = f"sqlite:{tmp_path / 'other.sqlite'}"
        refused = cli("l2cache", "g", whole, "--cache-store", place, *option)
        assert refused.status != 0
        assert "graph" in refused.err
    assert (tmp_path / "other.sqlite").read_bytes() == graph.read_bytes() == before
    elsewhere = tmp_path / "elsewhere" / "c.sqlite"
    assert cli("l2cache", "g", whole, "--cache-store", f"sqlite:{elsewhere}").status == 0
    assert cli("status", "cache", whole, "--store", f"sqlite:{elsewhere}").out == "2       : 12 / 12\n"
    with open_l2cache(whole, "g", cache_store=f"sqlite:{elsewhere}") as cache:
        assert cache.exist(list(rows_of(read_cells(store_of(cached))))).all()


@pytest.mark.slow  # the one in tests/stores/bigtable has a cache in SQLite, too
@pytest.mark.shared_data
def test_the_real_sample_is_pcgl2caches(cli: Cli, tmp_path: Path) -> None:
    dataset = golden_dataset(tmp_path, {"TYPE": "sqlite", "CONFIG": {"PATH": "./graph.sqlite"}})
    assert cli("graph", "g", dataset).status == 0
    assert "  unknown      1 supervoxels" in cli("l2cache", "g", dataset).out
    check_golden(rows_of(read_cells(store_of(dataset))))


def golden_dataset(folder: Path, backend: dict[str, object]) -> Path:
    """The dataset file of the real sample, with a cache, for a graph in another place."""
    content = yaml.safe_load((pinky256() / "dataset.yml").read_text())
    content["data_source"] |= {
        key: str(pinky256() / name)
        for key, name in {"EDGES": "edges", "COMPONENTS": "components", "WATERSHED": "ws"}.items()
    }
    content |= {"backend_client": backend, "l2cache_config": {"table_id": "cache", "cv_path": "./ws"}}
    del content["ingest_config"]
    path = folder / "dataset.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def check_golden(rows: dict[int, dict[str, np.ndarray]]) -> None:
    """Rows against what PCGL2Cache wrote, but for its row 0 and random samples."""
    with np.load(pinky256() / "golden_l2cache.npz") as file:
        golden = {name: file[name] for name in file.files}
    order = {int(node): at for at, node in enumerate(golden["l2id"]) if node}
    assert rows.keys() == order.keys()
    others = 0
    for node, at in order.items():
        row = rows[node]
        for name in (*SCALARS, "chunk_intersect_count"):
            assert (row[name] == golden[name][at].reshape(-1)).all(), (node, name)
        others += bool((row["rep_coord_nm"] != golden["rep_coord_nm"][at]).any())
    assert others <= 0.03 * len(order), "exact ties alone are taken otherwise"
    axes_of = {int(node): at for at, node in enumerate(golden["pca_l2id"])}
    for node, row in rows.items():
        assert (row["pca"].size, row["pca_val"].size) == ((9, 3) if node in axes_of else (0, 0))
        if node in axes_of:
            values, axes = (golden[name][axes_of[node]] for name in ("pca_vals", "pca_comp"))
            exact = row["size_nm3"][0] <= 10_000
            assert row["pca_val"] == pytest.approx(values, rel=1e-3 if exact else 0.05)
            cosines = (row["pca"].reshape(3, 3).astype(float) * axes.astype(float)).sum(axis=1)
            assert cosines == pytest.approx(1, abs=1e-3) if exact else True
