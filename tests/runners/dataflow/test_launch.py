"""``make run-dataflow`` and ``beam-ingest launch``, ``status`` and ``cancel``."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud import bigtable
from google.cloud import storage as storage_client
from google.cloud.dataflow import FlexResourceSchedulingGoal, WorkerIPAddressConfiguration

from beam_ingest import Dataset, __version__, make_job, start_job, store_url
from beam_ingest.ingest.job import IngestJob
from beam_ingest.runners import flex
from beam_ingest.stores import identity
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import (
    BUCKET,
    INSTANCE,
    LAUNCHER,
    PROJECT,
    REGION,
    SETTINGS,
    SUBNETWORK,
    WORKER,
    digest,
    exists,
)
from tests.runners.dataflow.service import DataflowEndpoint, Refusal
from tests.runners.dataflow.storage import StorageEmulator

ROOT = Path(__file__).parents[3]


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
    content = yaml.safe_load(remote.read_text())
    path.write_text(yaml.safe_dump(content | {"cave_config": {"token": "hunter2"}}) + "# hunter2\n")
    words = (f"DATASET={path}", f"GRAPH_ID={graph_id}", "TEST=1")
    made = tmp_path / "made" / "settings.json"
    ran = make(
        made,
        "run-dataflow",
        *words,
        "ARGS=--graph-version=2 --max_num_workers=7 --disk_size_gb=50 --experiments=x=1 --no_use_public_ips"
        " --number_of_worker_harness_threads=4 --labels=team=mine --enable_hot_key_logging",
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    (uploaded,) = storage.objects(f"gs://{BUCKET}/staging/datasets/")
    assert yaml.safe_load(storage.read(uploaded)) == content
    assert b"hunter2" not in storage.read(uploaded)
    (told,) = cloud.jobs
    assert cloud.launches == [
        {
            "jobName": f"beam-ingest-{graph_id.lower().replace('_', '-')}-{digest(graph_id)[:12]}",
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
                "ipConfiguration": WorkerIPAddressConfiguration.WORKER_IP_PRIVATE,
                "maxWorkers": 7,
                "diskSizeGb": 50,
                "additionalExperiments": ["x=1"],
                "additionalPipelineOptions": [
                    "enable_hot_key_logging=true",
                    "number_of_worker_harness_threads=4",
                ],
                "additionalUserLabels": {
                    "owner": "me",
                    "team": "mine",
                    "table-digest": digest(graph_id),
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
        f"  progress  beam-ingest status {graph_id} {path} --settings={made} --watch",
        f"  stop      gcloud dataflow jobs cancel {told['id']} --project={PROJECT} --region={REGION}",
    ]
    assert not exists(graph_id)  # which the launcher makes

    again = make(made, "run-dataflow", *words)
    assert again.returncode == 2
    assert f"active job named {told['jobName'] if 'jobName' in told else told['name']}" in again.stderr


@pytest.mark.slow
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
        "The launcher has not made the table yet",
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
    assert launched["environment"]["flexrsGoal"] == FlexResourceSchedulingGoal.FLEXRS_COST_OPTIMIZED


def test_what_cannot_be_resumed_is_refused_before_a_launch(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    """The launcher would refuse it out of sight, minutes later."""
    launch = ("launch", graph_id, remote, f"--settings={settings}", "--resume")
    begun(remote, graph_id)
    text = remote.read_text()
    assert "begun with" in cli.refused(*launch, "--graph-version=2")
    remote.write_text(text.replace("data/components", "data/edges"))
    assert "COMPONENTS" in cli.refused(*launch)
    assert cloud.launches == []
    remote.write_text(f"# a comment\n{text}")
    assert cli(*launch).status == 0


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
    assert message.startswith("Dataflow: launching the template: 403 ")
    assert "the caller may not launch" in message


def test_graphs_of_similar_names_have_jobs_of_their_own(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    """``minnie_1``, ``minnie-1`` and ``MINNIE.1`` were one, and cancelling one stopped another."""
    cloud.first_state = "JOB_STATE_RUNNING"
    given = f"--settings={settings}"
    alike = [graph_id, graph_id.replace("_", "-"), graph_id.upper().replace("_", ".")]
    for name in alike:
        assert cli("launch", name, remote, given).status == 0
    names = [job["name"] for job in cloud.jobs]
    assert len(set(names)) == 3
    assert all(re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name) for name in names)
    assert "no job for" in cli.refused("cancel", graph_id.lower(), remote, given, status=1)
    assert cli("cancel", alike[1], remote, given).status == 0
    assert [job["currentState"] for job in cloud.jobs] == [
        "JOB_STATE_RUNNING", "JOB_STATE_CANCELLING", "JOB_STATE_RUNNING",
    ]  # fmt: skip
    # The same graph id in another instance, or behind a prefix, is another graph.
    assert "no job for" in cli.refused("cancel", alike[0], given, "--store=bigtable:p/i", status=1)
    prefixed = remote.with_name("prefixed.yml")
    prefixed.write_text(remote.read_text().replace("graph_config:\n", "graph_config:\n  ID_PREFIX: a_\n"))
    assert "no job for" in cli.refused("cancel", alike[0], prefixed, given, status=1)
    assert cli("cancel", alike[0], given).status == 0


def test_a_job_whose_label_names_another_table_is_left_alone(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.first_state = "JOB_STATE_RUNNING"
    given = f"--settings={settings}"
    assert cli("launch", graph_id, remote, given).status == 0
    (job,) = cloud.jobs
    cloud.set_labels(job["id"], {"table-digest": "0" * 40})
    assert "no job for" in cli.refused("cancel", graph_id, remote, given, status=1)
    cloud.set_labels(job["id"], {})
    assert "has no label table-digest" in cli.refused("cancel", graph_id, remote, given, status=1)
    assert cloud.jobs[0]["currentState"] == "JOB_STATE_RUNNING"


def test_what_terraform_decides_is_not_an_option(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    launch = ("launch", graph_id, remote, f"--settings={settings}")
    for option in ("--region=us-east1", "--job_name=mine", "--runner=DirectRunner"):
        assert "launch takes it from" in cli.refused(*launch, option)
    assert "did you mean --disk_size_gb" in cli.refused(*launch, "--disk_size=1")
    assert "expected NAME=VALUE" in cli.refused(*launch, "--labels=team")
    assert cloud.launches == []


def test_the_launcher_reads_the_inputs_that_were_checked(
    cli: Cli, cloud: DataflowEndpoint, storage: StorageEmulator, remote: Path, graph_id: str, settings: Path
) -> None:
    """A relative path would start from the folder of the copy."""
    text = remote.read_text().replace(f"gs://{BUCKET}/data/edges", "./edges")
    storage.write(f"gs://{BUCKET}/data/relative.yml", text.encode())
    message = cli.refused("launch", graph_id, f"gs://{BUCKET}/data/relative.yml", f"--settings={settings}")
    assert f"write gs://{BUCKET}/data/edges" in message
    assert cloud.launches == []


def test_a_dataset_without_a_place_works_with_every_command(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    begun(remote, graph_id)
    remote.write_text(remote.read_text().partition("backend_client:")[0])
    given = f"--settings={settings}"
    assert "a graph is there already" in cli.refused("launch", graph_id, remote, given, status=1)
    commands = {
        "status": ("status", graph_id, remote),
        "failures": ("failures", graph_id, remote),
        "chunk": ("chunk", graph_id, remote, "2", "0", "0", "0"),
        "check": ("check", remote),
    }
    for command in commands.values():
        without = cli(*command)
        assert without.status != 0, command
        assert "no backend_client" in without.out + without.err, command
        assert "no backend_client" not in str(cli(*command, given)), command
    assert "no backend_client" in cli.refused("verify", graph_id, remote)
    assert "no backend_client" not in str(cli("verify", graph_id, remote, given))
    # And where make settings puts it, it need not be named.
    (tmp_path / "build").mkdir()
    settings.rename(tmp_path / "build" / "settings.json")
    monkeypatch.chdir(tmp_path)
    assert cli("status", graph_id, remote).status == 0
    assert cli("failures", graph_id, remote).status == 0


def adc(folder: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Application default credentials, as gcloud writes them."""
    path = folder / "application_default_credentials.json"
    path.write_text(json.dumps(content))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


OWN = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
    f"{LAUNCHER}:generateAccessToken",
    "source_credentials": OWN,
    "delegates": [],
}
"""After `gcloud auth application-default login`, and with --impersonate-service-account besides."""
FEDERATED = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/github",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {"file": "token"},
}


def test_a_launch_says_who_one_is(
    cli: Cli,
    cloud: DataflowEndpoint,
    remote: Path,
    graph_id: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch = ("launch", graph_id, remote, f"--settings={settings}")
    adc(tmp_path, OWN, monkeypatch)
    own = cli(*launch)
    assert own.status == 0
    assert own.err.startswith(f"note: launching as your own account, with its rights, not as {LAUNCHER}; ")
    assert f"`gcloud auth application-default login --impersonate-service-account={LAUNCHER}`" in own.err
    cloud.set_state(cloud.jobs[0]["id"], "JOB_STATE_DONE")
    adc(tmp_path, IMPERSONATED, monkeypatch)
    launched = cli(*launch)
    assert (launched.status, launched.err) == (0, "")


def test_every_client_acts_as_the_impersonated_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Dataflow, Bigtable and Cloud Storage: what gcloud itself is set to does not matter."""
    adc(tmp_path, IMPERSONATED, monkeypatch)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    found = [
        identity.credentials(PROJECT),
        bigtable.Client(project=PROJECT, admin=True)._credentials,
        storage_client.Client(project=PROJECT)._credentials,
    ]
    assert [credentials.service_account_email for credentials in found] == [LAUNCHER] * 3
    # As google-github-actions/auth writes them.
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    url = IMPERSONATED["service_account_impersonation_url"]
    adc(tmp_path, {**FEDERATED, "service_account_impersonation_url": url}, monkeypatch)
    assert identity.who() == LAUNCHER
    adc(tmp_path, OWN, monkeypatch)
    assert identity.who() == identity.OWN
    assert identity.credentials(PROJECT).quota_project_id == PROJECT
    assert identity.credentials(PROJECT, "http://localhost:1").token is None


def test_without_credentials_it_says_so(
    cli: Cli,
    cloud: DataflowEndpoint,
    remote: Path,
    graph_id: str,
    settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(flex.ENDPOINT)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    message = cli.refused("launch", graph_id, remote, f"--settings={settings}")
    assert message.endswith("`gcloud auth application-default login` creates them")
