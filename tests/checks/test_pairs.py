"""The kernels, against any dataset there can be: pairs of chunks, and which chunks a sample has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from beam_ingest.checks.check_job import CheckJob
from beam_ingest.checks.findings import Findings
from beam_ingest.checks.inspect import Inspector
from beam_ingest.checks.pairs import compare, meeting_places
from beam_ingest.checks.selection import Selection
from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.build import Builder
from beam_ingest.ingest.job import make_job
from beam_ingest.kernels.symmetry import Asymmetry
from tests.examples import examples, slow
from tests.oracle.datasets import OracleDataset, datasets, write


def mismatches(dataset: OracleDataset) -> tuple[list[Asymmetry], Findings]:
    """What a whole check finds, without Beam: all chunks are looked at, and rows compared where they meet."""
    with TemporaryDirectory() as folder:
        path = write(dataset, folder)
        job = CheckJob(make_job("g", Dataset.from_file(path), "sqlite:unused"), None, Path(folder).as_uri())
        builder, inspector, findings = Builder(job.ingest), Inspector(job), Findings()
        places: dict[int, list[np.ndarray]] = {}
        for coords in dataset.all_coords():
            rows = inspector.files(coords, *builder.read([coords]), findings)
            for place, part in meeting_places(job.grid, rows):
                places.setdefault(place, []).append(part)
        found, pairs = [], 0
        for parts in places.values():
            count, some = compare(job.grid, np.concatenate(parts), every_chunk=True)
            found += some
            pairs += count
        findings.counts["pairs of chunks"] = pairs
        return found, findings


@examples(5)
@given(datasets())
def test_sound_datasets(dataset: OracleDataset) -> None:
    found, findings = mismatches(dataset)
    assert found == []
    assert findings.problems == {}


@examples(5)
@given(datasets(), st.randoms(use_true_random=False))
def test_one_edge_taken_out_of_one_file(dataset: OracleDataset, draw) -> None:  # type: ignore[no-untyped-def]
    leaving = [
        (coords, group, edge)
        for coords, chunk in dataset.chunks.items()
        for group in ("cross", "between")
        for edge in getattr(chunk, group)
    ]
    assume(leaving)
    coords, group, edge = draw.choice(leaving)
    chunk = dataset.chunks[coords]
    pair = frozenset(edge[:2])
    spoilt = replace(
        chunk,
        **{
            name: tuple(e for e in getattr(chunk, name) if frozenset(e[:2]) != pair)
            for name in ("cross", "between")
        },
    )
    found, _ = mismatches(OracleDataset(dataset.grid, dataset.chunks | {coords: spoilt}))
    (mismatch,) = [m for m in found if not m.active]
    grid = dataset.grid
    ends = {grid.chunk_id(2, c) for c in (coords, _other(dataset, coords, edge))}
    assert (mismatch.chunk, {mismatch.chunk, mismatch.other}) == (grid.chunk_id(2, coords), ends)
    assert mismatch.more == mismatch.fewer + 1
    assert group in ("cross", "between")


def _other(dataset: OracleDataset, coords: tuple[int, int, int], edge: tuple) -> tuple[int, int, int]:  # type: ignore[type-arg]
    (other,) = {dataset.grid.coords_of(i) for i in edge[:2]} - {coords}
    return other


@pytest.mark.parametrize("chunks", [(2, 1, 1), (4, 2, 2), (7, 5, 3), slow((16, 16, 16)), (1, 1, 30)])
@pytest.mark.parametrize("count", [1, 2, 8, 50, 10_000, None])
def test_a_sample_has_distinct_chunks_and_knows_them(chunks: tuple[int, int, int], count: int | None) -> None:
    selection = Selection(ChunkGrid(chunks), count)
    every = [tuple(c) for c in np.argwhere(np.ones(chunks)).tolist()]
    expected = len(every) if count is None else min(count, len(every))
    found = {tuple(c) for c in selection.chunks(0, len(every)).tolist()}
    assert len(found) == selection.size == expected
    assert found <= set(every)
    in_parts = [tuple(c) for at in range(0, len(every), 3) for c in selection.chunks(at, at + 3).tolist()]
    assert sorted(in_parts) == sorted(found)
    for asked, answer in zip(every, selection.selected(np.array(every)), strict=True):
        assert answer == (asked in found)
    near = {c for c in every if any(sum(abs(a - b) for a, b in zip(c, d, strict=True)) <= 1 for d in found)}
    assert {c for c, answer in zip(every, selection.opened(np.array(every)), strict=True) if answer} == near
    assert {tuple(c) for c in selection.neighbourhood(np.array(sorted(found))).tolist()} == near
    assert not selection.selected(np.array([[-1, 0, 0], chunks])).any()


def test_a_sample_is_spread_over_the_grid() -> None:
    """Sixty-four chunks of a grid of powers of two, which regular steps would take from one face."""
    coords = Selection(ChunkGrid((64, 64, 64)), 64).chunks(0, 64)
    for axis in range(3):
        quarters = Counter((coords[:, axis] // 16).tolist())
        assert min(quarters[quarter] for quarter in range(4)) >= 8
    octants = Counter(map(tuple, (coords // 32).tolist()))
    assert len(octants) == 8
