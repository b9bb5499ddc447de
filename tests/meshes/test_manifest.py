"""Manifests of objects: what is listed, against the table itself, and names, against cloud-volume's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloudvolume import CloudVolume

from tests.meshes.datasets import parents_of
from tests.view.client import TOKEN, Client, serve

Manifest = dict[str, list[Any]]


class Served:
    """A server of a graph with meshes, cloud-volume's client of it, and the tree as the table has it."""

    def __init__(self, dataset: Path, client: Client, volume: Any) -> None:
        self.client, self.volume = client, volume
        self.children = defaultdict(list)
        parents = parents_of(dataset)
        for child, parent in parents.items():
            self.children[parent].append(child)
        self.roots = [node for node in set(parents.values()) if node not in parents]

    def shown_by(self, node: int, start_layer: int) -> Iterator[int]:
        """The nodes at or below a layer, without those with one child, that a node is shown by."""
        children = self.children[node]
        if node >> 56 == 2 or (node >> 56 <= start_layer and len(children) > 1):
            yield node
            return
        for child in children:
            yield from self.shown_by(child, start_layer)

    def manifest(self, node: int, verify: bool, start_layer: int) -> Manifest:
        found: Manifest = self.volume.mesh.fetch_manifest(
            node, level=start_layer, return_segids=True, verify=verify
        )
        return found


@pytest.fixture(scope="module")
def served(small_meshes: Path) -> Iterator[Served]:
    with serve(small_meshes, "g") as server:
        volume = CloudVolume(server.graph_url, secrets=TOKEN, progress=False)
        yield Served(small_meshes, Client(server), volume)


@pytest.mark.parametrize("start_layer", [2, 3, 4])
def test_a_manifest_that_is_not_verified_lists_what_should_have_a_mesh(
    served: Served, start_layer: int
) -> None:
    """With the names that PyChunkedGraph gives: the shard and minishard as cloud-volume finds them."""
    layers = set()
    for root in served.roots:
        expected = {}
        for node in served.shown_by(root, start_layer):
            layer, chunk = node >> 56, served.volume.meta.decode_chunk_id(node)
            file, minishard = served.volume.mesh.readers[layer].compute_shard_location(node)
            expected[node] = f"~{node}:{layer}:{chunk}:{file}:{minishard}"
            layers.add(layer)
        found = served.manifest(root, False, start_layer)
        assert dict(zip(found["seg_ids"], found["fragments"], strict=True)) == expected
    assert layers == set(range(2, start_layer + 1))


@pytest.mark.parametrize("start_layer", [3, 4])
def test_a_verified_manifest_lists_what_is_there(served: Served, start_layer: int) -> None:
    """And all of it: what is absent is a node without a surface, shown by the parts that have one."""
    for root in served.roots:
        found = served.manifest(root, True, start_layer)
        at = served.volume.mesh.initial_exists(found["seg_ids"], return_byte_range=True)
        for node, fragment in zip(found["seg_ids"], found["fragments"], strict=True):
            path, begin, size = at[node]
            assert fragment == f"~{path.split('initial/')[1]}:{begin}:{size}"
        supposed = served.manifest(root, False, start_layer)["seg_ids"]
        lacking = set(supposed) - set(found["seg_ids"])
        there = served.volume.mesh.initial_exists(list(lacking))
        assert not any(there.values())


def test_both_manifests_lead_to_the_same_meshes(served: Served) -> None:
    mesh = served.volume.mesh
    for root in sorted(served.roots)[-5:]:
        verified = mesh.get_meshes_via_manifest_byte_offsets(root, None)
        supposed = served.manifest(root, False, root >> 56)["seg_ids"]
        looked_up = mesh.get_meshes_on_bypass(supposed, allow_missing=True)
        assert {each.segid for each in verified} == looked_up.keys()
        for each in verified:
            np.testing.assert_array_equal(each.vertices, looked_up[each.segid].vertices)
            np.testing.assert_array_equal(each.faces, looked_up[each.segid].faces)


def test_what_a_request_asks_for(served: Served) -> None:
    root = max(served.roots)
    url = f"{served.client.url}/meshing/api/v1/table/g/manifest/{root}:0"
    for verify in (0, 1):
        plain = served.client.json(url, verify=verify, return_seg_ids=1)
        prefixed = served.client.json(url, verify=verify, prepend_seg_ids=1)
        pairs = zip(plain["seg_ids"], plain["fragments"], strict=True)
        assert prefixed == {"fragments": [f"~{node}:{fragment}" for node, fragment in pairs]}
    unsaid = served.client.json(url)
    assert unsaid == served.client.json(url, verify="False"), (
        "as PyChunkedGraph, unverified if it is not said"
    )
    assert served.client.json("info")["verify_mesh"] is True
