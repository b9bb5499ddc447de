"""``beam-ingest view`` as people run it, and what it shows first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests

from beam_ingest import Dataset, open_graph
from beam_ingest.cli.view import open_browser
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.view import scene
from beam_ingest.view.objects import count_objects, spread_chunks
from beam_ingest.view.server import GraphServer
from tests.conftest import Cli
from tests.view.client import serve


@contextmanager
def running(*words: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and the link that it prints."""
    command = [sys.executable, "-m", "beam_ingest", "view", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    """Exit status and further output after a signal."""
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_neuroglancer(built_sample: Path) -> None:
    with open_graph(built_sample, "graph") as reader:
        root = int(next(reader.root_ids())[-1])
    words = ("--no-browser", "--root", root, "--position", 1, 2, 3)
    with running("graph", built_sample, *words) as (process, link):
        assert "/v/" in link
        assert "<title>neuroglancer</title>" in requests.get(link, timeout=60).text.lower()
        assert ended(process, signal.SIGTERM) == (0, "", "press Ctrl-C to stop\n")


def test_a_position_outside_the_volume(built_sample: Path, cli: Cli) -> None:
    line = cli.refused("view", "graph", built_sample, "--no-browser", "--position", "1", "2", "-3")
    assert line == "--position: expected x, y, z in 0 to 64, 0 to 32, 0 to 32, found 1, 2, -3"


def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    open_browser("http://nowhere")
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    open_browser("http://there")
    assert opened == ["http://there"]


@pytest.mark.parametrize(("verb", "module"), [("view", "starlette"), ("report", "matplotlib")])
def test_without_the_extra(built_sample: Path, verb: str, module: str) -> None:
    words = [verb, "graph", str(built_sample), *(["r.html"] if verb == "report" else [])]
    program = f"import sys; sys.modules[{module!r}] = None; from beam_ingest.cli import main; "
    command = [sys.executable, "-c", f"{program}sys.exit(main({words!r}))"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"beam-ingest: this command needs {module}")
    assert ended.stderr.endswith("which is not installed: pip install 'beam-ingest[view]'\n")


def test_what_cannot_be_shown(cli: Cli, built_sample: Path, server: GraphServer) -> None:
    def refused(*words: object, status: int = 2) -> str:
        return cli.refused("view", "graph", built_sample, *map(str, words), status=status)

    assert "it holds graph graph, not other" in cli.refused("view", "other", built_sample, status=1)
    assert "node 7 is not in the graph" in refused("--root", 7, "--no-browser", status=1)
    assert "--root -1: expected an id" in refused("--root", -1)
    assert "--port 99999: expected a number" in refused("--port", 99999)
    taken = server.url.rpartition(":")[2]
    assert f"127.0.0.1:{taken}: expected a free port" in refused("--port", taken)
    assert "nowhere.invalid:0: expected an address" in refused("--bind", "nowhere.invalid")


def test_the_largest_objects_are_selected_and_centred(built_sample: Path, server: GraphServer) -> None:
    with open_graph(built_sample, "graph") as reader:
        roots = np.concatenate(list(reader.root_ids()))
        sizes = reader.sizes(roots)
        objects = scene.find_largest(server.tree)
        assert objects.whole
        assert dict(zip(objects.roots.tolist(), objects.supervoxels.tolist(), strict=True)) == dict(
            zip(roots.tolist(), sizes.tolist(), strict=True)
        )
        assert (np.diff(objects.supervoxels) <= 0).all()
        for at in range(5):
            root = int(objects.roots[at])
            position = scene.find_centre(server.served, server.tree, root, objects.middle_chunk(at))
            supervoxel = reader.supervoxels_at([np.floor(position).astype(int)])
            assert reader.roots(supervoxel).tolist() == [root]
    state = scene.make_scene(server.served, server.url, objects.roots[:8], position)
    (graph,) = [layer for layer in state["layers"] if layer["name"] == scene.GRAPH_LAYER]
    assert graph["segments"] == [str(root) for root in objects.roots[:8]]
    assert len(set(graph["segmentColors"].values())) == 8


def test_an_image_layer(built_sample: Path, tmp_path: Path) -> None:
    """One on this machine is served from its folder, one elsewhere is asked for there."""
    images = tmp_path / "images"
    images.mkdir()
    (images / "info").write_text("{}")
    text = built_sample.read_text()
    assert (
        Dataset.from_text(f"{text}view:\n  IMAGE: ./em\n", str(built_sample)).text
        == Dataset.from_file(built_sample).text
    ), "a resume does not compare how a graph is looked at"
    for place, expected in {
        str(images): "precomputed://{}/image/graph",
        f"zarr://{images}": "zarr://{}/image/graph",
        "gs://bucket/em": "precomputed://gs://bucket/em",
    }.items():
        dataset = built_sample.with_name("with_image.yml")
        dataset.write_text(f"{text}view:\n  IMAGE: {place}\n")
        with serve(dataset) as server:
            state = scene.make_scene(server.served, server.url, np.empty(0, np.uint64), (0, 0, 0))
            assert state["layers"][0] == {
                "type": "image",
                "name": "image",
                "source": expected.format(server.url),
            }
            answer = requests.get(f"{server.url}/image/graph/info", timeout=60)
            assert answer.status_code == (404 if place.startswith("gs") else 200)


def test_a_sample_of_chunks_is_spread_and_has_the_centre() -> None:
    grid = ChunkGrid((40, 30, 7))
    chunks = spread_chunks(grid, 64)
    assert 64 <= len(chunks) <= 72
    assert len(np.unique(chunks, axis=0)) == len(chunks)
    assert grid.contains(chunks).all()
    for axis, count in enumerate(grid.chunks):
        assert len(np.unique(chunks[:, axis])) > count / 2, axis
    assert len(spread_chunks(grid, 10_000)) == 40 * 30 * 7


def test_a_graph_of_a_test_is_shown(cli: Cli, sample: Path) -> None:
    assert cli("graph", "graph", sample, "--test").status == 0
    with open_graph(sample, "graph") as reader:
        found = count_objects(reader, spread_chunks(reader.grid, 1))
        tops = reader.roots(found.roots)
        assert found.roots.size > 10
        assert (tops == found.roots).all()
