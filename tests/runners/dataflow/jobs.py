"""Names the tests of what runs on Dataflow share, and what they read out of a posted job."""

from __future__ import annotations

import hashlib

from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.dataflow import Job
from google.protobuf.json_format import MessageToDict

from beam_ingest import open_store
from tests.runners.dataflow.storage import StorageEmulator

BUCKET = "bucket"
"""The one bucket there is, in a test's Cloud Storage."""
PROJECT, INSTANCE, REGION = "my-project", "my-instance", "us-east1"
IMAGE = "us-east1-docker.pkg.dev/my-project/beam-ingest/beam-ingest:1"
BIGTABLE = f"backend_client:\n  TYPE: bigtable\n  CONFIG:\n    PROJECT: {PROJECT}\n    INSTANCE: {INSTANCE}\n"

WORKER = "worker@my-project.iam.gserviceaccount.com"
LAUNCHER = "launcher@my-project.iam.gserviceaccount.com"
SUBNETWORK = f"regions/{REGION}/subnetworks/beam-ingest"
SETTINGS = {
    name: {"sensitive": False, "type": "string", "value": value}
    for name, value in {
        "project": PROJECT,
        "region": REGION,
        "build_region": "us-central1",
        "subnetwork": SUBNETWORK,
        "temp_location": f"gs://{BUCKET}/temp",
        "staging_location": f"gs://{BUCKET}/staging",
        "template_location": f"gs://{BUCKET}/templates/beam_ingest.json",
        "image": IMAGE.rpartition(":")[0],
        "worker_service_account": WORKER,
        "launcher_service_account": LAUNCHER,
        "bigtable_project": PROJECT,
        "bigtable_instance": INSTANCE,
        "workload_identity_provider": None,
        "labels": {"owner": "me"},
    }.items()
}
"""As Terraform's outputs are named."""


def digest(graph_id: str) -> str:
    """What tells the table of a graph apart, as docs/dataflow.md says."""
    return hashlib.sha256(f"{PROJECT}/{INSTANCE}/{graph_id}".encode()).hexdigest()[:40]


def posted_pipeline(storage: StorageEmulator, job: Job) -> beam_runner_api_pb2.Pipeline:
    url = MessageToDict(Job.pb(job).environment.sdk_pipeline_options)["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(storage.read(url))


def children(pipeline: beam_runner_api_pb2.Pipeline, name: str = "") -> list[str]:
    """The names of the steps right inside the one called `name`, or of those at the top."""
    steps = pipeline.components.transforms
    (root,) = pipeline.root_transform_ids
    (step,) = [s for key, s in steps.items() if s.unique_name == name or (not name and key == root)]
    return [steps[inner].unique_name.rpartition("/")[2] for inner in step.subtransforms]


def exists(graph_id: str) -> bool:
    return open_store(f"bigtable:{PROJECT}/{INSTANCE}/{graph_id}/").exists()
