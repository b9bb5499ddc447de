"""Servers of graphs, one a session each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_ingest.view.server import GraphServer
from testing.emulator import Emulator
from tests.graphs import pinky256
from tests.view.client import Client, serve


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(scope="session")
def server(built_sample: Path) -> Iterator[GraphServer]:
    """A server of the sample's graph."""
    with serve(built_sample) as running:
        yield running


@pytest.fixture
def client(server: GraphServer) -> Client:
    return Client(server)


@pytest.fixture(scope="session")
def pinky(pinky256_graph: Path) -> Iterator[GraphServer]:
    """A server of the real sample's graph."""
    with serve(pinky256() / "dataset.yml", store=f"sqlite:{pinky256_graph}") as running:
        yield running
