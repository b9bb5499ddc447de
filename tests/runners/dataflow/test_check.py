"""``beam-ingest check --runner=DataflowRunner``: the job that is posted, and what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.examples import slow
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import BUCKET, posted_pipeline
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.runners.dataflow.test_submit import options


@contextmanager
def ending(dataflow: DataflowEndpoint, state: str) -> Iterator[None]:
    """Bring the one job that is posted to its end."""
    over = threading.Event()

    def end() -> None:
        while not over.wait(0.05):
            for job in dataflow.jobs:
                dataflow.set_state(job["id"], state)
                return

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("JOB_STATE_DONE", "the run ended without a report; run it again"),
        slow("JOB_STATE_FAILED", "Check: the run failed: "),  # Beam waits a minute for messages
    ],
)
def test_the_posted_job(
    cli: Cli,
    remote: Path,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    state: str,
    message: str,
) -> None:
    """It does not run here, so there are no findings: an error, never a verdict of no problems."""
    with ending(dataflow, state):
        outcome = cli("check", remote, "--all", *options(dataflow))
    assert (outcome.status, outcome.out) == (1, "")
    assert message in outcome.errors[-1]
    (job,) = dataflow.posted_jobs
    assert job.name.startswith("beam-ingest-check-")
    names = {t.unique_name for t in posted_pipeline(storage, job).components.transforms.values()}
    assert {
        "Check/Plan",
        "Check/List",
        "Check/Inspect",
        "Check/Pairs",
        "Check/Compare",
        "Check/Report",
    } <= names
    assert not [name for name in storage.objects(f"gs://{BUCKET}/temp") if "findings" in name]


def test_files_that_workers_cannot_open(
    cli: Cli, dataset: Path, dataflow: DataflowEndpoint, storage: StorageEmulator, clusters: ClustersProxy
) -> None:
    line = cli.refused("check", dataset, "--store=bigtable:project/instance", *options(dataflow))
    assert line.startswith(
        f"{dataset}: data_source.WATERSHED: expected a URL that Dataflow's workers can open"
    )
    assert dataflow.posted_jobs == []
