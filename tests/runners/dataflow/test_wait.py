"""Waiting for a launched job, and being told why it failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beam_ingest.runners import flex
from beam_ingest.stages.failures import Failure
from tests.conftest import Cli
from tests.runners.dataflow.jobs import (
    BUCKET,
    PROJECT,
    REGION,
)
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.test_launch import begun


def test_waiting_for_a_job_that_ends_well(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.first_state = "JOB_STATE_DONE"
    outcome = cli("launch", graph_id, remote, f"--settings={settings}", "--wait")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == "JOB_STATE_DONE"
    cancel = cli.refused("cancel", graph_id, remote, f"--settings={settings}", status=1)
    assert "is running: its last one ended as JOB_STATE_DONE" in cancel


def test_waiting_survives_minutes_of_503(
    cli: Cli,
    cloud: DataflowEndpoint,
    remote: Path,
    graph_id: str,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cloud.first_state = "JOB_STATE_DONE"
    really, told = flex.launch, []

    def launch(*arguments: Any) -> str:
        told.append(really(*arguments))
        cloud.outage = 5
        return told[-1]

    monkeypatch.setattr(flex, "launch", launch)
    outcome = cli("launch", graph_id, remote, f"--settings={settings}", "--wait")
    assert (outcome.status, outcome.err) == (0, "")
    silence, state = outcome.out.splitlines()[-2:]
    assert silence.startswith(f"Dataflow: looking at job {told[0]}: no answer: 503 ")
    assert silence.endswith("the job continues; trying again")
    assert state == "JOB_STATE_DONE"

    monkeypatch.setattr(flex, "_PATIENCE_SECONDS", 0.0)
    outcome = cli("launch", graph_id, remote, f"--settings={settings}", "--wait")
    assert outcome.status == 1
    assert f"job {told[1]} continues: https://" in outcome.errors[-1]


def test_looking_at_a_job_survives_a_503(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.first_state = "JOB_STATE_RUNNING"
    assert cli("launch", graph_id, remote, f"--settings={settings}").status == 0
    cloud.outage = 2
    outcome = cli("status", graph_id, remote, f"--settings={settings}")
    assert (outcome.status, outcome.out.splitlines()[0][-17:]) == (0, "JOB_STATE_RUNNING")
    cloud.outage = 1
    assert cli("cancel", graph_id, remote, f"--settings={settings}").status == 0


def test_a_launch_is_sent_once(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    cloud.outage = 1
    message = cli.refused("launch", graph_id, remote, f"--settings={settings}", status=1)
    assert message.startswith("Dataflow: launching the template: no answer: 503 ")
    assert cloud.jobs == []


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
    assert outcome.err.splitlines()[0] == cause
    assert f"`beam-ingest failures {graph_id} '{remote}'` lists them" in outcome.err.splitlines()[1]
    assert outcome.err.splitlines()[2:] == [
        f"launcher's log: gs://{BUCKET}/staging/template_launches/{told['id']}/console_logs",
        f"beam-ingest: job {told['id']} ended as JOB_STATE_FAILED: "
        f"https://console.cloud.google.com/dataflow/jobs/{REGION}/{told['id']}?project={PROJECT}",
    ]


def test_a_launcher_that_failed_is_told_with_its_messages(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    assert cli("launch", graph_id, remote, f"--settings={settings}").status == 0
    (told,) = cloud.jobs
    cloud.set_state(told["id"], "JOB_STATE_PENDING", "all is well so far")
    traceback = (
        "Error message from worker: Traceback (most recent call last):\n  File x\nStoreError: it is full\n"
    )
    cloud.set_state(told["id"], "JOB_STATE_FAILED", traceback)
    cloud.set_state(told["id"], "JOB_STATE_FAILED", traceback)
    cloud.set_state(told["id"], "JOB_STATE_FAILED", "Template launch failed.\nSee console logs.")
    outcome = cli("status", graph_id, remote, f"--settings={settings}")
    assert outcome.status == 1
    assert outcome.out.splitlines() == [
        f"job     : {told['id']} JOB_STATE_FAILED",
        "  job message: StoreError: it is full",
        "  job message: Template launch failed. See console logs.",
        f"  launcher's log: gs://{BUCKET}/staging/template_launches/{told['id']}/console_logs",
    ]
    assert "no graph is there" in outcome.err
