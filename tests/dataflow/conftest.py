"""Fixtures of the tests of what runs on Dataflow: every test has services of its own, but the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bigtable.conftest import emulator  # noqa: F401  (a fixture)
from tests.dataflow.gcloud import Gcloud, gcloud_environment, require_gcloud
from tests.dataflow.service import DataflowEndpoint
from tests.dataflow.storage import StorageEmulator

BUCKET = "bucket"
"""The one bucket there is, in a test's Cloud Storage."""


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
