"""``beam-ingest costs`` of a graph that Dataflow built, and the plan that a launch keeps with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from beam_ingest import Dataset, make_job, start_job, store_url
from beam_ingest.cli.template import main as launcher
from beam_ingest.stages.usage import read_plan
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.jobs import BUCKET, IMAGE, PROJECT, REGION, children, posted_pipeline
from tests.runners.dataflow.service import DataflowEndpoint
from tests.runners.dataflow.storage import StorageEmulator
from tests.runners.dataflow.test_check import ending
from tests.runners.dataflow.test_submit import options


def test_costs_of_a_launched_graph_beside_its_plan(
    cli: Cli, cloud: DataflowEndpoint, storage: StorageEmulator, remote: Path, graph_id: str, settings: Path
) -> None:
    launched = cli("launch", graph_id, remote, f"--settings={settings}")
    assert launched.status == 0, launched
    assert "\nplan: " in launched.out, launched.out
    assert f"list prices of {REGION} of " in launched.out
    (url,) = storage.objects(f"gs://{BUCKET}/staging/plans/")
    planned = json.loads(storage.read(url))
    parameters = cloud.launches[0]["parameters"]
    assert parameters["plan"] == url
    # What the launcher does with these parameters.
    (template,) = cloud.jobs
    cloud.set_state(template["id"], "JOB_STATE_DONE")
    more = {"runner": "DataflowRunner", "project": PROJECT, "region": REGION, "sdk_container_image": IMAGE}
    more |= {
        "temp_location": f"gs://{BUCKET}/temp",
        "dataflow_endpoint": cloud.url,
        "sdk_location": "container",
    }
    words = [f"--{name}={value}" for name, value in (parameters | more).items()]
    assert launcher([*words, "--no_auth"]) == 0
    store = make_job(graph_id, Dataset.from_file(remote), _place(remote, graph_id)).open_store()
    assert read_plan(store) == planned
    store.close()

    job = cloud.jobs[-1]
    cloud.set_state(job["id"], "JOB_STATE_DONE")
    cloud.set_metrics(
        job["id"],
        hours=2,
        TotalVcpuTime=7200,
        TotalMemoryUsage=28_800_000,
        TotalPdUsage=3600,
        TotalShuffleDataProcessed=10,
        BillableShuffleDataProcessed=2.5,
    )
    found = cli("costs", graph_id, f"--settings={settings}", "--json").json
    took = found["jobs"][-1]
    assert (took["hours"], took["vcpu_hours"], took["memory_gb_hours"]) == (2, 2, 8)
    assert (took["shuffled_gb"], took["billable_gb"]) == (10, 2.5)
    of = found["dollars"]
    assert of["vcpu"] == pytest.approx(2 * 0.056)
    assert of["memory"] == pytest.approx(8 * 0.003557)
    assert of["shuffle"] == pytest.approx(2.5 * 0.011)
    assert of["bigtable_nodes"] == pytest.approx(2 * 2 * 0.65)
    assert of["total"] == pytest.approx(sum(value for name, value in of.items() if name != "total"))
    for name, pair in found["compared"].items():
        assert pair["planned"] == planned["estimates"].get(name)
    text = cli("costs", graph_id, remote, f"--settings={settings}").out
    assert f"job {job['id']} JOB_STATE_DONE: 2.00 hours, 2.00 vCPU hours" in text
    assert "nodes are 2, as now" in text


def _place(remote: Path, graph_id: str) -> str:
    return store_url(Dataset.from_file(remote), graph_id)


def test_metrics_that_cannot_be_read(
    cli: Cli, cloud: DataflowEndpoint, remote: Path, graph_id: str, settings: Path
) -> None:
    start_job(make_job(graph_id, Dataset.from_file(remote), _place(remote, graph_id)))
    assert "no runs are recorded" in cli("costs", graph_id, remote, f"--settings={settings}").out
    missing = settings.with_name("none.json")
    assert "no such file" in cli.refused("costs", graph_id, remote, f"--settings={missing}")


def test_a_plan_that_is_none(cli: Cli, dataset: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert "found none" in cli.refused("graph", "g", dataset, "--plan", plan)
    plan.write_text("[]")
    assert "found something else" in cli.refused("graph", "g", dataset, "--plan", plan)


@pytest.mark.slow
def test_a_plan_is_a_job_like_any_other(
    cli: Cli, dataflow: DataflowEndpoint, storage: StorageEmulator, clusters: ClustersProxy, remote: Path
) -> None:
    """It does not run here, so there is nothing to estimate from: an error, and no plan."""
    with ending(dataflow, "JOB_STATE_DONE"):
        outcome = cli("plan", remote, *options(dataflow))
    assert (outcome.status, outcome.out) == (1, "")
    assert "the run ended without a report; run it again" in outcome.err
    (job,) = dataflow.posted_jobs
    assert job.name.startswith("beam-ingest-plan-")
    steps = children(posted_pipeline(storage, job), "Plan")
    assert {"Start", "Parts", "List", "All names", "Choose", "Measure", "Report"} <= set(steps)
