"""What is answered to each question about a graph: functions from a request to JSON or ids.

Source of paths and formats: pychunkedgraph/app/segmentation/common.py, v1/routes.py and legacy/routes.py
(3.1.7). Ids are JSON numbers, or texts with ``int64_as_str``, as JavaScript needs them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Ids
from beam_ingest.version import __version__
from beam_ingest.view.asking import ApiError, Ask, bad, parse_id
from beam_ingest.view.bounds import within
from beam_ingest.view.graph_info import API_VERSIONS
from beam_ingest.view.hierarchy import Hierarchy

Answer: TypeAlias = "Mapping[str, Any] | list[Any] | str | bytes"
"""What becomes JSON, where arrays may stand for lists; bytes are sent as they are."""
Answering: TypeAlias = Callable[[Hierarchy, Ask], Answer]


def info(tree: Hierarchy, ask: Ask) -> Answer:
    """Layers, chunks and voxels of the graph, and where the watershed is."""
    return {**ask.served.info, "data_dir": data_url(ask.base, ask.served.graph_id, ask.served.watershed)}


def data_url(base: str, graph_id: str, url: str, name: str = "data") -> str:
    """Where a client finds a volume: at this server if it is on this machine."""
    return f"{base}/{name}/{graph_id}" if url.startswith("file://") else url


def api_versions(tree: Hierarchy, ask: Ask) -> Answer:
    """Versions of the API."""
    return list(API_VERSIONS)


def program_version(tree: Hierarchy, ask: Ask) -> Answer:
    """The version of the program that answers."""
    return f"beam_ingest {__version__}"


def root(tree: Hierarchy, ask: Ask) -> Answer:
    """The root of a node, or its lowest ancestor at or above ``stop_layer``."""
    return {"root_id": _ids(ask, _root(tree, ask))[0]}


def root_binary(tree: Hierarchy, ask: Ask) -> Answer:
    """The same as bytes."""
    return _bytes(_root(tree, ask))


def root_of_body(tree: Hierarchy, ask: Ask) -> Answer:
    """The root of the first id of a list, as bytes."""
    content = ask.json()
    if not isinstance(content, list) or not content:
        raise bad("expected a list with an id")
    return _bytes(_root(tree, ask, parse_id(str(content[0]))))


def _root(tree: Hierarchy, ask: Ask, node: int | None = None) -> Ids:
    ask.check_time()
    asked = ask.node() if node is None else node
    found = tree.roots([asked], ask.stop_layer(tree.grid.root_layer))
    if not found[0]:
        raise unknown(asked)
    return found


def roots(tree: Hierarchy, ask: Ask) -> Answer:
    """The roots of many nodes; 0 for those that the graph does not have, as PyChunkedGraph answers."""
    ask.check_time()
    return {"root_ids": _ids(ask, tree.roots(ask.node_ids(), ask.stop_layer(tree.grid.root_layer)))}


def roots_binary(tree: Hierarchy, ask: Ask) -> Answer:
    """The same with bytes for ids, in the body and in the answer."""
    ask.check_time()
    return _bytes(tree.roots(ask.binary_ids(), ask.stop_layer(tree.grid.root_layer)))


def is_latest_roots(tree: Hierarchy, ask: Ask) -> Answer:
    """Whether each id is a root of the graph."""
    ask.check_time()
    ids = ask.node_ids()
    return {"is_latest": (tree.exist(ids) & (tree.roots(ids) == ids)).tolist()}


def root_timestamps(tree: Hierarchy, ask: Ask) -> Answer:
    """When each root was made, in seconds since 1970: all with the graph."""
    ids = ask.node_ids()
    known = tree.exist(ids)
    if not known.all():
        raise unknown(int(ids[~known][0]))
    return {"timestamp": [ask.served.built / 1e6] * ids.size}


def oldest_timestamp(tree: Hierarchy, ask: Ask) -> Answer:
    """When the graph was made."""
    made = datetime.datetime.fromtimestamp(ask.served.built / 1e6, datetime.timezone.utc)
    return {"iso": made.isoformat(ask.query.get("delimiter", " ")[:1] or " ")}


def leaves(tree: Hierarchy, ask: Ask) -> Answer:
    """The supervoxels below a node, or its nodes at ``stop_layer``, within bounds."""
    return {"leaf_ids": _ids(ask, _leaves(tree, ask))}


def leaves_binary(tree: Hierarchy, ask: Ask) -> Answer:
    """The same as bytes."""
    return _bytes(_leaves(tree, ask))


def _leaves(tree: Hierarchy, ask: Ask) -> Ids:
    return tree.leaves([ask.node()], ask.box(), ask.stop_layer(SUPERVOXEL_LAYER))[0]


def leaves_many(tree: Hierarchy, ask: Ask) -> Answer:
    """The leaves of each of several nodes."""
    nodes = ask.node_ids()
    groups = tree.leaves(nodes, ask.box(), ask.stop_layer(SUPERVOXEL_LAYER))
    return {str(node): _ids(ask, found) for node, found in zip(nodes.tolist(), groups, strict=True)}


def children(tree: Hierarchy, ask: Ask) -> Answer:
    """The children of a node."""
    return {"children_ids": _ids(ask, tree.children(ask.node()))}


def children_binary(tree: Hierarchy, ask: Ask) -> Answer:
    """The same as bytes."""
    return _bytes(tree.children(ask.node()))


def parents(tree: Hierarchy, ask: Ask) -> Answer:
    """All ancestors of a node, from its parent to its root."""
    ask.check_time()
    return {"parent_ids": _ids(ask, tree.parents(ask.node()))}


def chunk_children(tree: Hierarchy, ask: Ask) -> Answer:
    """The nodes of a layer-2 chunk, each beside its supervoxels, as one list."""
    return {"l2_chunk_children": _ids(ask, _chunk_children(tree, ask))}


def chunk_children_binary(tree: Hierarchy, ask: Ask) -> Answer:
    """The same as bytes."""
    return _bytes(_chunk_children(tree, ask))


def _chunk_children(tree: Hierarchy, ask: Ask) -> Ids:
    ask.check_time()
    if not ask.flag("as_array"):
        raise bad("expected as_array=True: without it PyChunkedGraph answers with a pickle, which is code")
    chunk = ask.node()
    if tree.grid.layer_of(chunk) != ATOMIC_LAYER:
        raise bad(f"expected a chunk of layer {ATOMIC_LAYER}, found one of layer {tree.grid.layer_of(chunk)}")
    return tree.chunk_children(chunk).reshape(-1)


def manifest(tree: Hierarchy, ask: Ask) -> Answer:
    """The highest nodes with meshes that a node consists of: where each is; none if the graph has no meshes.

    With ``verify``, each is looked for, and listed with its place in the file; without, those are listed that
    the graph says should have one, with their minishard.
    """
    node, box, meshes = ask.node(), ask.box(), ask.served.meshes
    if not tree.exist([node])[0]:
        raise unknown(node)
    found: list[tuple[int, str]] = []
    if meshes is not None and tree.grid.layer_of(node) >= ATOMIC_LAYER:
        start = min(ask.start_layer(meshes.max_layer), meshes.max_layer)
        with tree.reader() as reader:
            found = meshes.fragments(reader, node, start, ask.flag("verify"))
    nodes = np.array([each for each, _ in found], np.uint64)
    if box is not None:
        inside = within(tree.grid, nodes, box)
        nodes, found = nodes[inside], [pair for pair, near in zip(found, inside, strict=True) if near]
    # A tilde stands before what was meshed with the graph, and not after an edit.
    prefixed = ask.flag("prepend_seg_ids")
    listed: dict[str, Any] = {"fragments": [f"~{each}:~{at}" if prefixed else f"~{at}" for each, at in found]}
    if ask.flag("return_seg_ids"):
        listed["seg_ids"] = _ids(ask, nodes)
    return listed


def edit(tree: Hierarchy, ask: Ask) -> Answer:
    """Refuse to change the graph."""
    raise ApiError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "this server is read-only: it shows a graph as it was built; edit it through a PyChunkedGraph server",
    )


def unknown(node: int) -> ApiError:
    """The error of a node that the graph does not have."""
    return ApiError(HTTPStatus.NOT_FOUND, f"node {node} is not in the graph")


def _ids(ask: Ask, ids: Ids) -> Any:
    """Ids for JSON."""
    return ids.astype(str).tolist() if ask.flag("int64_as_str") else np.ascontiguousarray(ids)


def _bytes(ids: Ids) -> bytes:
    return np.ascontiguousarray(ids).astype("<u8").tobytes()
