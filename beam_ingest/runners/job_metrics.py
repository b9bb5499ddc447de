"""What Dataflow jobs took, as the service itself counts it for its bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import google.cloud.dataflow_v1beta3 as api

from beam_ingest.runners.dataflow import job_name, table_digest
from beam_ingest.runners.flex import again, asking, client_of, created, show
from beam_ingest.runners.settings import Settings

if TYPE_CHECKING:
    from google.cloud.dataflow_v1beta3 import JobsV1Beta3Client, MetricsV1Beta3Client

_ORIGIN = "dataflow/v1b3"
"""Of the service's own metrics; others are of Apache Beam and of this program."""
_HOUR = 3600.0


class JobUse(NamedTuple):
    """What a job took. Metrics come some minutes after the job's end.

    Attributes:
      job_id: its id.
      state: ``JOB_STATE_DONE`` and the like.
      hours: from its making to its end, or to now.
      vcpu_hours: vCPU hours of its workers.
      memory_gb_hours: GB hours of their memory.
      disk_gb_hours: GB hours of their disks.
      shuffled_gb: GB that went through Dataflow Shuffle, written and read.
      billable_gb: those that are paid for; None where the service does not tell.
    """

    job_id: str
    state: str
    hours: float
    vcpu_hours: float
    memory_gb_hours: float
    disk_gb_hours: float
    shuffled_gb: float
    billable_gb: float | None


def jobs_of(settings: Settings, store: str) -> list[JobUse]:
    """What all jobs of a table took, the oldest first.

    Args:
      settings: where they ran.
      store: URL of the Bigtable table.

    Raises:
      SubmitError: when Dataflow does not tell.
    """
    name = job_name(store)
    request = api.ListJobsRequest(project_id=settings.project, location=settings.region, name=name)
    with asking("looking for jobs"):
        client: JobsV1Beta3Client = client_of(api.JobsV1Beta3Client, settings)
        listed = again(lambda: list(client.list_jobs(request)))
    named = sorted((job for job in listed if job.name == name), key=created)
    return [_use(settings, job) for job in named if show(settings, job.id).table in ("", table_digest(store))]


def _use(settings: Settings, job: Any) -> JobUse:
    request = api.GetJobMetricsRequest(project_id=settings.project, location=settings.region, job_id=job.id)
    with asking(f"reading the metrics of job {job.id}"):
        client: MetricsV1Beta3Client = client_of(api.MetricsV1Beta3Client, settings)
        found = again(lambda: client.get_job_metrics(request))
    values: dict[str, float] = {}
    for update in found.metrics:
        scalar: Any = update.scalar  # annotated as a message, and what is in it
        own = update.name.origin == _ORIGIN and "tentative" not in update.name.context
        if own and isinstance(scalar, int | float):
            values[update.name.name] = float(scalar)
    # Units: vCPU seconds, MB seconds, GB seconds, GB, as Apache Beam's own benchmarks read them.
    return JobUse(
        job_id=str(job.id),
        state=api.JobState(job.current_state).name,
        hours=max(0.0, (job.current_state_time.timestamp() - job.create_time.timestamp()) / _HOUR),
        vcpu_hours=values.get("TotalVcpuTime", 0.0) / _HOUR,
        memory_gb_hours=values.get("TotalMemoryUsage", 0.0) / 1000 / _HOUR,
        disk_gb_hours=values.get("TotalPdUsage", 0.0) / _HOUR,
        shuffled_gb=values.get("TotalShuffleDataProcessed", 0.0),
        billable_gb=values.get("BillableShuffleDataProcessed"),
    )
