"""``beam-ingest mesh``: what it writes and in which order, what it refuses, and how it goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_ingest.errors import StoreError
from beam_ingest.meshes import build, shards
from beam_ingest.meshes.job import MeshJob
from beam_ingest.meshes.outputs import KEPT_INFO, library_versions
from beam_ingest.meshes.surface import MeshError
from tests.conftest import Cli
from tests.graphs import prism, read_cells, timestamps
from tests.meshes.datasets import GRID, configure
from tests.meshes.datasets import shards as shards_of
from tests.meshes.test_meta_row import read
from tests.stages.test_kill import kill, start
from tests.stages.test_resume import until
from tests.test_make import make

META = (b"meta", "0", b"meta")


def custom_data(dataset: Path) -> Any:
    return read(read_cells(dataset.parent / "graph.sqlite")[META]).custom_data


def execute(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(statement)


def status(cli: Cli, dataset: Path) -> list[list[int]]:
    found = cli("status", "g-mesh", dataset, "--json").json["layers"]
    return [[layer["done"], layer["total"]] for layer in found]


def test_what_is_written(cli: Cli, small_graph: Path, small_meshes: Path) -> None:
    before, after = (
        json.loads((path.parent / "ws/info").read_text()) for path in (small_graph, small_meshes)
    )
    metadata = {"uniform_draco_grid_size": 5, "unsharded_mesh_dir": "dynamic", "max_meshed_layer": 4}
    assert after == {**before, "mesh": "meshes", "mesh_metadata": metadata}
    kept = (small_meshes.parent / "ws" / KEPT_INFO).read_bytes()
    assert kept == (small_graph.parent / "ws/info").read_bytes()

    info = json.loads((small_meshes.parent / "ws/meshes/info").read_text())
    assert info.pop("beam_ingest").items() > library_versions().items()
    assert info.keys() == {"@type", "mip", "chunk_size", "sharding"}
    assert {layer: spec["minishard_bits"] for layer, spec in info["sharding"].items()} == {
        "2": 1,
        "3": 2,
        "4": 3,
    }
    files = shards_of(small_meshes)
    for layer in (2, 3, 4):
        names = {name for name in files if name.startswith(f"initial/{layer}/")}
        assert len(names) == GRID.chunk_count(layer)
    assert status(cli, small_meshes) == [[12, 12], [2, 2], [1, 1]]


def test_servers_are_told_in_the_meta_row(small_graph: Path, small_meshes: Path) -> None:
    assert custom_data(small_graph) == {}
    mesh = custom_data(small_meshes)["mesh"]
    (built,) = timestamps(small_meshes.parent / "graph.sqlite")  # one timestamp still, and no second cell
    assert mesh.pop("initial_ts") * 1_000_000 > built
    assert mesh == {
        "max_layer": 4,
        "mip": 0,
        "max_error": 40.0,
        "dir": "meshes",
        "verify": True,
        "dynamic_mesh_dir": "dynamic",
    }


def test_what_is_said_where_there_are_no_meshes(cli: Cli, dataset: Path) -> None:
    for command in ("status", "failures"):
        message = cli.refused(command, "g-mesh", dataset, status=1)
        assert message.endswith("graph.sqlite.mesh: there is no g-mesh; `beam-ingest mesh` makes it")
    assert "there are no meshes to resume; leave --resume out" in cli.refused(
        "mesh", "g", dataset, "--resume"
    )


@pytest.mark.slow
def test_again(cli: Cli, small_meshes: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(small_meshes.parent, tmp_path / "again") / small_meshes.name
    message = cli.refused("mesh", "g", dataset, status=1)
    assert message.endswith(
        "meshes are there already; --resume finishes them, --overwrite builds them from scratch"
    )
    outcome = cli("mesh", "g", dataset, "--resume")
    assert outcome.out == "Meshes g-mesh are already complete: nothing to resume\n"
    before = shards_of(dataset)
    (dataset.parent / "ws/meshes/initial/2/77-0.shard").touch()
    outcome = cli("mesh", "g", dataset, "--overwrite")
    assert (outcome.status, outcome.errors) == (0, [])
    assert shards_of(dataset) == before
    (dataset.parent / "graph.sqlite.mesh").unlink()
    assert "meshes are there already" in cli.refused("mesh", "g", dataset, status=1)
    assert cli("mesh", "g", dataset, "--overwrite").status == 0
    assert shards_of(dataset) == before


@pytest.mark.parametrize("step", ["tell_servers", "_write_meta"])
def test_a_run_that_ended_before_servers_were_told(
    cli: Cli, small_meshes: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before the watershed's info is written, and between it and the meta row."""
    real = getattr(MeshJob, step)

    def fail(job: MeshJob, *arguments: Any) -> None:
        if not arguments or arguments[-1] is not None:
            raise StoreError("no answer")
        real(job, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MeshJob, step, fail)
        assert "no answer" in cli.refused("mesh", "g", dataset, status=1)
    assert status(cli, dataset) == [[12, 12], [2, 2], [1, 1]]
    assert custom_data(dataset) == {}
    assert ("mesh" in json.loads((dataset.parent / "ws/info").read_text())) == (step == "_write_meta")
    assert cli("mesh", "g", dataset, "--resume").status == 0
    assert custom_data(dataset).keys() == {"mesh"}
    assert shards_of(dataset) == shards_of(small_meshes)
    infos = [(path.parent / "ws/info").read_bytes() for path in (dataset, small_meshes)]
    assert infos[0] == infos[1]


def test_a_test_meshes_the_chunks_at_the_centre(cli: Cli, small_meshes: Path, dataset: Path) -> None:
    outcome = cli("mesh", "g", dataset, "--test")
    assert (outcome.status, outcome.errors) == (0, []), outcome
    assert status(cli, dataset) == [[4, 12], [1, 2], [0, 1]]
    found, whole = shards_of(dataset), shards_of(small_meshes)
    assert found.items() <= whole.items()
    assert len(found) == 6
    assert custom_data(dataset) == {}  # servers are not told of parts


def count_shards(dataset: Path) -> int:
    """Shard files that are whole; folders may come and go meanwhile."""
    return sum(len(list((dataset.parent / "ws/meshes/initial" / layer).glob("[0-9]*"))) for layer in "234")


@pytest.mark.slow
def test_killed_and_resumed(cli: Cli, small_meshes: Path, dataset: Path) -> None:
    """Killed at layer 2, and again when layers above it are under way."""
    killed = 0
    for number, count in enumerate((4, 13)):
        process = start("mesh", "g", dataset, *(["--resume"] if number else []), often=True)
        until(lambda p=process, n=count: p.poll() is not None or count_shards(dataset) >= n)  # type: ignore[misc]
        killed += process.poll() is None
        kill(process)
    assert killed, "the run was over before it could be killed"
    assert cli("mesh", "g", dataset, "--resume").status == 0
    assert shards_of(dataset) == shards_of(small_meshes), "nothing is left of what was half written"


def test_voxels_that_cannot_be_read_are_failures(cli: Cli, small_meshes: Path, dataset: Path) -> None:
    block = next(iter(sorted((dataset.parent / "ws" / "8_8_40").glob("23-27_*"))))
    content = block.read_bytes()
    block.write_bytes(content[: len(content) // 2])
    outcome = cli("mesh", "g", dataset)
    assert outcome.status == 1
    assert "chunks failed at layer 2" in outcome.errors[-1]
    failures = cli("failures", "g-mesh", dataset)
    assert failures.status == 1
    assert "expected voxels that can be read" in failures.out
    assert not list((dataset.parent / "ws/meshes/initial").glob("3/*")), "a layer was begun over a gap"
    block.write_bytes(content)
    assert cli("mesh", "g", dataset, "--resume").status == 0
    assert shards_of(dataset) == shards_of(small_meshes)


def test_blocks_that_are_not_stored_where_there_are_nodes_are_failures(cli: Cli, dataset: Path) -> None:
    for block in (dataset.parent / "ws" / "8_8_40").glob("23-27_*"):
        block.unlink()
    outcome = cli("mesh", "g", dataset)
    assert outcome.status == 1
    assert "expected voxels of every node of the graph, found none of node 14" in outcome.errors[0]


def test_a_mesh_that_draco_refuses_is_a_failure_with_its_node(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = build.encode, []

    def encode(mesh: Any, grid: Any) -> bytes:
        calls.append(1)
        if len(calls) == 5:
            raise MeshError("Draco: EncodingFailedException: no")
        return real(mesh, grid)

    monkeypatch.setattr(build, "encode", encode)
    assert cli("mesh", "g", dataset).status == 1
    (failure,) = (json.loads(line) for line in cli("failures", "g-mesh", dataset, "--json").out.splitlines())
    assert "expected a mesh of node 144" in failure["cause"]
    assert "found Draco: EncodingFailedException: no" in failure["cause"]


def test_a_chunk_with_too_many_meshes_is_a_failure(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MOST_IN_MINISHARD", 1)
    outcome = cli("mesh", "g", dataset)
    assert outcome.status == 1
    assert "raise mesh_config.minishard_bits of layer 2" in outcome.errors[0]


def test_a_shard_file_that_is_gone_is_not_taken_as_empty(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MeshJob, "last", 2)
        patch.setattr(MeshJob, "tell_servers", lambda job: None)
        cli("mesh", "g", dataset)
    next((dataset.parent / "ws/meshes/initial/2").iterdir()).unlink()
    outcome = cli("mesh", "g", dataset, "--resume")
    assert outcome.status == 1
    assert "expected the shard file that was written for it, found no file" in outcome.errors[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"max_layer": 5},
            "mesh_config.max_layer: expected a layer from 2 to 4, the root layer, found int 5",
        ),
        ({"max_layer": None}, "mesh_config: the key max_layer is missing"),
        ({"mip": 7}, "expected a volume with mip 7"),
        ({"max_error": "x"}, "mesh_config.max_error: expected nanometres from 0 to"),
        ({"dir": "../elsewhere"}, "mesh_config.dir: expected the name of a folder"),
        ({"dynamic_mesh_dir": "initial/x"}, "mesh_config.dynamic_mesh_dir: expected another folder than"),
        ({"minishard_bits": {2: 99}}, "mesh_config.minishard_bits: expected bits from 0 to 20"),
        ({"minishard_bits": 3}, "mesh_config.minishard_bits: expected a mapping"),
    ],
)
def test_a_wrong_section(cli: Cli, dataset: Path, changes: dict[str, Any], message: str) -> None:
    configure(dataset, **changes)
    assert message in cli.refused("mesh", "g", dataset)
    assert_nothing_written(dataset)


def assert_nothing_written(dataset: Path) -> None:
    assert not (dataset.parent / "graph.sqlite.mesh").exists()
    assert not (dataset.parent / "ws" / KEPT_INFO).exists()


def test_without_a_section(cli: Cli, dataset: Path) -> None:
    content = yaml.safe_load(dataset.read_text())
    del content["mesh_config"]
    dataset.write_text(yaml.safe_dump(content))
    assert "the section mesh_config is missing" in cli.refused("mesh", "g", dataset)


def test_a_mip_that_does_not_divide_the_chunk(cli: Cli, dataset: Path) -> None:
    info = dataset.parent / "ws/info"
    content = json.loads(info.read_text())
    content["scales"][1]["resolution"] = [24, 24, 40]
    info.write_text(json.dumps(content))
    configure(dataset, mip=1)
    assert "expected a level whose voxels divide chunks of [8, 6, 10]" in cli.refused("mesh", "g", dataset)
    assert_nothing_written(dataset)


def test_a_watershed_that_cannot_be_written(cli: Cli, dataset: Path) -> None:
    (dataset.parent / "ws/meshes").write_text("a file")
    message = cli.refused("mesh", "g", dataset)
    assert "mesh_config.dir: expected a folder that can be read and written" in message
    assert_nothing_written(dataset)


def test_meshes_of_another_program(cli: Cli, dataset: Path) -> None:
    folder = dataset.parent / "ws/meshes"
    folder.mkdir()
    (folder / "info").write_text('{"@type": "neuroglancer_legacy_mesh"}')
    for option in ([], ["--overwrite"]):
        message = cli.refused("mesh", "g", dataset, *option)
        assert "mesh_config.dir: expected a folder without meshes of another program" in message
    assert_nothing_written(dataset)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT INTO cells VALUES (CAST('ioperations' AS BLOB), '1', x'61', 1, x'00')", "has edited it"),
        ("DELETE FROM cells WHERE CAST(row_key AS TEXT) LIKE 'beam_ingest/%'", "found one that is not"),
        (
            "UPDATE cells SET value = x'00' WHERE CAST(row_key AS TEXT) = 'meta'",
            "row meta: expected a pickled",
        ),
    ],
)
def test_a_graph_that_is_not_whole_or_was_edited(
    cli: Cli, dataset: Path, statement: str, message: str
) -> None:
    execute(dataset.parent / "graph.sqlite", statement)
    assert message in cli.refused("mesh", "g", dataset, status=1)
    assert_nothing_written(dataset)


def test_a_resume_with_other_settings_is_refused(cli: Cli, small_meshes: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(small_meshes.parent, tmp_path / "other") / small_meshes.name
    configure(dataset, max_error=30)
    assert "mesh_config.max_error 40.0, not 30.0" in cli.refused("mesh", "g", dataset, "--resume")


@pytest.mark.slow
@pytest.mark.external
def test_on_prism(cli: Cli, small_meshes: Path, dataset: Path) -> None:
    options = ["--runner=PrismRunner", f"--prism_location={prism()}"]
    outcome = cli("mesh", "g", dataset, *options)
    assert (outcome.status, outcome.errors) == (0, []), outcome
    assert shards_of(dataset) == shards_of(small_meshes)
    assert custom_data(dataset).keys() == {"mesh"}


def test_make_run_may_end_with_meshes(tmp_path: Path) -> None:
    said = make(tmp_path, "--dry-run", "run", "MESH=1").stdout
    words = [line.split("beam-ingest ", 1)[1].split()[0] for line in said.splitlines()]
    assert words == ["sample", "graph", "report", "mesh"]
