"""``beam-ingest plan --stage``: planned figures beside what a run of the stage then writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_ingest.cli.plan_lines import lines_of_stage
from beam_ingest.cli.planning import Wishes
from beam_ingest.cli.stage_planning import stage_plan_of, stage_sampler
from beam_ingest.dataset import Dataset
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.mesh_sample import MeshSampler
from beam_ingest.plan.presence import Presence
from tests.cli.test_json import schema
from tests.conftest import Cli
from tests.meshes.conftest import small_graph, small_meshes  # noqa: F401 - fixtures
from tests.plan.graphs import holds
from tests.volumes.datasets import make_volumes, write_dataset, write_volume


def plan(cli: Cli, stage: str, dataset: Path, *options: str) -> Any:
    """The JSON of a plan."""
    outcome = cli("plan", dataset, "--stage", stage, "--json", *options)
    assert outcome.status == 0, outcome
    return json.loads(outcome.out)


def counts(cli: Cli, name: str, dataset: Path, *options: str) -> list[dict[str, int]]:
    """What ``status --json`` says that was written, by layer."""
    return [layer["counts"] for layer in cli("status", name, dataset, "--json", *options).json["layers"]]


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """A dataset of volumes, of 12 chunks of which the end of the volume cuts some."""
    folder = tmp_path / "volumes"
    supervoxels, segmentation = make_volumes()
    named = {
        "SUPERVOXELS": write_volume(folder / "supervoxels", supervoxels),
        "SEGMENTATION": write_volume(folder / "segmentation", segmentation),
    }
    config = {"table_id": "cache", "cv_path": "./ws"}
    return write_dataset(folder, named, l2cache_config=config, mesh_config={"mip": 0, "max_layer": 3})


def files_of(folder: Path) -> dict[str, int]:
    """Sizes of the files of a folder, by name, but for infos and the program's own table."""
    return {
        str(file.relative_to(folder)): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file() and file.name != "info" and ".beam_ingest" not in file.parts
    }


def test_prepare_is_planned_from_volumes_alone(cli: Cli, volumes: Path) -> None:
    found = plan(cli, "prepare", volumes)
    assert not (volumes.parent / "edges").exists()
    assert_documented(found)
    assert found["exact"]
    out = cli("prepare", volumes).out
    written = [files_of(volumes.parent / name) for name in ("edges", "components", "ws")]
    of = found["estimates"]
    assert of["written_files"]["expected"] == sum(map(len, written))
    true = sum(sum(each.values()) for each in written)
    assert of["written_bytes"]["expected"] == pytest.approx(true, rel=0.05)
    (line,) = [line for line in out.splitlines() if line.startswith("  pieces")]
    assert of["pieces"]["expected"] == int(line.split()[1].rstrip(","))


def assert_documented(found: Any) -> None:
    """The JSON of a plan has the keys of docs/json.md."""
    known, prefix = schema("plan --stage"), "layers[]."
    shared = {"machine_type", "clusters", "suggested_nodes", "suggested_workers", "prices", "sources"}
    assert found.keys() == {key for key in known if "." not in key} | shared
    assert found["layers"][0].keys() == {k.removeprefix(prefix) for k in known if k.startswith(prefix)}


def test_the_cache_is_planned_exactly_where_all_chunks_are_sampled(cli: Cli, volumes: Path) -> None:
    assert cli("prepare", volumes).status == 0
    found = plan(cli, "l2cache", volumes)  # before there is a graph
    assert cli("graph", "g", volumes).status == 0
    assert cli("l2cache", "g", volumes).status == 0
    (true,) = counts(cli, "cache", volumes)
    of = found["estimates"]
    assert found["exact"]
    for name in ("nodes", "rows", "cells"):
        assert of[name]["expected"] == true[name]
    assert of["table_bytes"]["expected"] == true["nbytes"]
    assert [option["nodes"] for option in found["clusters"]] == [3, 10, 30, 100, 300]


def test_meshes_are_planned_exactly_where_all_chunks_are_sampled(
    cli: Cli,
    small_meshes: Path,  # noqa: F811
) -> None:
    found = plan(cli, "mesh", small_meshes)
    true = counts(cli, "g-mesh", small_meshes)
    assert found["exact"]
    assert [layer["layer"] for layer in found["layers"]] == [2, 3, 4]
    for layer, each in zip(found["layers"], true, strict=True):
        assert layer["nodes"]["expected"] == each["nodes"]
        # Which minishards of a root's shard file are in use is a hash of its id.
        hashed = 400 if layer["layer"] == 4 else 0
        assert layer["nbytes"]["expected"] == pytest.approx(each["nbytes"], abs=hashed)
    shards = [name for name in files_of(small_meshes.parent / "ws" / "meshes") if name.endswith(".shard")]
    assert found["estimates"]["written_files"]["expected"] == len(shards)
    assert all(option["nodes"] is None for option in found["clusters"])


def test_ranges_cover_what_few_chunks_tell(cli: Cli, small_meshes: Path) -> None:  # noqa: F811
    found = plan(cli, "mesh", small_meshes, "--sample", "1")
    true = counts(cli, "g-mesh", small_meshes)
    assert not found["exact"]
    assert holds(found["estimates"]["meshes"], sum(each["nodes"] for each in true))
    assert holds(found["estimates"]["written_bytes"], sum(each["nbytes"] for each in true))
    assert not found["layers"][-1]["measured"]


def test_what_people_see(cli: Cli, volumes: Path) -> None:
    out = cli("plan", volumes, "--stage", "prepare", "--workers", "1", "5").out
    assert "12 chunks, 4 layers; all were measured" in out
    assert "(recommended)" in out
    assert "list prices of us-central1 of" in out
    assert "CPU time of the sampled chunks" in out


def test_options_of_other_stages_are_refused(cli: Cli, volumes: Path) -> None:
    refused = cli.refused("plan", volumes, "--stage", "prepare", "--nodes", "3")
    assert refused == "--nodes: prepare is compared by --workers"
    assert "--workers: graph is compared by --nodes" in cli.refused("plan", volumes, "--workers", "3")
    assert "unknown stage x" in cli.refused("plan", volumes, "--stage", "x")
    assert "prepare reads volumes" in cli.refused("plan", volumes, "--stage", "prepare", "--raw")


def test_a_volume_that_is_not_there_is_one_line(cli: Cli, volumes: Path) -> None:
    shutil.rmtree(volumes.parent / "supervoxels")
    line = cli.refused("plan", volumes, "--stage", "prepare")
    assert "volumes.SUPERVOXELS: expected a volume" in line


def test_voxels_that_cannot_be_read_are_one_line(cli: Cli, volumes: Path) -> None:
    for block in (volumes.parent / "supervoxels").rglob("*-*"):
        block.write_bytes(b"no voxels")
    line = cli.refused("plan", volumes, "--stage", "prepare", status=1)
    assert line.startswith(f"no plan: {(volumes.parent / 'supervoxels').as_uri()}: chunk ")
    assert "voxels that can be read" in line


def test_a_dataset_without_the_section_is_one_line(cli: Cli, volumes: Path) -> None:
    content = yaml.safe_load(volumes.read_text())
    del content["volumes"]
    volumes.write_text(yaml.safe_dump(content))
    assert "the section volumes is missing" in cli.refused("plan", volumes, "--stage", "prepare")


def test_of_a_large_block_a_part_is_meshed(small_meshes: Path) -> None:  # noqa: F811
    sampler = stage_sampler("mesh", Dataset.from_file(small_meshes), None, False, 1)
    assert isinstance(sampler, MeshSampler)
    part = MeshSampler.of(sampler.job, sampler.inputs, 1, 200, 1)
    presence, findings = Presence.full(part.grid), PlanFindings()
    for region in part.choose(presence):
        part.measure(region, findings)
    assert [sample.layers[2].voxels <= 200 for sample in findings.parts] == [True]
    found = stage_plan_of(part, presence, findings, Wishes(), None)
    assert [layer.measured for layer in found.found.layers.values()] == [True, False, False]
    assert any("1 were measured, in part" in line for line in lines_of_stage(found))
    assert 0 < found.bill.estimates["written_bytes"].expected < 1e6


def test_costs_of_meshes_are_bytes_of_files(cli: Cli, small_meshes: Path) -> None:  # noqa: F811
    compared = cli("costs", "g-mesh", small_meshes, "--json").json["compared"]
    written = sum(each["nbytes"] for each in counts(cli, "g-mesh", small_meshes))
    assert compared["written_bytes"]["took"] == written
    assert compared["table_bytes"]["took"] is None
