"""Neuroglancer in Chromium on graph servers: what is seen is what is in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cloudvolume import CloudVolume
from playwright.sync_api import Browser

from beam_ingest import GraphReader, open_graph
from beam_ingest.cli import main
from beam_ingest.view import scene
from beam_ingest.view.server import GraphServer
from beam_ingest.view.viewer import viewing
from testing.emulator import Emulator
from tests.view.browser import Window, running_browser
from tests.view.client import serve

Colours = npt.NDArray[np.int64]
_TOLERANCE = 3
_NEAR = 2
"""Voxels around one that are alike: whichever of them a pixel shows, its colour is the same."""
_BACKGROUND = (0, 0, 0)


@pytest.fixture(scope="module")  # while it runs, no other test could use asyncio in this thread
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


class Seen:
    """A graph as it is shown at first, and what numpy says must be seen."""

    def __init__(self, server: GraphServer, reader: GraphReader) -> None:
        self.objects = scene.find_largest(server.tree)
        chunk = self.objects.middle_chunk(0)
        self.position = scene.find_centre(server.served, server.tree, int(self.objects.roots[0]), chunk)
        self.selected = self.objects.roots[:5]
        self.state = scene.make_scene(server.served, server.url, self.selected, self.position)
        # One panel, near by: a software renderer takes its time.
        self.state |= {"crossSectionScale": 0.25, "layout": "xy"}
        volume = CloudVolume(server.served.watershed, progress=False)
        self.origin = np.array(volume.bounds.minpt)
        depth = int(self.position[2])
        supervoxels = np.asarray(volume[:, :, depth : depth + 1])[..., 0, 0]
        ids, inverse = np.unique(supervoxels, return_inverse=True)
        self.roots = reader.roots(ids, missing="zero")[inverse].reshape(supervoxels.shape)

    def alike(self) -> npt.NDArray[np.int64]:
        """Voxels of the section whose neighbours are all of the same object, shape (n, 2)."""
        inner = self.roots[_NEAR:-_NEAR, _NEAR:-_NEAR]
        same = np.ones(inner.shape, bool)
        for x, y in np.ndindex(2 * _NEAR + 1, 2 * _NEAR + 1):
            same &= inner == self.roots[x : x + inner.shape[0], y : y + inner.shape[1]]
        return np.argwhere(same & (inner > 0)) + _NEAR

    def colour(self, root: int) -> tuple[int, int, int]:
        """What an object is shown in."""
        (layer,) = [layer for layer in self.state["layers"] if layer["name"] == scene.GRAPH_LAYER]
        text = layer["segmentColors"].get(str(root), "#000000")
        return tuple(bytes.fromhex(text[1:]))  # type: ignore[return-value]

    def pixel(self, window: Window, voxel: Any) -> tuple[int, int]:
        """Where a voxel's middle is in the panel, from the window's corner."""
        box = window.page.locator(".neuroglancer-rendered-data-panel").first.bounding_box()
        assert box is not None
        middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        offset = (voxel + self.origin[:2] + 0.5 - self.position[:2]) / self.state["crossSectionScale"]
        x, y = np.round(middle + offset).astype(int).tolist()
        inside = box["x"] + 2 < x < box["x"] + box["width"] - 2
        inside &= box["y"] + 2 < y < box["y"] + box["height"] - 2
        return (x, y) if inside else (-1, -1)


def look(browser: Browser, server: GraphServer, reader: GraphReader) -> None:
    """See the objects' colours at many places, and select another object by a double click on it."""
    seen, window = Seen(server, reader), Window(browser, 720, 480)
    with viewing(seen.state, "127.0.0.1") as viewer:
        window.page.goto(viewer.get_viewer_url())
        panels = window.page.locator(".neuroglancer-rendered-data-panel")
        window.until(lambda: panels.count() >= 1, "a panel")
        voxels = seen.alike()
        pixels = np.array([seen.pixel(window, voxel) for voxel in voxels])
        voxels, pixels = voxels[pixels[:, 0] >= 0], pixels[pixels[:, 0] >= 0]
        # The axes and the scale bar are drawn over some.
        clear = (np.abs(voxels + 0.5 + seen.origin[:2] - seen.position[:2]) > 1.5).all(axis=1)
        clear &= pixels[:, 1] < pixels[:, 1].max() - 60
        voxels, pixels = voxels[clear], pixels[clear]
        assert len(voxels) > 100
        found = seen.roots[tuple(voxels.T)]
        expected = np.array([seen.colour(int(root)) for root in found])
        assert {tuple(c) for c in expected.tolist()} > {_BACKGROUND, seen.colour(int(seen.selected[0]))}

        def as_expected() -> bool:
            colours = window.pixels()[pixels[:, 1], pixels[:, 0]].astype(int)
            return bool((np.abs(colours - expected).max(axis=1) <= _TOLERANCE).mean() > 0.99)

        window.until(as_expected, "the colours of objects")
        others = np.flatnonzero(~np.isin(found, seen.selected))
        ids, counts = np.unique(found[others], return_counts=True)
        wanted = int(ids[np.argmax(counts)])
        x, y = pixels[others[found[others] == wanted][0]].tolist()
        window.page.mouse.move(x, y)
        window.page.mouse.dblclick(x, y)
        window.until(lambda: wanted in shown_segments(viewer), f"root {wanted} among the selected")
        assert shown_segments(viewer) == {wanted, *seen.selected.tolist()}
        assert window.errors == []
        window.page.close()


def shown_segments(viewer: Any) -> set[int]:
    """The selected segments, as the browser has told."""
    return {int(segment) for segment in viewer.state.layers[scene.GRAPH_LAYER].layer.segments}


@pytest.mark.external
def test_objects_are_seen_and_selected(browser: Browser, server: GraphServer, built_sample: Path) -> None:
    with open_graph(built_sample, "graph") as reader:
        look(browser, server, reader)


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.parametrize(("kind", "version"), [("sqlite", 2), ("bigtable", 2), ("bigtable", 3)])
def test_every_kind_of_graph(
    browser: Browser,
    emulator: Emulator,
    built_sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    version: int,
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    place = "bigtable:project/instance" if kind == "bigtable" else f"sqlite:{tmp_path / 'graph.sqlite'}"
    name = f"seen_{version}"
    options = ("--store", place, "--graph-version", str(version))
    assert main(["graph", name, str(built_sample), *options]) == 0
    with open_graph(built_sample, name, place) as reader, serve(built_sample, name, place) as server:
        look(browser, server, reader)
