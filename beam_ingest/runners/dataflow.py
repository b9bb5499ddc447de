"""Dataflow: the defaults of a job there, and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beam_ingest.errors import ConfigError
from beam_ingest.files import local_path
from beam_ingest.redact import redacted
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.machines import vcpus
from beam_ingest.version import __version__

if TYPE_CHECKING:
    from beam_ingest.stores.clusters import Cluster

MACHINE_TYPE = "n2-standard-4"
"""Four processes, one a vCPU, with 4 GB each: layers that need more say so in a hint."""
WORKER_THREADS = 2
"""Bundles at once in a process: one computes while the other waits for files or for Bigtable. Twelve, as
Dataflow has it, would hold twelve groups in memory, and compute one at a time all the same."""
NODE_ROWS = 14_000
"""Rows a second that Bigtable's documentation promises of a node with SSD."""
VCPU_ROWS = 10_000
"""Rows a second that a vCPU brings to Bigtable at the least: files come over the network."""
BLOCKS_PER_VCPU = 16
"""Blocks of eight chunks worth starting a vCPU for: it takes minutes to start."""
TABLE_DIGEST = "table-digest"
"""The label that names the exact table: others are made of lower-case letters, and cut."""
_DIGITS, _NAME_DIGITS = 40, 12
_MOST_WORKERS = 1000
_LABEL = re.compile(r"[^a-z0-9_-]+")
_JOB_NAME = re.compile(r"[^a-z0-9]+")


def is_dataflow(options: Mapping[str, Any]) -> bool:
    """Whether the job runs on Dataflow."""
    return str(options.get("runner") or "").lower() in ("dataflowrunner", "dataflow")


def job_name(store: str) -> str:
    """The name of the job that builds a graph. Dataflow runs one job of a name at a time, so a graph has
    one builder. Ids that differ in case or punctuation alone differ in the digest at the end.

    Args:
      store: URL of the graph's Bigtable table.
    """
    table = _table(store).rpartition("/")[2]
    readable = _JOB_NAME.sub("-", table.lower()).strip("-") or "graph"
    return f"beam-ingest-{readable}-{table_digest(store)[:_NAME_DIGITS]}"


def table_digest(store: str) -> str:
    """What tells the tables of all projects and instances apart, in letters that labels may have."""
    return hashlib.sha256(_table(store).encode()).hexdigest()[:_DIGITS]


def _table(store: str) -> str:
    """PROJECT/INSTANCE/TABLE, whatever profile it is reached through."""
    return "/".join(store.removeprefix("bigtable:").split("/")[:3])


def labels(job: StageJob) -> dict[str, str]:
    """Labels by which people find jobs and their cost, and the one by which we know a graph's job."""
    dataset = job.dataset.path.rpartition("/")[2].rpartition(".")[0]
    values = {"graph-id": job.graph_id, "dataset": dataset, "version": __version__}
    readable = {name: _LABEL.sub("-", value.lower())[:63] for name, value in values.items()}
    return {**readable, TABLE_DIGEST: table_digest(job.store)}


def check_places(job: StageJob) -> None:
    """Refuse a job that machines elsewhere could not do.

    Raises:
      ConfigError: when it reads or writes files of this machine.
    """
    if not job.store.startswith("bigtable:"):
        raise ConfigError(
            f"{job.open_store().place}: Dataflow's workers write to Bigtable; name one in backend_client, or "
            "with --store bigtable:PROJECT/INSTANCE"
        )
    for key, url in job.places.items():
        if local_path(url) is not None:
            raise ConfigError(
                f"{job.dataset.path}: {key}: expected a URL that Dataflow's workers can open, such as gs://, "
                f"found {url}"
            )
        if redacted(url) != url:
            raise ConfigError(
                f"{job.dataset.path}: {key}: expected a URL without a password or token, since Dataflow "
                f"keeps what a job is made of, found one with it: {url}"
            )


def read_region_clusters(job: StageJob, region: str, any_region: bool = False) -> list[Cluster]:
    """The Bigtable clusters in the region of the workers; none where that is not known.

    Args:
      job: a job that writes to Bigtable.
      region: where the workers are.
      any_region: go on without a cluster there.

    Raises:
      ConfigError: when no cluster is there: every cell would cross regions, which is slow and costs.
      StoreError: when the clusters cannot be looked up.
    """
    project, instance, *_ = job.store.removeprefix("bigtable:").split("/")
    if any_region:
        return []
    from beam_ingest.stores.clusters import read_clusters

    clusters = read_clusters(project, instance)
    here = [cluster for cluster in clusters if cluster.region == region]
    if clusters and not here:
        there = ", ".join(sorted({cluster.region for cluster in clusters}))
        raise ConfigError(
            f"--region {region}: the clusters of bigtable:{project}/{instance} are in {there}; run the job "
            "there, or use --any-region"
        )
    return here


def max_workers(job: StageJob, machine_type: str, nodes: int) -> int:
    """How many workers a job is worth: no more than its chunks keep busy, or its Bigtable nodes can serve.

    Args:
      job: the job.
      machine_type: of the workers.
      nodes: Bigtable nodes, or 0 if that is not known.
    """
    count = vcpus(machine_type)
    blocks = job.scope.most_blocks_read
    most = -(-blocks // (BLOCKS_PER_VCPU * count))
    if nodes:
        # Workers read and compute about as long as they write, so twice as many as can write at once.
        most = min(most, -(-2 * nodes * NODE_ROWS // (VCPU_ROWS * count)))
    return max(1, min(most, _MOST_WORKERS))


def dataflow_options(job: StageJob, given: Mapping[str, Any], any_region: bool = False) -> dict[str, Any]:
    """Beam's options for a job on Dataflow: those given, and what we know better than their defaults.

    Args:
      job: the job.
      given: options of Apache Beam by name.
      any_region: run it also where no Bigtable cluster is.

    Raises:
      ConfigError: when one is missing that has to be given, or the job cannot run there.
      StoreError: when the Bigtable clusters cannot be looked up.
    """
    check_places(job)
    _check_given(given)
    clusters = read_region_clusters(job, given["region"], any_region)
    machine_type = given.get("machine_type") or MACHINE_TYPE
    ours: dict[str, Any] = {
        "job_name": job_name(job.store),
        "machine_type": machine_type,
        "max_num_workers": max_workers(job, machine_type, sum(cluster.nodes for cluster in clusters)),
        "number_of_worker_harness_threads": WORKER_THREADS,
        "use_public_ips": False,  # private Google access is enough, and workers are not reachable
        "enable_hot_key_logging": True,  # keys are chunk ids: no secret, and just what one wants to know
    }
    options = ours | {name: value for name, value in given.items() if value is not None}
    experiments = list(options.get("experiments") or [])
    if not any(experiment.startswith("shuffle_mode=") for experiment in experiments):
        experiments.append("shuffle_mode=service")  # groups survive workers, and need none of their disks
    options["experiments"] = experiments
    own_labels = [f"{name}={value}" for name, value in labels(job).items()]
    options["labels"] = list(options.get("labels") or []) + own_labels  # the last of a name counts
    return options


def _check_given(given: Mapping[str, Any]) -> None:
    for name in ("project", "region", "temp_location"):
        if not given.get(name):
            raise ConfigError(f"--runner {given['runner']}: --{name} is missing")
    for name in ("temp_location", "staging_location"):
        if given.get(name) and not given[name].startswith("gs://"):
            raise ConfigError(
                f"--{name} {given[name]}: expected a folder of Cloud Storage, gs://BUCKET/FOLDER"
            )
    if not given.get("sdk_container_image") and not given.get("setup_file"):
        raise ConfigError(
            f"--runner {given['runner']}: workers need this program: --sdk_container_image names an image "
            "with it (make template builds one), or --setup_file a setup.py"
        )


def console_url(project: str, region: str, job_id: str) -> str:
    """The page of a job."""
    return f"https://console.cloud.google.com/dataflow/jobs/{region}/{job_id}?project={project}"
