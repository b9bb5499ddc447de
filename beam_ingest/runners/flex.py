"""Flex templates: launching one as a Dataflow job, following and stopping the job.

Everything is asked of Dataflow's API with the application default credentials, which Bigtable and Cloud
Storage are read with too: an account that may do one thing is also known to the others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import google.cloud.dataflow_v1beta3 as api
import requests
from google.api_core import exceptions, retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

from beam_ingest.errors import ConfigError, SubmitError, UnavailableError
from beam_ingest.runners.dataflow import TABLE_DIGEST, console_url, job_name, table_digest
from beam_ingest.runners.settings import Settings
from beam_ingest.stores.identity import credentials

if TYPE_CHECKING:
    from google.cloud.dataflow_v1beta3 import (
        FlexTemplatesServiceClient,
        JobsV1Beta3Client,
        MessagesV1Beta3Client,
    )

ENDPOINT = "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW"
"""Environment variable with another address of Dataflow's API, as gcloud reads it."""
ENVIRONMENT = {
    "machine_type": "machine_type",
    "num_workers": "num_workers",
    "max_num_workers": "max_workers",
    "worker_zone": "worker_zone",
    "worker_region": "worker_region",
    "network": "network",
    "subnetwork": "subnetwork",
    "service_account_email": "service_account_email",
    "dataflow_kms_key": "kms_key_name",
    "disk_size_gb": "disk_size_gb",
    "sdk_container_image": "sdk_container_image",
}
"""Apache Beam's options that the service has a field for, and the field."""
_IP_CONFIGURATIONS = {
    True: api.WorkerIPAddressConfiguration.WORKER_IP_PUBLIC,
    False: api.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE,
}
_FLEXRS_GOALS = {
    None: api.FlexResourceSchedulingGoal.FLEXRS_UNSPECIFIED,
    "COST_OPTIMIZED": api.FlexResourceSchedulingGoal.FLEXRS_COST_OPTIMIZED,
    "SPEED_OPTIMIZED": api.FlexResourceSchedulingGoal.FLEXRS_SPEED_OPTIMIZED,
}
_AUTOSCALING = {
    None: api.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_UNKNOWN,
    "NONE": api.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_NONE,
    "THROUGHPUT_BASED": api.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_BASIC,
}
DECIDED = (
    "runner",
    "project",
    "region",
    "temp_location",
    "staging_location",
    "template_location",
    "job_name",
)
"""Apache Beam's options that a launch decides on: what Terraform made, and which graph it is."""
_ENDED = {
    "JOB_STATE_DONE",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_UPDATED",
    "JOB_STATE_DRAINED",
}
_LOOK_SECONDS = 20.0
_PATIENCE_SECONDS = 15 * 60.0
"""How long Dataflow may be silent while a job is waited for; the job does not depend on it."""
_RETRY_SECONDS = 60.0
_SHOWN_MESSAGES = 5
_SHOWN_CHARACTERS = 500
_TRANSIENT = (
    exceptions.ServerError,
    exceptions.TooManyRequests,
    exceptions.RetryError,
    requests.ConnectionError,
    requests.Timeout,
    TransportError,
)
_Answer = TypeVar("_Answer")


class DataflowJob(NamedTuple):
    """A job as Dataflow knows it.

    Attributes:
      job_id: its id.
      name: its name.
      state: ``JOB_STATE_RUNNING`` and the like.
      table: digest of the table that it writes to, from its label; "" without one.
    """

    job_id: str
    name: str
    state: str
    table: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in _ENDED

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.state == "JOB_STATE_DONE"

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, and not well."""
        return self.state == "JOB_STATE_FAILED"


def launch(
    settings: Settings,
    store: str,
    parameters: Mapping[str, str],
    options: Mapping[str, Any],
    labels: Mapping[str, str],
) -> str:
    """Launch the flex template. It is asked for once: a second request could start a second job.

    Args:
      settings: where.
      store: URL of the Bigtable table, which names the job.
      parameters: of the template, by name.
      options: Apache Beam's options by name, without those of `DECIDED`.
      labels: of the job.

    Returns:
      The id of the job.

    Raises:
      SubmitError: when Dataflow does not take it.
      ConfigError: when there are no credentials.
    """
    request = api.LaunchFlexTemplateRequest(
        project_id=settings.project,
        location=settings.region,
        launch_parameter=api.LaunchFlexTemplateParameter(
            job_name=job_name(store),
            container_spec_gcs_path=settings.template_location,
            parameters=parameters,
            environment=_environment(settings, options, labels),
        ),
    )
    with asking("launching the template"):
        client: FlexTemplatesServiceClient = client_of(api.FlexTemplatesServiceClient, settings)
        return str(client.launch_flex_template(request).job.id)


def _environment(
    settings: Settings, options: Mapping[str, Any], labels: Mapping[str, str]
) -> api.FlexTemplateRuntimeEnvironment:
    """What the service is told about workers; options it has no field for go on to the launcher."""
    from beam_ingest.runners.beam_options import flags  # needs Apache Beam, and nothing else here does

    rest = dict(options)
    given = {field: rest.pop(name) for name, field in ENVIRONMENT.items() if name in rest}
    environment = api.FlexTemplateRuntimeEnvironment(
        service_account_email=settings.worker_service_account,
        subnetwork=settings.subnetwork,
        temp_location=settings.temp_location,
        staging_location=settings.staging_location,
        additional_user_labels={**_label_pairs(rest.pop("labels", None) or []), **labels},
        additional_experiments=rest.pop("experiments", None) or [],
        ip_configuration=_IP_CONFIGURATIONS[bool(rest.pop("use_public_ips", False))],
        flexrs_goal=_FLEXRS_GOALS[rest.pop("flexrs_goal", None)],
        autoscaling_algorithm=_AUTOSCALING[rest.pop("autoscaling_algorithm", None)],
    )
    for field, value in given.items():
        setattr(environment, field, value)
    environment.additional_pipeline_options = flags(rest)
    return environment


def _label_pairs(labels: list[str]) -> dict[str, str]:
    pairs = dict(label.partition("=")[::2] for label in labels)
    for name, value in pairs.items():
        if not name or not value:
            raise ConfigError(f"--labels {name}: expected NAME=VALUE")
    return pairs


def show(settings: Settings, job_id: str, retry_seconds: float = _RETRY_SECONDS) -> DataflowJob:
    """The state of a job.

    Raises:
      UnavailableError: when Dataflow does not answer for `retry_seconds`.
      SubmitError: when Dataflow does not tell.
    """
    with asking(f"looking at job {job_id}"):
        client: JobsV1Beta3Client = client_of(api.JobsV1Beta3Client, settings)
        request = api.GetJobRequest(
            project_id=settings.project,
            location=settings.region,
            job_id=job_id,
            view=api.JobView.JOB_VIEW_DESCRIPTION,  # with its labels
        )
        job = again(lambda: client.get_job(request), retry_seconds)
    return DataflowJob(
        str(job.id), str(job.name), api.JobState(job.current_state).name, job.labels.get(TABLE_DIGEST, "")
    )


def latest(settings: Settings, store: str) -> DataflowJob | None:
    """The newest job that builds the graph of a table, or None.

    Raises:
      SubmitError: when Dataflow does not tell.
    """
    name = job_name(store)
    request = api.ListJobsRequest(project_id=settings.project, location=settings.region, name=name)
    with asking("looking for jobs"):
        client: JobsV1Beta3Client = client_of(api.JobsV1Beta3Client, settings)
        listed = again(lambda: list(client.list_jobs(request)))
    named = [job for job in listed if job.name == name]
    for found in sorted(named, key=created, reverse=True):
        job = show(settings, found.id)
        if job.table in ("", table_digest(store)):  # a job whose launcher has not run may have no labels
            return job
    return None


def created(job: Any) -> float:
    """When a listed job was made, seconds since 1970."""
    return float(job.create_time.timestamp())  # annotated as a message, and a datetime


def cancel(settings: Settings, job: DataflowJob, store: str) -> None:
    """Stop the job that builds the graph of a table; what it wrote can be resumed.

    Raises:
      SubmitError: when it is not that graph's, or Dataflow does not stop it.
    """
    if job.table != table_digest(store):
        raise SubmitError(
            f"job {job.job_id} has no label {TABLE_DIGEST} of this graph, so it may be another's; "
            f"`gcloud dataflow jobs cancel {job.job_id} --project={settings.project} "
            f"--region={settings.region}` stops it anyway"
        )
    request = api.UpdateJobRequest(
        project_id=settings.project,
        location=settings.region,
        job_id=job.job_id,
        job=api.Job(requested_state=api.JobState.JOB_STATE_CANCELLED),
    )
    with asking(f"cancelling job {job.job_id}"):
        client: JobsV1Beta3Client = client_of(api.JobsV1Beta3Client, settings)
        again(lambda: client.update_job(request))


def wait(settings: Settings, job_id: str, tell: Callable[[str], None]) -> DataflowJob:
    """Wait for the end of a job, and `tell` every change of its state.

    Raises:
      SubmitError: when Dataflow has not answered for a quarter of an hour; the job goes on.
    """
    told, silent = "", None
    while True:
        try:
            job = show(settings, job_id, retry_seconds=0)
        except UnavailableError as error:
            now = time.monotonic()
            if silent is None:
                silent = now
                tell(f"{error}; the job continues; trying again")
            elif now - silent > _PATIENCE_SECONDS:
                page = console_url(settings.project, settings.region, job_id)
                raise SubmitError(
                    f"{error}, for {_PATIENCE_SECONDS / 60:.0f} minutes; job {job_id} continues: {page}"
                ) from error
        else:
            silent = None
            if job.state != told:
                told = job.state
                tell(told)
            if job.ended:
                return job
        time.sleep(_LOOK_SECONDS)


def why(settings: Settings, job_id: str) -> list[str]:
    """Why a job failed, a line each: its last errors, and where its launcher's log is."""
    request = api.ListJobMessagesRequest(
        project_id=settings.project,
        location=settings.region,
        job_id=job_id,
        minimum_importance=api.JobMessageImportance.JOB_MESSAGE_ERROR,
    )
    try:
        with asking(f"reading the messages of job {job_id}"):
            client: MessagesV1Beta3Client = client_of(api.MessagesV1Beta3Client, settings)
            messages = again(lambda: list(client.list_job_messages(request)))
        texts = dict.fromkeys(_line(message.message_text) for message in messages)
        lines = [f"job message: {text}" for text in list(texts)[-_SHOWN_MESSAGES:]]
    except SubmitError as error:  # which must not hide that the job failed
        lines = [f"job messages: {error}"]
    return [*lines, f"launcher's log: {settings.staging_location}/template_launches/{job_id}/console_logs"]


def _line(text: str) -> str:
    """What a message says in one line: of a traceback, its last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [""]
    said = lines[-1] if "Traceback" in text else " ".join(lines)
    return said if len(said) <= _SHOWN_CHARACTERS else said[:_SHOWN_CHARACTERS] + "..."


def again(ask: Callable[[], _Answer], seconds: float = _RETRY_SECONDS) -> _Answer:
    """Ask, for some seconds again and again while Dataflow does not answer."""
    if not seconds:
        return ask()
    patient = retry.Retry(retry.if_exception_type(*_TRANSIENT), initial=0.2, maximum=10.0, timeout=seconds)
    return patient(ask)()


def client_of(kind: Callable[..., _Answer], settings: Settings) -> _Answer:
    """A client of one of Dataflow's services, such as ``api.JobsV1Beta3Client``."""
    endpoint = os.environ.get(ENDPOINT, "").rstrip("/")
    return kind(
        credentials=credentials(settings.project, endpoint),
        transport="rest",
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what Google's client raises into one line."""
    try:
        yield
    except DefaultCredentialsError:
        raise ConfigError(
            "there are no application default credentials; `gcloud auth application-default login` "
            "creates them"
        ) from None
    except _TRANSIENT as error:
        cause = error.cause if isinstance(error, exceptions.RetryError) and error.cause else error
        raise UnavailableError(f"Dataflow: {what}: no answer: {' '.join(str(cause).split())}") from error
    except (exceptions.GoogleAPICallError, GoogleAuthError, requests.RequestException) as error:
        raise SubmitError(f"Dataflow: {what}: {' '.join(str(error).split())}") from error
