"""A sound dataset: no problems are found, and what is counted is what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks import ALL, checked
from tests.conftest import Cli
from tests.examples import slow
from tests.graphs import pinky256, prism
from tests.sample import files
from tests.sample.files import Coords

SIZE = 16
"""Voxels of a chunk of the sample along each axis."""


def in_edges(folder: Path) -> dict[Coords, set[int]]:
    """Every chunk's own supervoxels in its edges file, the slow way."""
    found = {}
    for coords, chunk in files.edges(folder).items():
        groups = (chunk.in_chunk, chunk.cross_chunk, chunk.between_chunk)
        columns = [ids for group in groups for ids in (group.node_ids1.tolist(), group.node_ids2.tolist())]
        found[coords] = {i for ids in columns for i in ids if files.chunk_of(i) == coords}
    return found


def in_volume(folder: Path) -> dict[Coords, set[int]]:
    """The labels in every chunk's box."""
    volume = files.voxels(folder)
    found: dict[Coords, set[int]] = {}
    for x, y, z in files.chunks_of((4, 2, 2)):
        box = tuple(slice(SIZE * c, SIZE * (c + 1)) for c in (x, y, z))
        found[x, y, z] = set(volume[box].ravel().tolist()) - {0}
    return found


def noted(content: dict[str, Any]) -> dict[str, int]:
    return {kind: tally["count"] for kind, tally in content["notes"].items()}


@pytest.mark.parametrize("options", [(), ("--raw",), slow(("--direct_num_workers=2",))], ids=" ".join)
def test_every_chunk_of_a_sample(cli: Cli, sample: Path, options: tuple[str, ...]) -> None:
    folder = sample.parent
    edges, components, volume = in_edges(folder), files.components(folder), in_volume(folder)
    content = checked(cli, sample, "--sample", "16", *options, status=0)
    assert content["problems"] == {}
    assert content["wrong"] == 0
    assert content["not_checked"] == []
    assert (content["grid"], content["sample"]) == ([4, 2, 2], 16)
    counts = content["counts"]
    groups = ("in_chunk", "cross_chunk", "between_chunk")
    assert counts["edges"] == sum(len(getattr(c, g)) for c in files.edges(folder).values() for g in groups)
    assert counts["chunks"] == counts["chunks with voxels"] == 16
    assert counts["pairs of chunks"] == 3 * 4 + 4 * 2 + 4 * 2  # along x, y and z
    assert counts["supervoxels"] == sum(map(len, edges.values()))
    assert counts["supervoxels with voxels"] == sum(map(len, volume.values()))
    expected = {
        "supervoxels of edges in no component": sum(
            len(own - components.get(c, {}).keys()) for c, own in edges.items()
        ),
        "supervoxels of components in no edge": sum(
            len({i for i in mapped if files.chunk_of(i) == c} - edges.get(c, set()))
            for c, mapped in components.items()
        ),
        "supervoxels of the watershed in no edge": sum(
            len(labels - edges.get(c, set())) for c, labels in volume.items()
        ),
    }
    assert noted(content) == {kind: count for kind, count in expected.items() if count}
    assert expected["supervoxels of edges in no component"] > 0
    assert expected["supervoxels of the watershed in no edge"] > 0


def test_files_are_counted(cli: Cli, sample: Path) -> None:
    there = {name: len(list((sample.parent / name).iterdir())) for name in ("edges", "components")}
    counts = checked(cli, sample, status=0)["counts"]
    for name, count in there.items():
        assert (counts[f"{name} files"], counts[f"{name} files absent"]) == (count, 16 - count)
    names = [f.name for f in (sample.parent / "agg").rglob("*.data")]
    counts = checked(cli, sample, "--raw", status=0)["counts"]
    for kind in ("in_chunk", "between_chunks", "fake", "done_0", "done_1", "done_2"):
        assert counts[f"{kind} files"] == sum(name.startswith(kind) for name in names), kind


@pytest.mark.sampled(2)
@pytest.mark.shared_data
@pytest.mark.parametrize("options", [(), (ALL,), ("--raw",), ("--raw", ALL)], ids=" ".join)
def test_real_data(cli: Cli, tmp_path: Path, options: tuple[str, ...]) -> None:
    store = ("--store", f"sqlite:{tmp_path}/graph.sqlite")
    content = checked(cli, pinky256() / "dataset.yml", *options, *store, status=0)
    assert content["problems"] == {}
    assert content["not_checked"] == []
    assert content["counts"]["chunks"] == (64 if ALL in options else 8)
    assert content["counts"]["chunks with voxels"] == 8
    if ALL in options:
        # So many are in the graph that PyChunkedGraph made of it: see test_pinky256.
        assert content["counts"]["supervoxels"] == 13_854
        assert content["counts"]["pairs of chunks"] == 3 * 4 * 4 * 3
    assert not list(tmp_path.iterdir())


def test_what_people_see(cli: Cli, sample: Path) -> None:
    outcome = cli("check", sample)
    assert outcome.status == 0
    out = outcome.out.splitlines()
    assert out[0] == "grid: 4x2x2 = 16 chunks, 4 layers; opened 8"
    assert "note: supervoxels of edges in no component" in outcome.out
    assert len([line for line in out if line.startswith("plan: ")]) == 1
    assert out[-1].startswith(f"No problems found in {sample} (checked in ")


def test_nothing_is_written(cli: Cli, sample: Path) -> None:
    before = files.digests(sample.parent)
    for options in ((), ("--raw",)):
        checked(cli, sample, *options, status=0)
    assert files.digests(sample.parent) == before


@pytest.mark.slow
@pytest.mark.external
def test_another_runner_finds_the_same(cli: Cli, sample: Path, tmp_path: Path) -> None:
    """Prism, which fuses other stages and packs every element: bad files and all."""
    (sample.parent / "agg/chunked_rg/fake_0_1_0_1.data").write_bytes(b"hello")
    place = tmp_path / "temp"
    elsewhere = ("--runner=PrismRunner", f"--prism_location={prism()}", f"--temp_location={place}")
    for options in ((ALL,), ("--raw", ALL), ("--raw", "--sample=3")):
        status = 1 if "--raw" in options else 0
        here = checked(cli, sample, *options, status=status)
        outcome = cli("check", sample, "--json", *options, *elsewhere)
        assert outcome.status == status
        assert outcome.json == here
    line = cli.refused("check", sample, *elsewhere[:2])
    assert line == "--runner PrismRunner: add --temp_location, where workers write reports"
