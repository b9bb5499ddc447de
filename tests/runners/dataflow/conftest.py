"""Fixtures of the tests of what runs on Dataflow: every test has services of its own, but the emulator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_ingest.runners import flex
from testing.emulator import Emulator
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.gcloud import Gcloud, gcloud_environment, require_gcloud
from tests.runners.dataflow.jobs import BIGTABLE, BUCKET, REGION, SETTINGS
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.stores.bigtable.conftest import emulator  # noqa: F401  (a fixture)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[StorageEmulator]:
    """Cloud Storage, to which Google's clients in this process are sent."""
    with StorageEmulator([BUCKET]) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def dataflow() -> Iterator[DataflowEndpoint]:
    with DataflowEndpoint() as running:
        yield running


@pytest.fixture
def gcloud(storage: StorageEmulator, dataflow: DataflowEndpoint, tmp_path: Path) -> Gcloud:
    """The real gcloud, sent to both."""
    require_gcloud()
    return Gcloud(gcloud_environment(tmp_path / "gcloud", dataflow.url, storage.url))


@pytest.fixture
def clusters(
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ClustersProxy]:
    with ClustersProxy(emulator.address, {"one": f"{REGION}-b"}, nodes=2) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.fixture
def remote(storage: StorageEmulator, dataset: Path, tmp_path: Path) -> Path:
    """The dataset file of the small sound dataset, whose inputs are in Cloud Storage."""
    folder = dataset.parent
    for file in folder.rglob("*"):
        if file.is_file() and file != dataset:
            storage.write(f"gs://{BUCKET}/data/{file.relative_to(folder)}", file.read_bytes())
    text = dataset.read_text()
    head = text[: text.index("backend_client:")].replace(": ./", f": gs://{BUCKET}/data/")
    path = tmp_path / "My Dataset.yml"
    path.write_text(head + BIGTABLE)
    return path


@pytest.fixture
def graph_id(request: pytest.FixtureRequest) -> str:
    """A graph of the test's own: the emulator outlives it."""
    return "Graph_" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """What ``terraform output -json`` would say, in a file."""
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(SETTINGS))
    return path


@pytest.fixture
def cloud(
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> DataflowEndpoint:
    """Everything a launch talks to, also from within this process."""
    monkeypatch.setenv(flex.ENDPOINT, f"{dataflow.url}/")
    monkeypatch.setattr(flex, "_LOOK_SECONDS", 0.01)
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return dataflow
