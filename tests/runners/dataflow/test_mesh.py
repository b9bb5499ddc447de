"""``mesh`` with Bigtable and Cloud Storage: made there, launched, and submitted by a template's launcher."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from beam_ingest.cli import main
from beam_ingest.meshes import job as job_module
from beam_ingest.runners import flex
from beam_ingest.sample import SampleSpec, write_sample
from tests.conftest import Cli
from tests.meshes.datasets import shards
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import BIGTABLE, BUCKET, INSTANCE, PROJECT, children, exists, posted_pipeline
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.runners.dataflow.test_submit import options, ram_of_layers


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The dataset file of a small sample on this machine."""
    write_sample(tmp_path / "s", SampleSpec(chunks=(2, 2, 1), chunk_size=(16, 16, 16)), processes=1)
    return tmp_path / "s" / "dataset.yml"


@pytest.fixture
def remote(
    storage: StorageEmulator, clusters: ClustersProxy, graph_id: str, sample: Path, tmp_path: Path
) -> Path:
    """The same in Cloud Storage, with its graph in Bigtable."""
    for file in sample.parent.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            packed = file.suffix == ".gz"  # as local files are, whose encoding buckets keep elsewhere
            name = str(file.relative_to(sample.parent)).removesuffix(".gz")
            storage.write(f"gs://{BUCKET}/s/{name}", gzip.decompress(data) if packed else data)
    text = sample.read_text().replace(": ./", f": gs://{BUCKET}/s/")
    path = tmp_path / "dataset.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(text) | yaml.safe_load(BIGTABLE)))
    assert main(["graph", graph_id, str(path)]) == 0
    return path


@pytest.mark.slow
def test_meshes_in_cloud_storage_are_those_on_this_machine(
    cli: Cli, storage: StorageEmulator, sample: Path, remote: Path, graph_id: str
) -> None:
    assert main(["graph", "g", str(sample)]) == 0
    assert cli("mesh", "g", sample).status == 0
    outcome = cli("mesh", graph_id, remote)
    assert (outcome.status, outcome.errors) == (0, []), outcome
    expected, place = shards(sample), f"gs://{BUCKET}/s/ws"
    expected["info"] = expected["info"].replace(b'"graph": "g"', f'"graph": "{graph_id}"'.encode())
    found = {url: storage.read(url) for url in storage.objects(f"{place}/meshes/")}
    assert found == {f"{place}/meshes/{name}": data for name, data in expected.items()}
    assert json.loads(storage.read(f"{place}/info"))["mesh"] == "meshes"
    assert cli("verify", graph_id, remote, "--meshes", "--json").json["total"] == 0
    status = cli("status", f"{graph_id}-mesh", remote)
    assert status.out.splitlines() == ["2       : 4 / 4", "3       : 1 / 1"]
    assert "already complete" in cli("mesh", graph_id, remote, "--resume").out
    assert cli("mesh", graph_id, remote, "--overwrite", "--yes").status == 0
    assert {url: storage.read(url) for url in storage.objects(f"{place}/meshes/")} == found


def test_launch(
    cli: Cli,
    remote: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(flex.ENDPOINT, f"{dataflow.url}/")
    outcome = cli("launch", graph_id, remote, "--stage=mesh", f"--settings={settings}")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"submitted meshes {graph_id}-mesh to Dataflow as job ")
    assert "\nplan: " in outcome.out, outcome.out
    (launched,) = dataflow.launches
    (uploaded,) = storage.objects(f"gs://{BUCKET}/staging/datasets/")
    (kept,) = storage.objects(f"gs://{BUCKET}/staging/plans/")
    assert launched["parameters"] == {
        "stage": "mesh",
        "graph_id": graph_id,
        "dataset": uploaded,
        "plan": kept,
        "store": f"bigtable:{PROJECT}/{INSTANCE}",
    }
    sent = yaml.safe_load(storage.read(uploaded))  # which the launcher reads
    assert sent["mesh_config"] == yaml.safe_load(remote.read_text())["mesh_config"]


@pytest.mark.slow
def test_the_posted_job(
    cli: Cli,
    remote: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = cli("mesh", graph_id, remote, *options(dataflow))
    assert (outcome.status, outcome.err) == (0, "")
    (job,) = dataflow.posted_jobs
    pipeline = posted_pipeline(storage, job)
    assert {"Plan", "Layer 2", "Layer 3", "Finish"} <= set(children(pipeline))
    assert not any(ram_of_layers(pipeline).values())  # of tiny chunks
    assert exists(f"{graph_id}-mesh")
    follow = next(line for line in outcome.out.splitlines() if "progress" in line).split("beam-ingest ")[1]
    status = cli(*follow.split()[:-1])
    assert (status.status, status.out.splitlines()) == (0, ["2       : 0 / 4", "3       : 0 / 1"])
    monkeypatch.setattr(job_module, "BYTES_PER_VOXEL", 1 << 21)  # as if chunks were of 10 GB
    words = ("--overwrite", "--yes", "--job_name=other")
    assert cli("mesh", graph_id, remote, *options(dataflow), *words).status == 0
    asked = ram_of_layers(posted_pipeline(storage, dataflow.posted_jobs[-1]))
    assert {name for name, ram in asked.items() if ram} == {"Layer 2"}
