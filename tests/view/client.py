"""A plain client of the graph server, and the arithmetic of ids that its answers are checked with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import requests

from beam_ingest.dataset import Dataset
from beam_ingest.stores import store_url
from beam_ingest.view.server import GraphServer
from tests.oracle.datasets import Coords, Grid

TOKEN = "0f"
"""cloud-volume wants a token for every server, of hexadecimal digits."""


def serve(dataset: Path, graph_id: str = "graph", store: str | None = None) -> GraphServer:
    """A server of a graph."""
    file = Dataset.from_file(dataset)
    return GraphServer(file, graph_id, store_url(file, graph_id, store))


class Client:
    """Asks one server."""

    def __init__(self, server: GraphServer) -> None:
        self.url = server.url
        self.v1 = f"{server.url}/segmentation/api/v1/table/{server.served.graph_id}"
        self.v0 = f"{server.url}/segmentation/1.0/{server.served.graph_id}"
        self.session = requests.Session()

    def get(self, path: str, **query: object) -> requests.Response:
        """GET below version 1, or at an URL."""
        url = path if path.startswith("http") else f"{self.v1}/{path}"
        return self.session.get(url, params={k: str(v) for k, v in query.items()}, timeout=60)

    def json(self, path: str, **query: object) -> Any:
        """What GET answers, which must be no error."""
        response = self.get(path, **query)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, nodes: Iterable[int], **query: object) -> Any:
        """What POST of ``node_ids`` answers, which must be no error."""
        response = self.session.post(
            f"{self.v1}/{path}", json={"node_ids": [int(n) for n in nodes]}, params=query, timeout=60
        )
        response.raise_for_status()
        return response.json()

    def roots(self, nodes: Iterable[int], **query: object) -> list[int]:
        """Roots by ``roots_binary``."""
        body = np.array(list(nodes), "<u8").tobytes()
        response = self.session.post(f"{self.v1}/roots_binary", body, params=query, timeout=60)
        response.raise_for_status()
        return [int(n) for n in np.frombuffer(response.content, "<u8")]


def in_bounds(grid: Grid, supervoxel: int, low: Coords, high: Coords, chunk_size: Coords) -> bool:
    """Whether the chunk of a supervoxel touches the box of voxels, counted from the volume's beginning."""
    return all(
        c * size < b and (c + 1) * size > a
        for c, a, b, size in zip(grid.coords_of(supervoxel), low, high, chunk_size, strict=True)
    )


def bounds_text(low: Coords, high: Coords, offset: Coords = (0, 0, 0)) -> str:
    """Bounds as clients write them."""
    return "_".join(f"{a + o}-{b + o}" for a, b, o in zip(low, high, offset, strict=True))
