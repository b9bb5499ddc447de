"""Running the graph server: in the background of a program, a notebook or the command."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

import uvicorn

from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.reader import GraphReader
from beam_ingest.stages.manifest import read_graph
from beam_ingest.stores import open_store
from beam_ingest.view.app import make_app
from beam_ingest.view.graph_info import Served, describe
from beam_ingest.view.hierarchy import Hierarchy
from beam_ingest.view.mesh_fragments import find_meshes

LOCAL = "127.0.0.1"
"""The address that only programs on this machine reach."""
_ALL = ("0.0.0.0", "::")
"""Addresses that stand for all of the machine's: its links have its name."""
_BACKLOG = 1024
_STOP_SECONDS = 5


class GraphServer:
    """A server of one graph, for ``with``: it answers until the block ends.

    Attributes:
      served: the graph.
      tree: its nodes.
      url: scheme, host and port.

    Args:
      dataset: the dataset file.
      graph_id: the graph.
      place: URL of its store, from `beam_ingest.store_url`.
      port: the port; 0 for any that is free.
      address: the address to listen at.

    Raises:
      ConfigError: when the port is taken, or the watershed has no info.
      StoreError: when there is no such graph.
    """

    def __init__(
        self, dataset: Dataset, graph_id: str, place: str, port: int = 0, address: str = LOCAL
    ) -> None:
        with open_store(place) as store:
            manifest = read_graph(store, graph_id)
            begun = Dataset.from_text(manifest.dataset, dataset.path)  # the file may have changed since
            grid = ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits)
            meshes = find_meshes(store, begun.watershed, grid)
        self.served: Served = describe(graph_id, begun, grid, manifest.timestamp, dataset.image, meshes)
        self.tree = Hierarchy(lambda: GraphReader(open_store(place), grid, begun), grid)
        self._socket = _listen(address, port)
        host = socket.getfqdn() if address in _ALL else address
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                make_app(self.served, self.tree),
                log_level="error",
                access_log=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
                backlog=_BACKLOG,
                server_header=False,
            )
        )
        self._thread = threading.Thread(target=self._run, name="graph server", daemon=True)

    @property
    def graph_url(self) -> str:
        """The graph as cloud-volume and Neuroglancer take it."""
        return f"graphene://{self.url}/segmentation/table/{self.served.graph_id}"

    def __enter__(self) -> GraphServer:
        self._thread.start()
        self._server.begun.wait()
        if not self._server.started:
            raise BeamIngestError(f"{self.url}: the server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._server.begun.set()
            self._socket.close()


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.begun.set()


def _listen(address: str, port: int) -> socket.socket:
    """A socket at that address."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{address}:{port}: expected an address and a port of this machine: {error}"
        ) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"{address}:{port}: expected a free port, found an error: {error.strerror}; choose another with "
            "--port"
        ) from None
    return listening
