"""``beam-ingest plan``: of whole grids, of input that cannot be planned, and what it prints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.measure import LayerSample, RegionSample
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region, choose
from tests.conftest import Cli
from tests.graphs import pinky256
from tests.plan.graphs import NAMES, build, plan


@pytest.mark.parametrize("raw", [(), ("--raw",)], ids=["proto", "raw"])
def test_a_small_grid_is_measured_whole(cli: Cli, sample: Path, raw: tuple[str, ...]) -> None:
    found = plan(cli, sample, *raw)
    built = build(cli, sample, *raw)
    assert found["exact"]
    for layer, true in zip(found["layers"], built.layers, strict=True):
        assert {name: layer[name]["expected"] for name in NAMES} == {name: true[name] for name in NAMES}
    of = found["estimates"]
    assert of["supervoxels"]["expected"] == built.layers[0]["supervoxels"]
    assert of["rows"]["expected"] == built.total("rows")
    assert of["table_bytes"]["expected"] == built.total("nbytes")
    assert f"\nplan: {built.total('rows'):,} rows" in cli("check", sample, *raw).out
    assert of["read_bytes"]["expected"] > 0


@pytest.mark.shared_data
def test_the_real_sample(cli: Cli) -> None:
    """The numbers of its golden graph: 13,854 supervoxels, 1,092 nodes of layer 2, 270 of layer 3."""
    found = plan(cli, pinky256() / "dataset.yml")
    nodes = [layer["nodes"]["expected"] for layer in found["layers"]]
    assert (found["estimates"]["supervoxels"]["expected"], nodes[:2]) == (13_854, [1_092, 270])


def test_what_people_see(cli: Cli, sample: Path) -> None:
    out = cli("plan", sample, "--hours", "1", "--nodes", "3", "30", "--machine-type", "n2-standard-8").out
    assert "16 chunks, 4 layers" in out
    assert "machine type n2-standard-8" in out
    assert "list prices of us-central1 of 2026-11-25" in out
    (line,) = [line for line in out.splitlines() if "(recommended)" in line]
    assert line.split()[0] == "3"
    out = cli("plan", sample, "--hours", "0.001").out
    assert "no size of the cluster is fast enough" in out
    out = cli("plan", sample, "--region", "europe-north9").out
    assert "no prices of europe-north9 are known" in out
    assert "$" not in out


def test_an_unreadable_file_is_one_line(cli: Cli, dataset: Path) -> None:
    file = dataset.parent / "edges" / "edges_1_0_1.proto.zst"
    file.write_bytes(b"no edges")
    line = cli.refused("plan", dataset, status=1)
    assert line.startswith(f"no plan: {file}: chunk 1_0_1: ")
    assert line.endswith(f"beam-ingest check {dataset} lists all")


def test_no_files_are_one_line(cli: Cli, dataset: Path) -> None:
    shutil.rmtree(dataset.parent / "edges")
    (dataset.parent / "edges").mkdir()
    line = cli.refused("plan", dataset, status=1)
    assert line.startswith("no plan: ")
    assert "expected files edges_x_y_z.proto.zst, found none" in line


def test_one_chunk_is_one_line(cli: Cli, dataset: Path) -> None:
    dataset.write_text(dataset.read_text().replace("[64, 64, 64]", "[4096, 4096, 4096]"))
    assert "the volume is one single chunk" in cli.refused("plan", dataset)


def test_arguments_that_make_no_sense(cli: Cli, dataset: Path) -> None:
    assert "--sample 0: expected 1 or more" in cli.refused("plan", dataset, "--sample", "0")
    assert "--nodes 0" in cli.refused("plan", dataset, "--nodes", "0")
    assert "--hours -1.0" in cli.refused("plan", dataset, "--hours", "-1")


def test_regions_are_spread_over_what_is_there() -> None:
    grid = ChunkGrid((16, 16, 16))
    presence = Presence.full(grid)
    presence.mask[:8] = False
    regions = choose(presence, 32)
    assert regions == choose(presence, 32)
    assert len({(region.layer, region.coords) for region in regions}) == len(regions)
    assert sum(8 ** (region.layer - 3) for region in regions) == 32
    assert all(presence.within(*region) == 8 ** (region.layer - 2) for region in regions)
    # Whole grids are one region.
    assert choose(presence, 256) == [Region(6, (0, 0, 0))]


def test_faces_are_counted_from_both_sides() -> None:
    presence = Presence.full(ChunkGrid((4, 2, 2)))
    assert presence.faces(2) == 2 * (3 * 4 + 2 * 8)
    assert presence.faces(3) == 2 * 4
    assert presence.surface(3, (0, 0, 0)) == 4
    presence.mask[2, 0, 0] = False
    assert presence.faces(3) == 2 * 3
    assert Presence.decode(presence.grid, presence.encode()).chunks == 15


def test_findings_are_the_same_in_any_order() -> None:
    parts = []
    for x in range(3):
        findings = PlanFindings()
        findings.samples.append(RegionSample(Region(3, (x, 0, 0)), {2: LayerSample(chunks=x)}))
        findings.present[str(x)] = "text"
        parts.append(findings.encode())
    merged = []
    for order in (parts, parts[::-1]):
        whole = PlanFindings()
        for part in order:
            whole.merge(PlanFindings.decode(part))
        merged.append(whole.encode())
    assert merged[0] == merged[1]
    assert json.loads(merged[0])["samples"][2]["layers"] == {"2": vars(LayerSample(chunks=2))}
