"""``l2cache`` on Dataflow: launched, and submitted by the template's launcher."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml

from beam_ingest.cli import main
from beam_ingest.l2cache import job as job_module
from beam_ingest.runners import flex
from beam_ingest.sample import SampleSpec, write_sample
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import BIGTABLE, BUCKET, INSTANCE, PROJECT, children, exists, posted_pipeline
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.runners.dataflow.test_submit import options, ram_of_layers


@pytest.fixture
def cached(storage: StorageEmulator, clusters: ClustersProxy, graph_id: str, tmp_path: Path) -> Path:
    """The dataset file of a small sample in Cloud Storage, whose graph is in Bigtable."""
    write_sample(tmp_path / "s", SampleSpec(chunks=(2, 1, 1), chunk_size=(8, 8, 8)), processes=1)
    for file in (tmp_path / "s").rglob("*"):
        if file.is_file():
            data, packed = file.read_bytes(), file.suffix == ".gz"  # as local files are, not objects
            name = str(file.relative_to(tmp_path / "s")).removesuffix(".gz")
            storage.write(f"gs://{BUCKET}/s/{name}", gzip.decompress(data) if packed else data)
    text = (tmp_path / "s" / "dataset.yml").read_text()
    content = yaml.safe_load(text.replace(": ./", f": gs://{BUCKET}/s/")) | yaml.safe_load(BIGTABLE)
    content["l2cache_config"]["table_id"] = f"{graph_id}_l2"
    path = tmp_path / "dataset.yml"
    path.write_text(yaml.safe_dump(content))
    assert main(["graph", graph_id, str(path)]) == 0
    return path


def test_launch(
    cli: Cli,
    cached: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(flex.ENDPOINT, f"{dataflow.url}/")
    outcome = cli("launch", graph_id, cached, "--stage=l2cache", f"--settings={settings}")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"submitted L2 cache {graph_id}_l2 to Dataflow as job ")
    assert "\nplan: " in outcome.out, outcome.out
    (launched,) = dataflow.launches
    (uploaded,) = storage.objects(f"gs://{BUCKET}/staging/datasets/")
    (kept,) = storage.objects(f"gs://{BUCKET}/staging/plans/")
    assert launched["parameters"] == {
        "stage": "l2cache",
        "graph_id": graph_id,
        "dataset": uploaded,
        "plan": kept,
        "store": f"bigtable:{PROJECT}/{INSTANCE}",
    }
    sent = yaml.safe_load(storage.read(uploaded))  # which the launcher reads
    assert sent["l2cache_config"] == yaml.safe_load(cached.read_text())["l2cache_config"]


@pytest.mark.slow
def test_the_posted_job(
    cli: Cli,
    cached: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = cli("l2cache", graph_id, cached, *options(dataflow))
    assert (outcome.status, outcome.err) == (0, "")
    (job,) = dataflow.posted_jobs
    pipeline = posted_pipeline(storage, job)
    assert {"Plan", "Compute", "Write", "Finish"} <= set(children(pipeline))
    assert not any(ram_of_layers(pipeline).values())  # of tiny chunks
    assert exists(f"{graph_id}_l2")
    follow = next(line for line in outcome.out.splitlines() if "progress" in line).split("beam-ingest ")[1]
    status = cli(*follow.split()[:-1])
    assert (status.status, status.out.splitlines()) == (0, ["2       : 0 / 2"])
    monkeypatch.setattr(job_module, "BYTES_PER_VOXEL", 1 << 24)  # as if chunks were of 8 GB
    assert (
        cli(
            "l2cache", graph_id, cached, *options(dataflow), "--overwrite", "--yes", "--job_name=other"
        ).status
        == 0
    )
    asked = ram_of_layers(posted_pipeline(storage, dataflow.posted_jobs[-1]))
    assert {name: ram >> 30 for name, ram in asked.items() if ram} == {"Compute": 25}
