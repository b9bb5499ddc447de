"""cloud-volume's own client on a graph server: cutouts, roots, leaves and chunks, of every kind of graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from cloudvolume import Bbox, CloudVolume

from beam_ingest import GraphReader, open_graph
from beam_ingest.cli import main
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.view.server import GraphServer
from testing.emulator import Emulator
from tests.view.client import TOKEN, serve


@pytest.fixture(params=["sqlite, version 3", "bigtable, version 2"])
def opened(
    request: pytest.FixtureRequest, built_sample: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CloudVolume, GraphReader]]:
    """cloud-volume on a server of the sample's graph, and the reader of the same graph."""
    if request.param.startswith("sqlite"):
        server: GraphServer = request.getfixturevalue("server")
        with open_graph(built_sample, "graph") as reader:
            yield connect(server), reader
        return
    emulator: Emulator = request.getfixturevalue("emulator")
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    place = "bigtable:project/instance"
    options = ("--graph-version", "2", "--overwrite", "--yes")
    assert main(["graph", "graph", str(built_sample), "--store", place, *options]) == 0
    with open_graph(built_sample, "graph", place) as reader, serve(built_sample, store=place) as served:
        yield connect(served), reader


def connect(server: GraphServer) -> CloudVolume:
    return CloudVolume(server.graph_url, secrets=TOKEN, progress=False)


def voxels(volume: CloudVolume, box: Bbox, **options: object) -> npt.NDArray[np.uint64]:
    return np.asarray(volume.download(box, **options))[..., 0]


def agglomerated(reader: GraphReader, supervoxels: npt.NDArray[np.uint64], layer: int) -> object:
    """numpy's own: each voxel's lowest ancestor at or above a layer, by the reader."""
    ids, inverse = np.unique(supervoxels, return_inverse=True)
    tops = ids.copy()
    while (low := (reader.grid.layers(tops) < layer) & (tops > 0)).any():
        tops[low] = reader.parents(tops[low], missing="zero")
    return tops[inverse].reshape(supervoxels.shape)


@pytest.mark.sampled(1)
def test_cloud_volume_sees_the_readers_graph(
    opened: tuple[CloudVolume, GraphReader], built_sample: Path
) -> None:
    volume, reader = opened
    watershed = CloudVolume((built_sample.parent / "ws").as_uri(), progress=False)
    for box in (volume.bounds, Bbox((5, 3, 9), (40, 20, 23))):
        plain = voxels(watershed, box)
        assert (voxels(volume, box) == plain).all()
        for layer in (2, 3, None):
            found = voxels(volume, box, agglomerate=True, stop_layer=layer)
            assert (found == agglomerated(reader, plain, layer or reader.grid.root_layer)).all(), layer
    supervoxels = np.unique(plain)[1:]
    roots = reader.roots(supervoxels)
    assert (volume.get_roots(supervoxels) == roots).all()
    ids, counts = np.unique(roots, return_counts=True)
    largest = ids[np.argsort(counts)[-3:]]
    everything = reader.leaves(largest)
    for root, leaves in zip(largest, everything, strict=True):
        assert sorted(volume.get_leaves(root, volume.bounds, 0)) == leaves.tolist()
        inside = reader.grid.coords(leaves, 1) == (1, 0, 1)
        box = Bbox((16, 0, 16), (32, 16, 32))
        assert sorted(volume.get_leaves(root, box, 0)) == leaves[inside.all(axis=1)].tolist()
        below = set(reader.roots(leaves)) | set(reader.parents(leaves))
        nodes = [node for node in below if reader.grid.layer_of(node) == ATOMIC_LAYER]
        assert set(volume.get_leaves(root, volume.bounds, 0, stop_layer=ATOMIC_LAYER)) == set(nodes)
    chunk = reader.grid.chunk_id(ATOMIC_LAYER, (1, 0, 1))
    nodes = np.concatenate(list(reader.nodes(ATOMIC_LAYER, (1, 0, 1))))
    children = {int(n): c.tolist() for n, c in zip(nodes, reader.children(nodes), strict=True)}
    assert {int(n): [int(s) for s in c] for n, c in volume.get_chunk_mappings(chunk).items()} == children


def test_large_requests_are_compressed(server: GraphServer, built_sample: Path) -> None:
    """cloud-volume compresses requests above 1 MB, and asks for compressed answers."""
    with open_graph(built_sample, "graph") as reader:
        supervoxels = np.concatenate(list(reader.nodes(1)))
        unknown = supervoxels.max() + np.arange(1, 126_000, dtype=np.uint64)
        found = connect(server).get_roots(np.concatenate([supervoxels, unknown]))
        assert (found[: supervoxels.size] == reader.roots(supervoxels)).all()
    assert not found[supervoxels.size :].any()
