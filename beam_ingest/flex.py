"""Flex templates: launching one as a Dataflow job, following and stopping the job, through gcloud."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from beam_ingest.dataflow import job_name
from beam_ingest.errors import ConfigError, SubmitError
from beam_ingest.settings import Settings

FLAGS = {
    "machine_type": "worker-machine-type",
    "num_workers": "num-workers",
    "max_num_workers": "max-workers",
    "worker_zone": "worker-zone",
    "flexrs_goal": "flexrs-goal",
    "dataflow_kms_key": "dataflow-kms-key",
}
"""Apache Beam's options that a launch passes on, and what gcloud calls them."""
_ENDED = {
    "JOB_STATE_DONE",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_UPDATED",
    "JOB_STATE_DRAINED",
}
_LOOK_SECONDS = 20.0


class DataflowJob(NamedTuple):
    """A job as Dataflow knows it.

    Attributes:
      job_id: its id.
      name: its name.
      state: ``JOB_STATE_RUNNING`` and the like.
    """

    job_id: str
    name: str
    state: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.state == "JOB_STATE_DONE"


def launch(
    settings: Settings,
    graph_id: str,
    parameters: Mapping[str, str],
    options: Mapping[str, Any],
    labels: Mapping[str, str],
) -> str:
    """Launch the flex template.

    Args:
      settings: where.
      graph_id: the graph, which names the job.
      parameters: of the template, by name.
      options: Apache Beam's options among `FLAGS`, by name.
      labels: of the job.

    Returns:
      The id of the job.

    Raises:
      SubmitError: when Dataflow does not take it.
      ConfigError: when there is no gcloud.
    """
    answer = _gcloud(
        "flex-template",
        "run",
        job_name(graph_id),
        f"--project={settings.project}",
        f"--region={settings.region}",
        f"--template-file-gcs-location={settings.template_location}",
        f"--service-account-email={settings.worker_service_account}",
        f"--subnetwork={settings.subnetwork}",
        "--disable-public-ips",
        f"--temp-location={settings.temp_location}",
        f"--staging-location={settings.staging_location}",
        f"--additional-user-labels={_pairs(labels)}",
        f"--parameters={_pairs(parameters)}",
        *(f"--{FLAGS[name]}={value}" for name, value in options.items()),
    )
    return str(answer["job"]["id"])


def show(settings: Settings, job_id: str) -> DataflowJob:
    """The state of a job.

    Raises:
      SubmitError: when Dataflow does not tell.
    """
    answer = _gcloud("jobs", "describe", job_id, *_where(settings))
    return DataflowJob(answer["id"], answer["name"], answer["currentState"])


def latest(settings: Settings, graph_id: str) -> DataflowJob | None:
    """The newest job of a graph, or None."""
    name = job_name(graph_id)
    jobs = _gcloud(
        "jobs", "list", *_where(settings), f"--filter=name={name}", "--sort-by=~creationTime", "--limit=1"
    )
    return show(settings, jobs[0]["id"]) if jobs else None


def cancel(settings: Settings, job_id: str) -> None:
    """Stop a job; what it wrote can be resumed.

    Raises:
      SubmitError: when Dataflow does not stop it.
    """
    _gcloud("jobs", "cancel", job_id, *_where(settings))
    state = show(settings, job_id).state  # gcloud itself is content when it could not cancel
    if "CANCEL" not in state:
        raise SubmitError(f"job {job_id} is not cancelled: it is {state}")


def wait(
    settings: Settings, job_id: str, tell: Callable[[str], None], seconds: float = _LOOK_SECONDS
) -> DataflowJob:
    """Wait for the end of a job, and `tell` every change of its state."""
    told = ""
    while True:
        job = show(settings, job_id)
        if job.state != told:
            told = job.state
            tell(told)
        if job.ended:
            return job
        time.sleep(seconds)


def _where(settings: Settings) -> list[str]:
    return [f"--project={settings.project}", f"--region={settings.region}"]


def _pairs(values: Mapping[str, str]) -> str:
    # gcloud takes another delimiter than the comma when it stands between carets at the front.
    return "^|^" + "|".join(f"{name}={value}" for name, value in values.items())


def _gcloud(*arguments: str) -> Any:
    command = ["gcloud", "dataflow", *arguments, "--format=json", "--quiet"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigError("gcloud is not on the PATH; install the Google Cloud CLI") from None
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.strip()]
        first = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "")
        raise SubmitError(f"gcloud dataflow {arguments[0]} {arguments[1]}: {first or ran.returncode}")
    return json.loads(ran.stdout or "null")
