"""``make run-dataflow`` and ``beam-ingest launch``, ``status`` and ``cancel``, with the real gcloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from beam_ingest import Dataset, __version__, make_job, start_job, store_url
from beam_ingest.failures import Failure
from beam_ingest.job import IngestJob
from tests.conftest import Cli
from tests.dataflow.clusters import ClustersProxy
from tests.dataflow.gcloud import Gcloud
from tests.dataflow.jobs import BUCKET, INSTANCE, PROJECT, REGION, SETTINGS, SUBNETWORK, WORKER, exists
from tests.dataflow.service import DataflowEndpoint, Refusal
from tests.dataflow.storage import StorageEmulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cloud(
    gcloud: Gcloud,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> DataflowEndpoint:
    """Everything a launch talks to, also from within this process."""
    for name, value in gcloud.environment.items():
        monkeypatch.setenv(name, value)
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return dataflow


def make(settings: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run make with the Python that runs the tests, and without installing anything."""
    environment = os.environ | {"DATAFLOW_SETTINGS": json.dumps(SETTINGS)}
    environment.pop("MAKEFLAGS", None)
    python = [f"VENV={sys.prefix}", "-o", "install"]
    command = ["make", "--no-print-directory", *python, f"SETTINGS={settings}", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def begun(remote: Path, graph_id: str) -> IngestJob:
    """A graph that somebody has begun."""
    dataset = Dataset.from_file(remote)
    return start_job(make_job(graph_id, dataset, store_url(dataset, graph_id)))


def test_make_run_dataflow(
    cloud: DataflowEndpoint, storage: StorageEmulator, remote: Path, graph_id: str, tmp_path: Path
) -> None:
    path = tmp_path / "minnie.yml"
    path.write_text(remote.read_text())
    words = (f"DATASET={path}", f"GRAPH_ID={graph_id}", "TEST=1")
    ran = make(
        tmp_path / "made" / "settings.json",
        "run-dataflow",
        *words,
        "ARGS=--graph-version=2 --max_num_workers=7",
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    (uploaded,) = storage.objects(f"gs://{BUCKET}/staging/datasets/")
    assert storage.read(uploaded) == path.read_bytes()
    (told,) = cloud.jobs
    assert cloud.launches == [
        {
            "jobName": f"beam-ingest-{graph_id.lower().replace('_', '-')}",
            "containerSpecGcsPath": f"gs://{BUCKET}/templates/beam_ingest.json",
            "parameters": {
                "graph_id": graph_id,
                "dataset": uploaded,
                "store": f"bigtable:{PROJECT}/{INSTANCE}",
                "test": "true",
                "graph_version": "2",
            },
            "environment": {
                "serviceAccountEmail": WORKER,
                "subnetwork": SUBNETWORK,
                "tempLocation": f"gs://{BUCKET}/temp",
                "stagingLocation": f"gs://{BUCKET}/staging",
                "ipConfiguration": "WORKER_IP_PRIVATE",
                "enableStreamingEngine": False,
                "maxWorkers": 7,
                "additionalUserLabels": {
                    "owner": "me",
                    "graph-id": graph_id.lower(),
                    "dataset": "minnie",
                    "version": __version__.replace(".", "-"),
                },
            },
        }
    ]
    (request,) = [r for r in cloud.requests if r.path.endswith("flexTemplates:launch")]
    assert request.path == f"/v1b3/projects/{PROJECT}/locations/{REGION}/flexTemplates:launch"
    assert ran.stdout.splitlines() == [
        f"submitted graph {graph_id} to Dataflow as job {told['id']}",
        f"  job       https://console.cloud.google.com/dataflow/jobs/{REGION}/{told['id']}?project={PROJECT}",
        f"  progress  beam-ingest status {graph_id} {path} --watch",
        f"  stop      gcloud dataflow jobs cancel {told['id']} --project={PROJECT} --region={REGION}",
    ]
    assert not exists(graph_id)  # which the launcher makes

    again = make(tmp_path / "made" / "settings.json", "run-dataflow", *words)
    assert again.returncode == 2
    assert f"active job named {told['jobName'] if 'jobName' in told else told['name']}" in again.stderr


def test_make_status_and_cancel(
    cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path, tmp_path: Path
) -> None:
    words = (f"DATASET={shutil.copy(remote, tmp_path / 'd.yml')}", f"GRAPH_ID={graph_id}")
    cloud.first_state = "JOB_STATE_RUNNING"
    assert make(settings, "run-dataflow", *words).returncode == 0
    (told,) = cloud.jobs
    status = make(settings, "status", *words)
    assert status.stdout.splitlines() == [
        f"job     : {told['id']} JOB_STATE_RUNNING",
        "the launcher has not made the table yet",
    ]
    begun(remote, graph_id)
    status = make(settings, "status", *words)
    assert status.stdout.splitlines()[1:] == ["2       : 0 / 16", "3       : 0 / 2", "4       : 0 / 1"]
    cancelled = make(settings, "cancel", words[1])
    assert cancelled.stdout.startswith(f"cancelled job {told['id']} of graph {graph_id}"), cancelled
    assert cloud.jobs[0]["requestedState"] == "JOB_STATE_CANCELLED"


def test_a_launch_is_refused_before_anything_is_launched(
    cli: Cli, cloud: DataflowEndpoint, clusters: ClustersProxy, remote: Path, graph_id: str, settings: Path
) -> None:
    launch = ("launch", graph_id, remote, f"--settings={settings}")
    assert "there is no graph to resume" in cli.refused(*launch, "--resume")
    begun(remote, graph_id)
    assert "a graph is there already" in cli.refused(*launch, status=1)
    assert "is not removed" in cli.refused(*launch, "--overwrite")
    elsewhere = json.loads(settings.read_text())
    elsewhere["region"]["value"] = "europe-west1"
    settings.write_text(json.dumps(elsewhere))
    assert "are in us-east1" in cli.refused(*launch, "--resume")
    assert cloud.requests == []
    assert cli(*launch, "--resume", "--any-region", "--flexrs_goal=COST_OPTIMIZED").status == 0
    (launched,) = cloud.launches
    assert launched["parameters"]["resume"] == launched["parameters"]["any_region"] == "true"
    assert launched["environment"]["flexrsGoal"] == "FLEXRS_COST_OPTIMIZED"


@pytest.mark.parametrize("damage", ["none", "json", "key", "shape"])
def test_settings_that_are_not_whole(
    cli: Cli, remote: Path, graph_id: str, settings: Path, damage: str
) -> None:
    content = json.loads(settings.read_text())
    if damage == "none":
        settings.unlink()
    elif damage == "json":
        settings.write_text("Warning: No outputs found")
    elif damage == "key":
        del content["region"]
        settings.write_text(json.dumps(content))
    else:
        settings.write_text("[]")
    message = cli.refused("launch", graph_id, remote, f"--settings={settings}")
    assert message.startswith(f"{settings}: ")
    assert "terraform" in message


def test_what_dataflow_refuses_is_one_line(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.refusal = Refusal(403, "the caller may not launch")
    message = cli.refused("launch", graph_id, remote, f"--settings={settings}", status=1)
    assert message.startswith("gcloud dataflow flex-template run: ERROR")
    assert "the caller may not launch" in message


def test_waiting_for_a_job_that_ends_well(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.first_state = "JOB_STATE_DONE"
    outcome = cli("launch", graph_id, remote, f"--settings={settings}", "--wait")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "JOB_STATE_DONE"
    assert "no job of it is running" in cli.refused("cancel", graph_id, f"--settings={settings}", status=1)


def test_waiting_for_a_job_that_fails_shows_why(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    job = begun(remote, graph_id)
    cause = "gs://bucket/data/edges/edges_0_0_0.proto.zst: chunk 0_0_0: expected a zstd frame, found nothing"
    cells = Failure.now(2, "0_0_0", cause.partition(": ")[0], cause).cells(job.grid.chunk_id(2, (0, 0, 0)))
    store = job.open_store()
    store.write(cells, job.timestamp)
    cloud.first_state = "JOB_STATE_FAILED"
    outcome = cli("launch", graph_id, remote, f"--settings={settings}", "--wait", "--resume")
    assert outcome.status == 1
    (told,) = cloud.jobs
    assert outcome.err.splitlines() == [
        cause,
        f"1 of 16 chunks failed at layer 2; `beam-ingest failures {graph_id} '{remote}'` lists them; "
        "mend the input and run the same command with --resume",
        f"beam-ingest: job {told['id']} ended as JOB_STATE_FAILED: "
        f"https://console.cloud.google.com/dataflow/jobs/{REGION}/{told['id']}?project={PROJECT}",
    ]


def test_without_gcloud_it_says_so(
    cli: Cli,
    cloud: DataflowEndpoint,
    remote: Path,
    graph_id: str,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    message = cli.refused("launch", graph_id, remote, f"--settings={settings}")
    assert message == "gcloud is not on the PATH; install the Google Cloud CLI"
