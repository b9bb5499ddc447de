"""The formulas of docs/scale.md against what was measured, from 64 chunks to 4,096."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.scale import MICRONS, PINKY256, SAMPLES, Measured, estimate, measure
from tests.graphs import pinky256

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


@pytest.mark.parametrize(("small", "large"), [(64, 512), (512, 4096), (64, 4096)])
def test_from_a_small_graph_to_a_large_one(small: int, large: int) -> None:
    like, measured = SAMPLES[small], SAMPLES[large]
    found = estimate(like, measured.grid, measured.chunk_size, measured.counts.supervoxels)
    assert found.rows == pytest.approx(measured.counts.rows, rel=0.1)
    # A small volume is all surface: it has fewer cells and bytes a supervoxel than the midst of a large one.
    assert found.cells == pytest.approx(measured.counts.cells, rel=0.3)
    assert found.nbytes == pytest.approx(measured.counts.nbytes, rel=0.3)
    shuffled = sum(layer.nbytes for layer in measured.layers.values())
    assert found.shuffled == pytest.approx(shuffled, rel=0.6)
    assert found.shuffled > 0.9 * shuffled  # an upper bound, if anything
    for layer, known in measured.layers.items():
        assert found.largest_edges[layer] == pytest.approx(known.largest_edges, rel=0.6)


@pytest.mark.shared_data
def test_the_record_of_the_real_sample_is_what_it_measures() -> None:
    found = measure(str(pinky256() / "dataset.yml"))
    assert found.counts == PINKY256.counts
    assert_alike(found, PINKY256)


def test_the_record_of_a_sample_is_what_it_measures(tmp_path: Path) -> None:
    from beam_ingest.sample import SampleSpec, write_sample

    write_sample(tmp_path / "sample", SampleSpec(chunks=(4, 4, 4), chunk_size=(16, 16, 16)), processes=1)
    assert_alike(measure(str(tmp_path / "sample" / "dataset.yml")), SAMPLES[64])


def assert_alike(one: Measured, other: Measured) -> None:
    """The same, but that files may be absent, and that versions of zstd compress differently."""
    assert (one.grid, one.chunk_size) == (other.grid, other.chunk_size)
    assert (one.counts.rows, one.counts.nbytes) == (other.counts.rows, other.counts.nbytes)
    assert one.layers.keys() == other.layers.keys()
    for layer, found in one.layers.items():
        known = other.layers[layer]
        assert (found.edges, found.largest_edges) == (known.edges, known.largest_edges)
        assert found.nbytes == pytest.approx(known.nbytes, rel=0.2)


def test_the_page_has_the_figures_of_the_formulas() -> None:
    text = PAGE.read_text()
    found = estimate(PINKY256, *MICRONS)
    assert f"{found.rows:.2g} rows".replace("e+", "e") in text
    assert f"{found.nbytes / 1e12:.1f} TB" in text
    assert f"| vCPU hours | {found.vcpu_hours:.0f} |" in text
    assert f"| Bigtable node hours | {found.node_hours:.0f} |" in text
    assert f"| bytes shuffled | {found.shuffled / 1e12:.2f} TB |" in text
    rows = re.findall(r"^\| (\d+) \| [\d,]+ \| ([\d,]+) \|", text, re.MULTILINE)
    assert {int(layer): int(edges.replace(",", "")) for layer, edges in rows} == found.largest_edges
