"""docs/scale.md: the plan of a volume of MICrONS' size, made from a description of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_ingest.cli.plan_lines import lines_of
from beam_ingest.ingest.memory import group_edges
from beam_ingest.plan.estimate import estimate
from benchmarks.scale import MICRONS, PINKY256, measure_whole, plan_of, sample_of
from tests.graphs import pinky256

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


def test_the_page_is_made_from_the_plan() -> None:
    lines = [line.rstrip() for line in lines_of(plan_of(MICRONS))]
    figures = "\n".join(lines[: lines.index("sources:") - 1])
    assert f"```text\n{figures}\n```" in PAGE.read_text()


def test_a_description_is_what_it_says() -> None:
    presence, sample = sample_of(MICRONS)
    found = estimate(presence, [sample])
    assert found.supervoxels.expected == pytest.approx(MICRONS.supervoxels, rel=1e-4)
    rows = PINKY256[2].rows / PINKY256[2].supervoxels
    assert found.layers[2].rows.expected == pytest.approx(rows * MICRONS.supervoxels, rel=1e-3)
    # Contacts for each voxel of a face, as the memory that jobs ask for has them: within a factor of two.
    for layer in (3, 4):
        modelled = group_edges(presence.grid, MICRONS.chunk_size, layer)
        assert 0.5 < found.layers[layer].largest.expected / modelled < 2


@pytest.mark.shared_data
def test_the_record_of_the_real_sample_is_what_it_measures() -> None:
    found = measure_whole(str(pinky256() / "dataset.yml"))
    for layer, known in PINKY256.items():
        measured = vars(found.layers[layer])
        for name, value in vars(known).items():
            if name in ("sent_bytes", "stored"):  # versions of zstd compress differently
                assert measured[name] == pytest.approx(value, rel=0.2)
            elif value:
                assert measured[name] == value, name
