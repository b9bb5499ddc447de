"""``prepare`` on Dataflow: launched, and submitted by the template's launcher."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from beam_ingest.runners import flex
from beam_ingest.sample import SampleSpec, write_sample
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import BIGTABLE, BUCKET, INSTANCE, PROJECT, children, posted_pipeline
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.runners.dataflow.test_submit import options


@pytest.fixture
def volumes(storage: StorageEmulator, tmp_path: Path) -> Path:
    """The dataset file of two small volumes in Cloud Storage."""
    spec = SampleSpec(chunks=(2, 1, 1), chunk_size=(8, 8, 8), volumes=True)
    write_sample(tmp_path / "s", spec, processes=1)
    for file in (tmp_path / "s" / "volumes").rglob("*"):
        if file.is_file():
            storage.write(f"gs://{BUCKET}/s/{file.relative_to(tmp_path / 's')}", file.read_bytes())
    text = (tmp_path / "s" / "volumes.yml").read_text()
    path = tmp_path / "volumes.yml"
    path.write_text(text[: text.index("backend_client:")].replace(": ./", f": gs://{BUCKET}/s/") + BIGTABLE)
    return path


def test_launch(
    cli: Cli,
    volumes: Path,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(flex.ENDPOINT, f"{dataflow.url}/")
    outcome = cli("launch", "my_graph", volumes, "--stage=prepare", f"--settings={settings}", "--test")
    assert (outcome.status, outcome.errors) == (2, [outcome.err.strip()])
    assert "--test takes eight chunks at the centre" in outcome.err
    outcome = cli("launch", "my_graph", volumes, "--stage=prepare", f"--settings={settings}")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"submitted dataset {volumes} to Dataflow as job ")
    assert "\nno plan: gs://" in outcome.out, outcome.out  # voxels are not there
    (launched,) = dataflow.launches
    (uploaded,) = storage.objects(f"gs://{BUCKET}/staging/datasets/")
    assert launched["parameters"] == {
        "stage": "prepare",
        "dataset": uploaded,
        "store": f"bigtable:{PROJECT}/{INSTANCE}",
    }


def test_paths_that_workers_cannot_open(
    cli: Cli, volumes: Path, dataflow: DataflowEndpoint, clusters: ClustersProxy, tmp_path: Path
) -> None:
    content = yaml.safe_load(volumes.read_text())
    content["volumes"]["SUPERVOXELS"] = str(tmp_path / "s" / "volumes" / "supervoxels")
    volumes.write_text(yaml.safe_dump(content))
    line = cli.refused("prepare", volumes, *options(dataflow))
    assert f"{volumes}: volumes.SUPERVOXELS: expected a URL that Dataflow's workers can open" in line
    assert dataflow.posted_jobs == []


def test_the_posted_job(
    cli: Cli, volumes: Path, storage: StorageEmulator, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    outcome = cli("prepare", volumes, *options(dataflow))
    assert (outcome.status, outcome.err) == (0, "")
    (job,) = dataflow.posted_jobs
    assert job.name.startswith("beam-ingest-prepare-")
    assert children(posted_pipeline(storage, job))[0] == "Plan"
    follow = next(line for line in outcome.out.splitlines() if "progress" in line).split("beam-ingest ")[1]
    status = cli("status", follow.split()[1], volumes)
    assert (status.status, status.out.splitlines()) == (0, ["1       : 0 / 2", "2       : 0 / 2"])
    assert f"gs://{BUCKET}/s/prepared/ws/info" in storage.objects(f"gs://{BUCKET}/s/prepared")
