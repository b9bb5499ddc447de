"""What people see meshes with: cloud-volume's graphene client and Neuroglancer, on a graph server."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume
from scipy import ndimage

from beam_ingest import open_graph
from beam_ingest.cli import main
from beam_ingest.meshes.closed import open_edges
from beam_ingest.meshes.surface import Mesh
from beam_ingest.view import scene
from beam_ingest.view.viewer import viewing
from tests.graphs import pinky256
from tests.meshes.datasets import PINKY_CONFIG, add_config
from tests.view.browser import Window, running_browser
from tests.view.client import TOKEN, serve


def closed_objects(dataset: Path, graph: str, store: str | None = None) -> tuple[int, int]:
    """How many objects do not touch the volume's faces, and how many of these are closed.

    Each is where its voxels are.
    """
    watershed = CloudVolume((dataset.parent / "ws").as_uri(), progress=False)
    voxels, resolution = np.asarray(watershed[:])[..., 0], np.array(watershed.resolution)
    with open_graph(dataset, graph, store) as reader, serve(dataset, graph, store) as server:
        ids, inverse = np.unique(voxels, return_inverse=True)
        roots, objects = np.unique(reader.roots(ids, missing="zero")[inverse], return_inverse=True)
        boxes = ndimage.find_objects(objects.reshape(voxels.shape) + 1)
        client = CloudVolume(server.graph_url, secrets=TOKEN, progress=False)
        inner = closed = 0
        for root, box in zip(roots.tolist(), boxes, strict=True):
            ends = np.array([(axis.start, axis.stop - 1) for axis in box]).T
            if not root or (ends[0] == 0).any() or (ends[1] == np.array(voxels.shape) - 1).any():
                continue
            mesh = client.mesh.get(root, deduplicate_chunk_boundaries=False)[root]
            low, high = (ends + np.array(watershed.voxel_offset)) * resolution
            assert (mesh.vertices >= low - 2 * resolution).all(), root
            assert (mesh.vertices <= high + 2 * resolution).all(), root
            inner += 1
            closed += not len(open_edges(Mesh(mesh.vertices, mesh.faces))[0])
        return inner, closed


def test_cloud_volume_fetches_objects_through_a_server(small_meshes: Path) -> None:
    """Of seven objects within the volume two are open by a few edges, as in the real sample (below)."""
    assert closed_objects(small_meshes, "g") == (7, 5)


@pytest.mark.slow
@pytest.mark.shared_data
def test_objects_of_the_real_sample_are_closed(pinky256_graph: Path, tmp_path: Path) -> None:
    """But for six of 166: the rule for voxels beyond a chunk gave their parts to different nodes."""
    dataset = shutil.copytree(pinky256(), tmp_path / "pinky") / "dataset.yml"
    add_config(dataset, PINKY_CONFIG)
    store = f"sqlite:{shutil.copy(pinky256_graph, tmp_path / 'graph.sqlite')}"
    assert main(["mesh", "graph", str(dataset), "--store", store]) == 0
    assert closed_objects(dataset, "graph", store) == (166, 160)


@pytest.mark.slow
@pytest.mark.external
def test_neuroglancer_shows_meshes(small_meshes: Path) -> None:
    """In the 3-d panel, in the colour of the object and nowhere else."""
    with running_browser() as browser, serve(small_meshes, "g") as server:
        objects = scene.find_largest(server.tree)
        chosen = objects.roots[:1]
        chunk = objects.middle_chunk(0)
        position = scene.find_centre(server.served, server.tree, int(chosen[0]), chunk)
        state = scene.make_scene(server.served, server.url, chosen, position)
        state["layout"] = "3d"
        state["showSlices"] = state["showAxisLines"] = False
        (layer,) = [layer for layer in state["layers"] if layer["name"] == scene.GRAPH_LAYER]
        layer["segmentColors"] = {str(chosen[0]): "#ff0000"}
        window = Window(browser, 600, 600)
        with viewing(state, "127.0.0.1") as viewer:
            window.page.goto(viewer.get_viewer_url())
            window.until(lambda: red(window) > 500, "a red mesh")
            assert window.errors == []
            window.page.close()


def red(window: Window) -> int:
    """Pixels that are red, however dark, and nothing else."""
    pixels = window.pixels()[100:, :].astype(int)
    return int(((pixels[..., 0] > 60) & (pixels[..., 1] < 20) & (pixels[..., 2] < 20)).sum())
