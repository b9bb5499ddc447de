"""The protocol of the graph server: formats, errors, files, and hostile requests."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from beam_ingest import ConfigError, StoreError, open_graph
from beam_ingest.view import asking, hierarchy
from beam_ingest.view.server import GraphServer
from tests.conftest import GRID
from tests.view.client import Client, serve

UNKNOWN = GRID.node_id(2, (0, 0, 0), 999_999)


@pytest.fixture(scope="module")
def some(built_sample: Path) -> int:
    """A supervoxel of the sample."""
    with open_graph(built_sample, "graph") as reader:
        return int(next(reader.nodes(1))[0])


def test_info(client: Client, built_sample: Path) -> None:
    info = client.json(f"{client.url}/segmentation/table/graph/info")
    watershed = json.loads((built_sample.parent / "ws" / "info").read_text())
    assert {key: info[key] for key in watershed} == watershed
    assert info["graph"] == {
        "chunk_size": [16, 16, 16],
        "bounding_box": [64, 32, 32],
        "n_bits_for_layer_id": 8,
        "cv_mip": 0,
        "n_layers": 4,
        "spatial_bit_masks": {"1": 10, "2": 10, "3": 1, "4": 1},
    }
    assert info["app"] == {"supported_api_versions": [0, 1]}
    assert info["data_dir"] == f"{client.url}/data/graph"
    assert client.json(f"{client.v0}/info") == client.json(f"{client.v1}/info") == info
    assert client.json(f"{client.url}/segmentation/api/versions") == [0, 1]


def test_ids_as_texts_as_numbers_and_as_bytes(client: Client, some: int) -> None:
    root = client.json(f"node/{some}/root")["root_id"]
    assert client.json(f"node/{some}/root", int64_as_str=1)["root_id"] == str(root)
    leaves = client.json(f"node/{root}/leaves")["leaf_ids"]
    assert some in leaves
    assert client.json(f"node/{root}/leaves", int64_as_str="true")["leaf_ids"] == list(map(str, leaves))
    assert client.post("node/leaves_many", [root], int64_as_str=1) == {str(root): list(map(str, leaves))}
    assert client.post("roots", [some, 0, UNKNOWN]) == {"root_ids": [root, 0, 0]}
    legacy = {
        f"graph/{some}/root": [root],
        f"segment/{root}/leaves": leaves,
        f"segment/{root}/children": client.json(f"node/{root}/children")["children_ids"],
    }
    for path, expected in legacy.items():
        assert np.frombuffer(client.get(f"{client.v0}/{path}").content, "<u8").tolist() == expected
    found = client.session.post(f"{client.v0}/graph/root", json=[str(some)], timeout=60)
    assert np.frombuffer(found.content, "<u8").tolist() == [root]
    # JavaScript's numbers hold no ids: its clients send texts.
    texts = client.session.post(f"{client.v1}/is_latest_roots", json={"node_ids": [str(root)]}, timeout=60)
    assert texts.json() == {"is_latest": [True]}


def test_a_manifest_without_meshes(client: Client, some: int) -> None:
    manifest = f"{client.url}/meshing/api/v1/table/graph/manifest"
    root = client.json(f"node/{some}/root")["root_id"]
    assert client.json(f"{manifest}/{root}:0", verify=1) == {"fragments": []}
    assert client.json(f"{manifest}/{root}:0", return_seg_ids=1) == {"fragments": [], "seg_ids": []}
    assert client.get(f"{manifest}/{UNKNOWN}:0").status_code == 404


def test_times(client: Client, server: GraphServer, some: int) -> None:
    built = server.served.built / 1e6
    assert client.json(f"node/{some}/root", timestamp=int(built)) == client.json(f"node/{some}/root")
    assert client.post("root_timestamps", [some])["timestamp"] == [built]
    assert client.json("oldest_timestamp")["iso"].startswith("20")
    before = client.get(f"node/{some}/root", timestamp=built - 10)
    assert before.status_code == 400
    assert "when the graph was built" in before.json()["message"]


@pytest.mark.parametrize("path", ["node/{}/root", "node/{}/leaves", "node/{}/children", "node/{}/parents"])
def test_unknown_nodes(client: Client, path: str) -> None:
    for node in (UNKNOWN, 0, 1, (1 << 64) - 1, GRID.node_id(1, (3, 1, 1), 77_777)):
        response = client.get(path.format(node))
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/json"
        error = response.json()
        assert (error["code"], error["message"]) == (404, f"node {node} is not in the graph")
        assert set(error) == {"timestamp", "duration", "code", "message"}


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("node/abc/root", 400, "expected an id"),
        ("node/-1/root", 400, "expected an id"),
        ("node/99999999999999999999/leaves", 400, "expected an id"),
        ("node/1/leaves?bounds=0-1_0-1", 400, "expected bounds as x0-x1_y0-y1_z0-z1"),
        ("node/1/leaves?bounds=0-1_0-1_0-" + "9" * 4000, 400, "expected bounds"),
        ("node/1/leaves?stop_layer=9", 400, "stop_layer: expected a layer from 1 to 4"),
        ("node/1/root?stop_layer=two", 400, "stop_layer: expected a layer from 1 to 4"),
        ("node/1/root?timestamp=nan", 400, "not a valid unix timestamp"),
        ("l2_chunk_children_binary/1?as_array=True", 400, "expected a chunk of layer 2"),
        ("l2_chunk_children/144115188075855872", 400, "expected as_array=True"),
        ("nothing", 404, "Not Found"),
    ],
)
def test_requests_that_make_no_sense(client: Client, path: str, status: int, message: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (status, status)
    assert message in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'{"node_ids": 1}',
        b'{"node_ids": [-1]}',
        b'{"node_ids": [1.5]}',
        b'{"node_ids": [true]}',
        b'{"node_ids": ["x"]}',
        b'{"node_ids": ["99999999999999999999"]}',
        b'{"node_ids": [[1], [1, 2]]}',
        b"[" * 100_000,
    ],
)
def test_bodies_that_make_no_sense(client: Client, body: bytes) -> None:
    for path in ("roots", "leaves_many", "is_latest_roots"):
        response = client.session.post(f"{client.v1}/{path}", body, timeout=60)
        assert response.status_code == 400, (path, response.text)
    assert client.session.post(f"{client.v1}/roots_binary", b"1234567", timeout=60).status_code == 400


def test_edits_are_refused(client: Client) -> None:
    for url in (f"{client.v1}/merge", f"{client.v1}/split", f"{client.v1}/undo", f"{client.v0}/graph/merge"):
        response = client.session.post(url, json=[[1, 0, 0, 0], [2, 0, 0, 0]], timeout=60)
        assert response.status_code == 405
        assert response.json()["message"].startswith("this server is read-only")
    assert client.session.delete(f"{client.v1}/info", timeout=60).status_code == 405


def test_any_page_may_ask(client: Client) -> None:
    """Browsers let a page read answers of another host only if these say so, errors included."""
    page = {"Origin": "https://neuroglancer.example"}
    urls = [f"{client.v1}/{path}" for path in ("info", f"node/{UNKNOWN}/root", "nothing")]
    for path in (*urls, f"{client.url}/data/graph/info", f"{client.url}/data/graph/nothing"):
        answer = client.session.get(path, headers=page, timeout=60)
        assert answer.headers["access-control-allow-origin"] == "*", path
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = client.session.options(f"{client.v1}/roots", headers=page | asked, timeout=60)
    assert (answer.status_code, answer.headers["access-control-allow-headers"]) == (200, "authorization")
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_bodies_are_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BODY", 80_000)
    monkeypatch.setattr("beam_ingest.view.app.MOST_BODY", 80_000)
    ids = np.zeros(10_000, "<u8").tobytes()
    headers = {"Content-Encoding": "gzip"}
    url = f"{client.v1}/roots_binary"
    whole = client.session.post(url, gzip.compress(ids), headers=headers, timeout=60)
    assert whole.content == ids
    refused = [
        client.session.post(url, ids + ids, timeout=60),
        client.session.post(url, gzip.compress(ids * 1000), headers=headers, timeout=60),
        client.session.post(url, gzip.compress(ids)[:-9], headers=headers, timeout=60),
        client.session.post(url, ids, headers=headers, timeout=60),
    ]
    assert [response.status_code for response in refused] == [413, 413, 400, 400]


def test_bounds_beyond_the_volume(client: Client, some: int) -> None:
    root = client.json(f"node/{some}/root")["root_id"]
    far = "9" * 18
    everywhere = "_".join([f"-{far}-{far}"] * 3)
    leaves = client.json(f"node/{root}/leaves")
    assert client.json(f"node/{root}/leaves", bounds=everywhere) == leaves
    for nowhere in ("_".join([f"{far}-{far}"] * 3), "40-2_0-9_0-9", "-9--1_0-9_0-9"):
        assert client.json(f"node/{root}/leaves", bounds=nowhere) == {"leaf_ids": []}, nowhere


def test_answers_are_bounded(client: Client, some: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root = client.json(f"node/{some}/root")["root_id"]
    monkeypatch.setattr(hierarchy, "MOST_LEAVES", 0)
    response = client.get(f"node/{root}/leaves")
    assert response.status_code == 413
    assert "ask within bounds" in response.json()["message"]


# Files of the watershed


def volume(client: Client) -> str:
    info = client.json("info")
    return f"{info['data_dir']}/{info['scales'][0]['key']}"


def test_files_whole_and_in_ranges(client: Client, built_sample: Path, tmp_path: Path) -> None:
    folder = built_sample.parent / "ws"
    (block,) = [p for p in folder.glob("*/*") if p.name.startswith("0-16_0-16_0-16")]
    content = gzip.decompress(block.read_bytes()) if block.suffix == ".gz" else block.read_bytes()
    name = block.name.removesuffix(".gz")
    plain, packed = folder / "plain.bin", folder / "packed.bin.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    urls = [f"{volume(client)}/{name}", *(f"{client.url}/data/graph/{n}.bin" for n in ("plain", "packed"))]
    for url in urls:
        for encoding in ("gzip", "identity", "gzip;q=0"):
            answer = client.session.get(url, headers={"Accept-Encoding": encoding}, timeout=60)
            assert answer.content == content
            assert encoding == "gzip" or "content-encoding" not in answer.headers
        ranges = {"bytes=0-9": content[:10], "bytes=5-": content[5:], "bytes=-7": content[-7:]}
        for asked, expected in ranges.items():
            answer = client.session.get(url, headers={"Range": asked}, timeout=60)
            assert (answer.status_code, answer.content) == (206, expected), asked
        head = client.session.head(url, headers={"Accept-Encoding": "identity"}, timeout=60)
        assert (head.status_code, int(head.headers["content-length"])) == (200, len(content))
        beyond = client.session.get(url, headers={"Range": "bytes=99999999-"}, timeout=60)
        assert beyond.status_code == 416
    assert client.get(f"{volume(client)}/99-100_0-1_0-1").status_code == 404


def test_nothing_outside_the_watershed_is_served(client: Client, built_sample: Path) -> None:
    outside, folder = built_sample.parent, built_sample.parent / "ws"
    (outside / "ws-secret").write_text("secret")
    for link, target in (("link", outside), ("file", built_sample), ("within", folder / "info")):
        (folder / link).symlink_to(target)
    os.mkfifo(folder / "pipe")
    paths = [
        *("../dataset.yml", "%2e%2e/dataset.yml", "..%2fdataset.yml", "%2e%2e%2fdataset.yml"),
        *("16/../../dataset.yml", "../ws-secret", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd"),
        *("..%5cdataset.yml", "info%00", "link/dataset.yml", "file", "pipe", "", ".", "link", "a" * 5000),
    ]
    host = urlsplit(client.url)
    for path in paths:
        connection = HTTPConnection(
            host.hostname or "", host.port or 0, timeout=60
        )  # sends paths as they are
        connection.request("GET", f"/data/graph/{path}")
        answer = connection.getresponse()
        assert answer.status == 404, path
        assert b"secret" not in (said := answer.read())
        assert str(outside).encode() not in said
        connection.close()
    assert client.get(f"{client.url}/data/graph/within").json()["type"] == "segmentation"


# Many at once, and what goes wrong


def test_what_is_kept_is_bounded(server: GraphServer, built_sample: Path) -> None:
    """The same answers with room for few children, and never more of them than there is room for."""
    with open_graph(built_sample, "graph") as reader:
        roots = np.concatenate(list(reader.root_ids()))
        small = hierarchy.Hierarchy(lambda: reader, reader.grid, cache_bytes=8_000)
        for root in [*roots.tolist(), *roots.tolist()[::-1]]:
            found = small.leaves([root])[0]
            assert found.tolist() == server.tree.leaves([root])[0].tolist()
            assert small.cached_bytes <= 8_000
    assert small.cached_bytes > 4_000


@pytest.mark.slow
def test_several_hundred_requests_at_once(client: Client, server: GraphServer, built_sample: Path) -> None:
    with open_graph(built_sample, "graph") as reader:
        supervoxels = np.concatenate(list(reader.nodes(1)))[:300]
        expected = reader.roots(supervoxels).tolist()
    together = threading.Barrier(300)

    def ask(supervoxel: int) -> int:
        asking = Client(server)
        together.wait()
        return int(asking.json(f"node/{supervoxel}/root")["root_id"])

    with ThreadPoolExecutor(300) as pool:
        assert list(pool.map(ask, supervoxels.tolist())) == expected


def test_connections_that_say_nothing(client: Client, some: int) -> None:
    """Hundreds of open connections, some with half a request, do not keep others from being answered."""
    host = urlsplit(client.url)
    idle = [socket.create_connection((host.hostname or "", host.port or 0)) for _ in range(300)]
    try:
        for connection in idle[::2]:
            connection.sendall(b"POST /segmentation/api/v1/table/graph/roots HTTP/1.1\r\nHost: x\r\n")
        assert client.json(f"node/{some}/root")["root_id"]
    finally:
        for connection in idle:
            connection.close()
    assert client.json(f"node/{some}/root")["root_id"]


@pytest.fixture
def damaged(built_sample: Path, tmp_path: Path) -> Iterator[tuple[Client, Path, int]]:
    """A server of a graph that one may spoil, its file, and its highest root."""
    store = tmp_path / "graph.sqlite"
    store.write_bytes((built_sample.parent / "graph.sqlite").read_bytes())
    with open_graph(built_sample, "graph") as reader:
        root = int(np.concatenate(list(reader.root_ids()))[-1])
    with serve(built_sample, store=f"sqlite:{store}") as server:
        yield Client(server), store, root


def test_the_server_outlives_a_table_that_cannot_be_read(damaged: tuple[Client, Path, int]) -> None:
    client, store, root = damaged
    with sqlite3.connect(store) as connection:
        connection.execute("ALTER TABLE cells RENAME TO others")
    response = client.get(f"node/{root}/children")
    assert (response.status_code, response.json()["code"]) == (500, 500)
    assert str(store) not in response.text
    with sqlite3.connect(store) as connection:
        connection.execute("ALTER TABLE others RENAME TO cells")
    assert client.json(f"node/{root}/children")["children_ids"]


def test_a_damaged_cell_is_an_error_of_its_request(damaged: tuple[Client, Path, int]) -> None:
    client, store, root = damaged
    with sqlite3.connect(store) as connection:
        wrong = "UPDATE cells SET value = x'00' WHERE row_key = ? AND qualifier = ?"
        connection.execute(wrong, (b"%020d" % root, b"children"))
    assert client.get(f"node/{root}/leaves").status_code == 500
    assert client.json(f"node/{root}/root")["root_id"] == root


def test_graphs_that_cannot_be_served(built_sample: Path, server: GraphServer) -> None:
    with pytest.raises(StoreError, match="it holds graph graph, not other"):
        serve(built_sample, "other")
    port = urlsplit(server.url).port or 0
    with pytest.raises(ConfigError, match="expected a free port"):
        GraphServer(*_parts(built_sample), port=port)


def _parts(path: Path):  # type: ignore[no-untyped-def]
    from beam_ingest import Dataset, store_url

    dataset = Dataset.from_file(path)
    return dataset, "graph", store_url(dataset, "graph")


def test_another_graph_is_unknown(client: Client) -> None:
    response = requests.get(f"{client.url}/segmentation/table/other/info", timeout=60)
    assert (response.status_code, response.json()["message"]) == (
        404,
        "this server has the graph graph alone",
    )
