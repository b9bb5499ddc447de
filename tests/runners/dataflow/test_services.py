"""The services stand in for the cloud: Google's and Apache Beam's own clients are content with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowPipelineResult, DataflowRuntimeException
from apache_beam.runners.runner import PipelineState
from cloudfiles import CloudFile, CloudFiles
from google.api_core import exceptions
from google.cloud import bigtable
from google.cloud.dataflow import Job, JobType, WorkerIPAddressConfiguration
from google.protobuf.json_format import MessageToDict

from testing.emulator import Emulator
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.gcloud import Gcloud, gcloud_environment, require_gcloud
from tests.runners.dataflow.jobs import BUCKET
from tests.runners.dataflow.service import DataflowEndpoint, Refusal
from tests.runners.dataflow.storage import StorageEmulator

PROJECT, REGION = "my-project", "us-east1"
WHERE = (f"--project={PROJECT}", f"--region={REGION}")
BINARY = bytes(range(256)) * 40 + b"\r\n--\n\r\r\n"


def submit(dataflow: DataflowEndpoint, *more: str) -> DataflowPipelineResult:
    """Submit a pipeline of two steps, as a user would."""
    options = PipelineOptions(
        [
            "--runner=DataflowRunner",
            *WHERE,
            f"--temp_location=gs://{BUCKET}/temp",
            f"--staging_location=gs://{BUCKET}/staging",
            f"--dataflow_endpoint={dataflow.url}",
            "--no_auth",
            "--sdk_location=container",
            "--sdk_container_image=registry/image:1",
            "--job_name=the-job",
            "--experiments=disable_logging_submission_environment",  # half a second of pip freeze
            *more,
        ]
    )
    pipeline = beam.Pipeline(options=options)
    _ = pipeline | "First" >> beam.Create([1, 2]) | "Second" >> beam.Map(str)
    return pipeline.run()


def staged(storage: StorageEmulator, job: Job) -> beam_runner_api_pb2.Pipeline:
    """The pipeline that a job names, after a look at its digest."""
    options = MessageToDict(Job.pb(job).environment.sdk_pipeline_options)["options"]
    data = storage.read(options["pipelineUrl"])
    assert hashlib.sha256(data).hexdigest() == options["pipelineProtoHash"]
    return beam_runner_api_pb2.Pipeline.FromString(data)


def top_level_steps(pipeline: beam_runner_api_pb2.Pipeline) -> list[str]:
    (root,) = pipeline.root_transform_ids
    steps = pipeline.components.transforms
    return [steps[step].unique_name for step in steps[root].subtransforms]


def test_cloud_files_read_and_write_objects(storage: StorageEmulator) -> None:
    CloudFile(f"gs://{BUCKET}/a/dataset.yml").put(BINARY)
    storage.write(f"gs://{BUCKET}/a/b/c.bin", b"other")
    assert storage.read(f"gs://{BUCKET}/a/dataset.yml") == BINARY
    assert CloudFile(f"gs://{BUCKET}/a/b/c.bin").get() == b"other"
    assert CloudFile(f"gs://{BUCKET}/a/none").get() is None
    assert storage.objects(f"gs://{BUCKET}/a/b") == [f"gs://{BUCKET}/a/b/c.bin"]
    assert storage.objects(f"gs://{BUCKET}") == [f"gs://{BUCKET}/a/b/c.bin", f"gs://{BUCKET}/a/dataset.yml"]
    with pytest.raises(exceptions.NotFound):
        storage.read(f"gs://{BUCKET}/a/none")


def test_many_objects_at_once(storage: StorageEmulator) -> None:
    files = CloudFiles(f"gs://{BUCKET}/many", num_threads=20, progress=False)
    wanted = {f"f{n}": b"%d" % n * n for n in range(1, 60)}
    files.puts(wanted.items())
    assert {found["path"]: found["content"] for found in files.get([*wanted])} == wanted


def test_every_test_has_objects_of_its_own(storage: StorageEmulator) -> None:
    with StorageEmulator([BUCKET]) as other:
        other.write(f"gs://{BUCKET}/x", b"")
        assert storage.objects(f"gs://{BUCKET}") == []


def test_apache_beam_submits_a_job(storage: StorageEmulator, dataflow: DataflowEndpoint) -> None:
    result = submit(
        dataflow,
        "--labels=graph=g",
        "--labels=version=1",
        "--machine_type=e2-standard-2",
        "--no_use_public_ips",
    )
    (request,) = dataflow.requests
    assert (request.method, request.path) == ("POST", f"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs")
    (job,) = dataflow.posted_jobs
    assert (job.name, job.type_) == ("the-job", JobType.JOB_TYPE_BATCH)
    assert job.labels == {"graph": "g", "version": "1"}
    (pool,) = job.environment.worker_pools
    assert pool.worker_harness_container_image == "registry/image:1"
    assert pool.machine_type == "e2-standard-2"
    assert pool.ip_configuration == WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    assert top_level_steps(staged(storage, job)) == ["First", "Second"]
    assert [url.rpartition("/")[2] for url in storage.objects(f"gs://{BUCKET}")] == ["pipeline.pb"]
    (told,) = dataflow.jobs
    assert told["id"] == result.job_id()
    assert (told["projectId"], told["location"], told["type"]) == (PROJECT, REGION, "JOB_TYPE_BATCH")


def test_apache_beam_follows_a_job(storage: StorageEmulator, dataflow: DataflowEndpoint) -> None:
    result = submit(dataflow)
    assert result.state == PipelineState.PENDING
    for state in (PipelineState.RUNNING, PipelineState.FAILED):
        dataflow.set_state(result.job_id(), f"JOB_STATE_{state}", f"it is {state}")
        assert result.state == state
    with pytest.raises(DataflowRuntimeException, match="State: FAILED"):
        result.wait_until_finish()
    told, _ = result._runner.dataflow_client.list_messages(result.job_id())
    assert [(m.message_text, m.message_importance.name) for m in told] == [
        ("it is RUNNING", "JOB_MESSAGE_BASIC"),
        ("it is FAILED", "JOB_MESSAGE_ERROR"),
    ]
    metrics = result._runner.dataflow_client.get_job_metrics(result.job_id()).metrics
    assert "TotalVcpuTime" in {metric.name.name for metric in metrics}


def test_apache_beam_cancels_a_job(storage: StorageEmulator, dataflow: DataflowEndpoint) -> None:
    dataflow.first_state = "JOB_STATE_RUNNING"
    result = submit(dataflow)
    client = result._runner.dataflow_client
    assert client.job_id_for_name("the-job") == result.job_id()
    result.cancel()
    assert result.state == PipelineState.CANCELLING
    assert dataflow.jobs[0]["requestedState"] == "JOB_STATE_CANCELLED"
    dataflow.set_state(result.job_id(), "JOB_STATE_CANCELLED")
    with pytest.raises(exceptions.BadRequest, match="has ended: JOB_STATE_CANCELLED"):
        client.modify_job_state(result.job_id(), "JOB_STATE_CANCELLED")


def test_refused_submissions(storage: StorageEmulator, dataflow: DataflowEndpoint) -> None:
    first = submit(dataflow)
    with pytest.raises(exceptions.Conflict, match=f"active job named the-job: {first.job_id()}"):
        submit(dataflow)
    dataflow.set_state(first.job_id(), "JOB_STATE_DONE")
    assert submit(dataflow).job_id() != first.job_id()
    dataflow.refusal = Refusal(403, "the caller may not")
    with pytest.raises(exceptions.Forbidden, match="the caller may not"):
        submit(dataflow)
    assert len(dataflow.posted_jobs) == 4  # none was tried twice
    assert len(dataflow.jobs) == 2


def test_a_launcher_writes_the_job_and_submits_nothing(
    storage: StorageEmulator, dataflow: DataflowEndpoint
) -> None:
    """Apache Beam under a flex template's launcher, which names where to leave the job."""
    place = f"gs://{BUCKET}/staging/template_launches/id/job_object"
    result = submit(dataflow, f"--template_location={place}")
    assert not result.has_job
    assert result.state == PipelineState.DONE
    assert result.wait_until_finish() == PipelineState.DONE
    assert dataflow.requests == []
    written = json.loads(storage.read(place))
    assert (written["name"], written["type"]) == ("the-job", "JOB_TYPE_BATCH")
    job = Job.from_json(storage.read(place).decode())
    assert top_level_steps(staged(storage, job)) == ["First", "Second"]


def test_gcloud_launches_and_follows_a_job(dataflow: DataflowEndpoint, gcloud: Gcloud) -> None:
    launch = (
        *("dataflow", "flex-template", "run", "the-job", *WHERE),
        f"--template-file-gcs-location=gs://{BUCKET}/templates/template.json",
        "--parameters=^;^graph_id=g;dataset=gs://bucket/a,b.yml",
        "--additional-user-labels=graph=g",
        "--max-workers=3",
        "--disable-public-ips",
        "--format=value(job.id)",
    )
    job_id = gcloud.done(*launch).strip()
    (launched,) = dataflow.launches
    environment = launched.pop("environment")
    assert launched == {
        "jobName": "the-job",
        "containerSpecGcsPath": f"gs://{BUCKET}/templates/template.json",
        "parameters": {"graph_id": "g", "dataset": "gs://bucket/a,b.yml"},
    }
    assert environment["additionalUserLabels"] == {"graph": "g"}
    assert (environment["maxWorkers"], environment["ipConfiguration"]) == (3, "WORKER_IP_PRIVATE")
    assert [job["id"] for job in dataflow.jobs] == [job_id]

    again = gcloud(*launch)
    assert again.returncode == 1
    assert f"ALREADY_EXISTS: there is already an active job named the-job: {job_id}" in again.stderr

    active = ("dataflow", "jobs", "list", "--status=active", "--format=json", f"--project={PROJECT}")
    (listed,) = json.loads(gcloud.done(*active, f"--region={REGION}"))
    assert (listed["id"], listed["name"], listed["state"]) == (job_id, "the-job", "Pending")
    assert "Cancelled job" in gcloud("dataflow", "jobs", "cancel", job_id, *WHERE).stderr
    dataflow.set_state(job_id, "JOB_STATE_CANCELLED")
    asked = ("dataflow", "jobs", "describe", job_id, "--format=value(currentState,requestedState)", *WHERE)
    assert gcloud.done(*asked).split() == ["JOB_STATE_CANCELLED"] * 2
    assert json.loads(gcloud.done(*active)) == []
    assert dataflow.requests[-1].path == f"/v1b3/projects/{PROJECT}/jobs:aggregated"


@pytest.mark.slow
def test_gcloud_copies_objects(storage: StorageEmulator, gcloud: Gcloud, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(BINARY)
    gcloud.done("storage", "cp", str(tmp_path / "up"), f"gs://{BUCKET}/x")
    assert storage.read(f"gs://{BUCKET}/x") == BINARY
    gcloud.done("storage", "cp", f"gs://{BUCKET}/x", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == BINARY


def test_gcloud_knows_nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "somebody's")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "somebody's")
    environment = gcloud_environment(tmp_path)
    assert "somebody's" not in environment.values()
    assert environment["CLOUDSDK_CONFIG"] == str(tmp_path)


def test_without_gcloud_the_skip_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.warns(pytest.PytestWarning, match="Get the Google Cloud CLI"),
        pytest.raises(pytest.skip.Exception, match="Get the Google Cloud CLI"),
    ):
        require_gcloud()


def instance() -> bigtable.instance.Instance:
    return bigtable.Client(project=PROJECT, admin=True).instance("i")


def test_clusters(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    with pytest.raises(exceptions.MethodNotImplemented):  # why there is a proxy
        instance().list_clusters()
    zones = {"one": "us-east1-b", "two": "europe-west1-c"}
    with ClustersProxy(emulator.address, zones, failed=["us-west1-a"]) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        clusters, failed = instance().list_clusters()
        assert {cluster.cluster_id: cluster.location_id for cluster in clusters} == zones
        assert failed == [f"projects/{PROJECT}/locations/us-west1-a"]
        assert proxy.asked == [f"projects/{PROJECT}/instances/i"]
        instance().table("through_the_proxy").create(column_families={"0": None})
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    assert instance().table("through_the_proxy").exists()


def test_clusters_refused(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with ClustersProxy(emulator.address, {}, code=grpc.StatusCode.PERMISSION_DENIED) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        with pytest.raises(exceptions.PermissionDenied):
            instance().list_clusters()
