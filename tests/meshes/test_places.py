"""Whose meshes and files are touched: a graph's own, in a folder of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from beam_ingest.meshes.job import MeshJob
from beam_ingest.meshes.outputs import KEPT_INFO
from beam_ingest.view import scene
from tests.conftest import Cli
from tests.graphs import read_cells
from tests.meshes.datasets import configure, shards
from tests.meshes.test_command import META, assert_nothing_written, custom_data, execute
from tests.view.client import Client, serve


@pytest.fixture
def meshed(small_meshes: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_meshes.parent, tmp_path / "meshed") / small_meshes.name


def change_info(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def meta(dataset: Path) -> bytes:
    return read_cells(dataset.parent / "graph.sqlite")[META]


def test_shard_files_without_an_info_of_this_program_are_left(cli: Cli, dataset: Path) -> None:
    theirs = dataset.parent / "ws/meshes/initial/2/5-0.shard"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"months of work")
    for option in ([], ["--overwrite"]):
        message = cli.refused("mesh", "g", dataset, *option)
        assert "mesh_config.dir: expected a folder without files of another program" in message
    assert theirs.read_bytes() == b"months of work"
    assert_nothing_written(dataset)


def test_overwrite_removes_shard_files_alone(cli: Cli, meshed: Path, small_meshes: Path) -> None:
    initial = meshed.parent / "ws/meshes/initial"
    kept = [initial / "notes.txt", initial / "2/77.shard.txt", meshed.parent / "ws/meshes/dynamic/5:0:0-1"]
    stale = [initial / "2/77-0.shard", initial / "9/1-0.shard", initial / "3/.1-0.shard.x_y1"]
    for path in (*kept, *stale):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert cli("mesh", "g", meshed, "--overwrite").status == 0
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in stale)
    names = {str(path.relative_to(meshed.parent / "ws/meshes")) for path in kept}
    assert {n: data for n, data in shards(meshed).items() if n not in names} == shards(small_meshes)


def test_a_resume_removes_what_was_left_half_written(cli: Cli, meshed: Path, small_meshes: Path) -> None:
    (meshed.parent / "ws/meshes/initial/3/.1-0.shard.abc").touch()
    assert cli("mesh", "g", meshed, "--resume").status == 0
    assert shards(meshed) == shards(small_meshes)


def test_meshes_of_another_graph_are_not_replaced(cli: Cli, meshed: Path) -> None:
    info = meshed.parent / "ws/meshes/info"
    ours = json.loads(info.read_text())["beam_ingest"]
    assert ours["graph"] == "g"
    change_info(info, beam_ingest={**ours, "graph": "older"})
    before = shards(meshed)
    message = cli.refused("mesh", "g", meshed, "--overwrite")
    assert "expected a folder without meshes of another graph, found those of older" in message
    assert shards(meshed) == before
    configure(meshed, dir="mine")
    assert cli("mesh", "g", meshed, "--overwrite").status == 0
    assert shards(meshed) == before
    assert custom_data(meshed)["mesh"]["dir"] == "mine"


def test_meshes_that_the_meta_row_names_are_not_replaced_unasked(cli: Cli, meshed: Path) -> None:
    before = meta(meshed)
    (meshed.parent / "graph.sqlite.mesh").unlink()
    configure(meshed, dir="others")
    message = cli.refused("mesh", "g", meshed, status=1)
    assert "meshes are there already, in meshes, as its meta row says" in message
    assert meta(meshed) == before


def test_a_watershed_whose_info_cannot_be_replaced(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out before hours of meshing, though the folder of meshes can be written."""
    real = os.replace

    def replace(source: str, target: Path) -> None:
        if Path(target).parent == dataset.parent / "ws":
            raise PermissionError(errno.EACCES, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    message = cli.refused("mesh", "g", dataset)
    assert "data_source.WATERSHED: expected a place that can be written" in message
    assert_nothing_written(dataset)


def test_an_info_that_another_program_changes_meanwhile(
    cli: Cli, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, real = dataset.parent / "ws/info", MeshJob.tell_servers

    def tell(job: MeshJob) -> None:
        change_info(info, skeletons="theirs")
        real(job)

    monkeypatch.setattr(MeshJob, "tell_servers", tell)
    assert cli("mesh", "g", dataset).status == 0
    after, kept = (json.loads(path.read_text()) for path in (info, info.with_name(KEPT_INFO)))
    assert after == {**kept, "mesh": "meshes", "mesh_metadata": after["mesh_metadata"]}
    assert kept["skeletons"] == "theirs"


@pytest.mark.parametrize(("content", "found"), [(None, "no such file"), ("[", "something else")])
def test_an_info_that_is_gone_at_the_end(
    cli: Cli, meshed: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, found: str
) -> None:
    """An info of nothing but meshes would be no volume's."""
    info, real = meshed.parent / "ws/info", MeshJob.tell_servers
    sound = info.read_text()

    def tell(job: MeshJob) -> None:
        info.unlink() if content is None else info.write_text(content)
        real(job)

    with monkeypatch.context() as patch:
        patch.setattr(MeshJob, "tell_servers", tell)
        outcome = cli("mesh", "g", meshed, "--overwrite")
    assert outcome.status == 1
    assert f"expected the watershed's info, found {found}; restore it" in outcome.errors[-1]
    assert custom_data(meshed) == {}
    info.write_text(sound)
    assert cli("mesh", "g", meshed, "--resume").status == 0
    assert custom_data(meshed).keys() == {"mesh"}


def shown(dataset: Path) -> tuple[dict[str, Any], list[str]]:
    """The info that is served of a graph, and the manifest of an object."""
    with serve(dataset, "g") as server:
        client, root = Client(server), scene.find_largest(server.tree).roots[0]
        url = f"{client.url}/meshing/api/v1/table/g/manifest/{root}:0"
        return client.json("info"), client.json(url, verify=1)["fragments"]


def test_meshes_are_shown_of_the_graph_that_they_were_made_of(cli: Cli, meshed: Path) -> None:
    """The watershed's info may name those of another, or of one that was replaced since."""
    info, fragments = shown(meshed)
    assert (info["mesh"], info["verify_mesh"], len(fragments) > 0) == ("meshes", True, True)
    written = json.loads((meshed.parent / "ws/info").read_text())["mesh_metadata"]
    change_info(meshed.parent / "ws/info", mesh="others", mesh_metadata={"max_meshed_layer": 2})
    info, again = shown(meshed)
    assert (info["mesh"], info["mesh_metadata"], again) == ("meshes", written, fragments)
    assert cli("graph", "g", meshed, "--overwrite").status == 0
    info, fragments = shown(meshed)
    assert not {"mesh", "mesh_metadata"} & info.keys()
    assert (info["verify_mesh"], fragments) == (False, [])


def test_a_meta_row_that_cannot_be_read_is_shown_without_meshes(meshed: Path) -> None:
    execute(
        meshed.parent / "graph.sqlite",
        "UPDATE cells SET value = x'80' WHERE CAST(row_key AS TEXT) = 'meta'",
    )
    assert shown(meshed)[1] == []
