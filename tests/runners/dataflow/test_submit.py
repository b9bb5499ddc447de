"""``beam-ingest graph --runner=DataflowRunner``: what is posted, and what is refused before anything is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud.dataflow import WorkerIPAddressConfiguration

from beam_ingest import __version__, open_store
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.runners.dataflow import max_workers
from beam_ingest.stages.manifest import read_manifest
from beam_ingest.stages.progress import Counts, chunk_key, done_cells
from beam_ingest.stages.scope import Scope
from beam_ingest.stores.base import Row, Store
from testing.emulator import Emulator
from testing.faults import Plan
from tests.conftest import Cli
from tests.examples import slow
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import (
    BIGTABLE,
    BUCKET,
    IMAGE,
    INSTANCE,
    PROJECT,
    REGION,
    SUBNETWORK,
    WORKER,
    children,
    digest,
    exists,
    posted_pipeline,
)
from tests.runners.dataflow.service import DataflowEndpoint, Refusal
from tests.runners.dataflow.storage import StorageEmulator


def options(dataflow: DataflowEndpoint) -> list[str]:
    return [
        "--runner=DataflowRunner",
        f"--project={PROJECT}",
        f"--region={REGION}",
        f"--temp_location=gs://{BUCKET}/temp",
        f"--staging_location=gs://{BUCKET}/staging",
        f"--sdk_container_image={IMAGE}",
        f"--service_account_email={WORKER}",
        f"--subnetwork={SUBNETWORK}",
        "--sdk_location=container",
        f"--dataflow_endpoint={dataflow.url}",
        "--no_auth",
    ]


def test_the_posted_job(
    cli: Cli,
    remote: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
) -> None:
    outcome = cli(
        "graph",
        graph_id,
        remote,
        *options(dataflow),
        "--labels=team=mine",
        "--labels=table-digest=another",
        "--experiments=x=1",
    )
    assert (outcome.status, outcome.err) == (0, "")
    (job,) = dataflow.posted_jobs
    (told,) = dataflow.jobs
    assert outcome.out.splitlines() == [
        f"submitted graph {graph_id} to Dataflow as job {told['id']}",
        f"  job       https://console.cloud.google.com/dataflow/jobs/{REGION}/{told['id']}?project={PROJECT}",
        f"  progress  beam-ingest status {graph_id} '{remote}' --watch",
        f"  stop      gcloud dataflow jobs cancel {told['id']} --project={PROJECT} --region={REGION}",
    ]
    assert job.name == f"beam-ingest-{graph_id.lower().replace('_', '-')}-{digest(graph_id)[:12]}"
    assert (told["projectId"], told["location"]) == (PROJECT, REGION)
    assert job.labels == {
        "graph-id": graph_id.lower(),
        "dataset": "my-dataset",
        "version": __version__.replace(".", "-"),
        "table-digest": digest(graph_id),
        "team": "mine",
    }
    environment = job.environment
    assert environment.service_account_email == WORKER
    assert f"/{BUCKET}/temp/" in environment.temp_storage_prefix
    assert {"x=1", "shuffle_mode=service"} <= set(environment.experiments)
    assert environment.debug_options.enable_hot_key_logging
    (pool,) = environment.worker_pools
    assert pool.machine_type == "n2-standard-4"
    assert pool.subnetwork == SUBNETWORK
    assert pool.ip_configuration == WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    assert pool.worker_harness_container_image == IMAGE
    assert pool.autoscaling_settings.max_num_workers == 1  # 16 chunks
    assert [image.container_image for image in pool.sdk_harness_container_images] == [IMAGE]

    pipeline = posted_pipeline(storage, job)
    assert children(pipeline) == ["Plan", "Layer 2", "Layer 3", "Layer 4", "Roots"]
    assert children(pipeline, "Layer 2") == ["Read", "Build", "Write"]
    assert children(pipeline, "Layer 3") == ["Group", "Build", "Write"]
    assert {"Group", "Build", "Write"} <= set(children(pipeline, "Roots"))
    for payload in payloads(pipeline):
        assert b"__main__" not in payload

    # The table was made when the job was submitted, and nothing was built here.
    store = open_store(f"bigtable:{PROJECT}/{INSTANCE}/{graph_id}/")
    assert read_manifest(store).graph_id == graph_id
    status = cli("status", graph_id, remote)
    assert status.out.splitlines() == ["2       : 0 / 16", "3       : 0 / 2", "4       : 0 / 1"]


def payloads(pipeline: beam_runner_api_pb2.Pipeline) -> list[bytes]:
    """Every piece of code or data that travels with a pipeline."""
    parts = pipeline.components
    return [
        *(transform.spec.payload for transform in parts.transforms.values()),
        *(coder.spec.payload for coder in parts.coders.values()),
    ]


def test_submitting_again_is_refused_and_resuming_is_not(
    cli: Cli, remote: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    command = ("graph", graph_id, remote, *options(dataflow))
    assert cli(*command).status == 0
    assert "a graph is there already" in cli.refused(*command, status=1)
    # The first job is still at work, and Dataflow says so: the graph it writes to stays.
    assert "active job named" in cli.refused(*command, "--resume", status=1)
    assert exists(graph_id)
    dataflow.set_state(dataflow.jobs[0]["id"], "JOB_STATE_FAILED")
    assert cli(*command, "--resume").status == 0
    assert len(dataflow.jobs) == 2


def test_a_resume_is_submitted_without_reading_the_progress_of_millions_of_chunks(
    cli: Cli,
    remote: Path,
    graph_id: str,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The row of the chunk that is built last says whether there is anything to do."""
    command = ("graph", graph_id, remote, *options(dataflow))
    assert cli(*command, "--test").status == 0
    dataflow.set_state(dataflow.jobs[0]["id"], "JOB_STATE_FAILED")
    read: list[bytes] = []
    store = open_store(f"bigtable:{PROJECT}/{INSTANCE}/{graph_id}/")
    read_range = type(store).read_range

    def spy(self: Store, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        read.append(start)
        return read_range(self, start, end)

    monkeypatch.setattr(type(store), "read_range", spy)
    assert cli(*command, "--test", "--resume").status == 0
    assert len(dataflow.jobs) == 2
    assert all(start.startswith(b"beam_ingest/failed/") for start in read)
    dataflow.set_state(dataflow.jobs[1]["id"], "JOB_STATE_DONE")
    last = chunk_key(ChunkGrid((4, 2, 2)).chunk_id(3, (1, 0, 0)))  # the parent at the centre
    store.write(done_cells(last, Counts(), 0, 0), read_manifest(store).timestamp)
    outcome = cli(*command, "--test", "--resume")
    assert outcome.out == f"Graph {graph_id} is already complete: nothing to resume\n"
    assert len(dataflow.jobs) == 2


def test_a_test_has_few_workers() -> None:
    """Its chunks and those around them are 27 blocks at the most."""
    grid = ChunkGrid((1000, 120, 100))
    job = SimpleNamespace(scope=Scope(grid, test=False))
    assert max_workers(job, "n2-standard-4", 0) == 1000  # type: ignore[arg-type]
    assert max_workers(job, "n2-standard-4", 100) == 70  # type: ignore[arg-type]
    test = SimpleNamespace(scope=Scope(grid, test=True))
    assert max_workers(test, "n2-standard-4", 100) == 1  # type: ignore[arg-type]
    assert max_workers(test, "n2-standard-1", 100) == 2  # type: ignore[arg-type]


def test_what_dataflow_refuses_leaves_nothing_behind(
    cli: Cli, remote: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    dataflow.refusal = Refusal(403, "the caller may not create jobs")
    message = cli.refused("graph", graph_id, remote, *options(dataflow), status=1)
    assert message.startswith(f"graph {graph_id}: the job cannot be submitted: 403 ")
    assert "the caller may not create jobs" in message
    assert not exists(graph_id)


def test_another_region_is_refused_unless_told(
    cli: Cli, remote: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    elsewhere = [*options(dataflow), "--region=europe-west1"]
    assert cli.refused("graph", graph_id, remote, *elsewhere) == (
        f"--region europe-west1: the clusters of bigtable:{PROJECT}/{INSTANCE} are in us-east1; run the job "
        "there, or use --any-region"
    )
    assert clusters.asked == [f"projects/{PROJECT}/instances/{INSTANCE}"]
    assert not exists(graph_id)
    assert dataflow.requests == []
    assert cli("graph", graph_id, remote, *elsewhere, "--any-region").status == 0
    assert dataflow.jobs[0]["location"] == "europe-west1"


@pytest.mark.parametrize(
    ("failed", "code", "said"),
    [
        (["us-west1-a"], None, "do not answer"),
        ([], grpc.StatusCode.PERMISSION_DENIED, "roles/bigtable.viewer"),
    ],
)
def test_clusters_that_cannot_be_looked_up(
    cli: Cli,
    remote: Path,
    graph_id: str,
    emulator: Emulator,
    dataflow: DataflowEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    failed: list[str],
    code: grpc.StatusCode | None,
    said: str,
) -> None:
    with ClustersProxy(emulator.address, {"one": f"{REGION}-b"}, failed=failed, code=code) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        message = cli.refused("graph", graph_id, remote, *options(dataflow), status=1)
    assert said in message
    assert message.startswith(f"bigtable:{PROJECT}/{INSTANCE}: its clusters")


@pytest.mark.parametrize("name", ["--project", "--region", "--temp_location", "--sdk_container_image"])
def test_options_that_have_to_be_given(
    cli: Cli,
    remote: Path,
    graph_id: str,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    name: str,
) -> None:
    given = [option for option in options(dataflow) if not option.startswith(f"{name}=")]
    assert name in cli.refused("graph", graph_id, remote, *given)
    assert dataflow.requests == []
    assert not exists(graph_id)


def test_files_and_stores_of_this_machine_are_refused(
    cli: Cli, dataset: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    message = cli.refused("graph", graph_id, dataset, *options(dataflow))
    assert "graph.sqlite: Dataflow's workers write to Bigtable" in message
    store = f"--store=bigtable:{PROJECT}/{INSTANCE}"
    message = cli.refused("graph", graph_id, dataset, *options(dataflow), store)
    assert "data_source.WATERSHED: expected a URL that Dataflow's workers can open" in message
    assert dataflow.requests == []


def large(storage: StorageEmulator, tmp_path: Path) -> Path:
    """A dataset file of twelve layers, 12 million chunks, with nothing in it but the watershed's info."""
    info = {
        "data_type": "uint64",
        "num_channels": 1,
        "type": "segmentation",
        "scales": [
            {
                "chunk_sizes": [[256, 256, 32]],
                "encoding": "raw",
                "key": "8_8_40",
                "resolution": [8, 8, 40],
                "size": [1000 * 256, 120 * 256, 100 * 512],
                "voxel_offset": [0, 0, 0],
            }
        ],
    }
    storage.write(f"gs://{BUCKET}/large/ws/info", json.dumps(info).encode())
    path = tmp_path / "large.yml"
    path.write_text(
        f"data_source:\n  EDGES: gs://{BUCKET}/large/edges\n  COMPONENTS: gs://{BUCKET}/large/components\n"
        f"  WATERSHED: gs://{BUCKET}/large/ws\n  DATA_VERSION: 4\n"
        "graph_config:\n  CHUNK_SIZE: [256, 256, 512]\n  FANOUT: 2\n  SPATIAL_BITS: 10\n"
        f"ingest_config:\n  AGGLOMERATION: gs://{BUCKET}/large/agg\n{BIGTABLE}"
    )
    return path


@pytest.mark.parametrize("raw", [slow(False), True])
def test_a_job_of_millions_of_chunks_is_small_and_asks_for_memory(
    cli: Cli,
    tmp_path: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    raw: bool,
) -> None:
    path = large(storage, tmp_path)
    more = ["--raw"] if raw else []
    assert cli("graph", graph_id, path, *options(dataflow), *more).status == 0
    (job,) = dataflow.posted_jobs
    (request,) = dataflow.requests
    assert len(json.dumps(request.body)) < 1_000_000
    pipeline = posted_pipeline(storage, job)
    assert pipeline.ByteSize() < 1_000_000  # of the 10 MB that Dataflow takes
    layers = [name for name in children(pipeline) if name.startswith("Layer")]
    assert layers == [f"Layer {layer}" for layer in range(2, 13)]
    hints = ram_of_layers(pipeline)
    # The largest groups are where a chunk is as thick as the volume; further up there are fewer faces.
    assert {layer for layer, ram in hints.items() if ram} == {"Layer 8", "Layer 9", "Layer 10"}
    assert all(16 << 30 < ram < 64 << 30 for ram in hints.values() if ram)
    # As many workers as two Bigtable nodes can serve, not as millions of chunks could keep busy.
    (pool,) = job.environment.worker_pools[:1]
    assert pool.autoscaling_settings.max_num_workers == 2


def ram_of_layers(pipeline: beam_runner_api_pb2.Pipeline) -> dict[str, int]:
    """The most memory that any step of a layer asks for, bytes; 0 for none."""
    asked: dict[str, int] = {}
    for step in pipeline.components.transforms.values():
        layer = step.unique_name.partition("/")[0]
        if step.environment_id:
            hints = pipeline.components.environments[step.environment_id].resource_hints
            ram = int(hints.get("beam:resources:min_ram_bytes:v1", b"0"))
            asked[layer] = max(asked.get(layer, 0), ram)
    return asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "layers"),
    [
        # Largest groups of layers 7 to 10: 0.48, 1.6, 4.2, 2.2 GB; half of a worker is for everything else.
        (["--machine_type=n2-standard-16"], {8: 85, 9: 66}),  # 32 groups, or all eight of layer 9
        slow(["--machine_type=n2-highmem-4", "--number_of_worker_harness_threads=1"], {9: 33}),
        slow(["--number_of_worker_harness_threads=12"], {7: 31, 8: 87, 9: 42, 10: 17}),
    ],
)
def test_hints_follow_the_machine_type_and_the_threads(
    cli: Cli,
    tmp_path: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
    given: list[str],
    layers: dict[int, int],
) -> None:
    path = large(storage, tmp_path)
    assert cli("graph", graph_id, path, *options(dataflow), *given).status == 0
    (job,) = dataflow.posted_jobs
    hints = ram_of_layers(posted_pipeline(storage, job))
    asked = {layer: ram >> 30 for layer, ram in hints.items() if ram}
    assert asked == {f"Layer {layer}": gigabytes for layer, gigabytes in layers.items()}


@pytest.mark.slow
def test_flexrs_goes_without_hints(
    cli: Cli,
    tmp_path: Path,
    graph_id: str,
    storage: StorageEmulator,
    dataflow: DataflowEndpoint,
    clusters: ClustersProxy,
) -> None:
    path = large(storage, tmp_path)
    assert cli("graph", graph_id, path, *options(dataflow), "--flexrs_goal=COST_OPTIMIZED").status == 0
    (job,) = dataflow.posted_jobs
    assert job.environment.flex_resource_scheduling_goal.name == "FLEXRS_COST_OPTIMIZED"
    assert not any(ram_of_layers(posted_pipeline(storage, job)).values())


@pytest.mark.slow
def test_a_refused_job_costs_no_graph(
    cli: Cli, remote: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    """Neither one that is finished nor one that another job is at work on."""
    command = ("graph", graph_id, remote, *options(dataflow))
    assert cli(*command).status == 0
    before = read_manifest(open_store(f"bigtable:{PROJECT}/{INSTANCE}/{graph_id}/"))
    overwrite = (*command, "--overwrite", "--yes", "--graph-version=2")
    assert "active job named" in cli.refused(*overwrite, status=1)
    dataflow.set_state(dataflow.jobs[0]["id"], "JOB_STATE_DONE")
    dataflow.refusal = Refusal(403, "the caller may not create jobs")
    assert "may not create jobs" in cli.refused(*overwrite, status=1)
    assert read_manifest(open_store(f"bigtable:{PROJECT}/{INSTANCE}/{graph_id}/")) == before


@pytest.mark.slow
def test_a_job_whose_table_cannot_be_made_is_cancelled(
    cli: Cli, remote: Path, graph_id: str, dataflow: DataflowEndpoint, clusters: ClustersProxy
) -> None:
    clusters.plan = Plan(bad_row=lambda key: key == b"beam_ingest")
    message = cli.refused("graph", graph_id, remote, *options(dataflow), status=1)
    assert "INVALID_ARGUMENT" in message
    assert [job["currentState"] for job in dataflow.jobs] == ["JOB_STATE_CANCELLING"]
    assert not exists(graph_id)
