"""Graphs to verify: a small one made by hand, in which nodes skip layers, and a sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_ingest.sample import SampleSpec, write_sample
from tests.graphs import ingest
from tests.oracle.datasets import Chunk, Grid, OracleDataset, write
from tests.verify import Graph

SMALL = Grid((8, 1, 1))
"""Four layers of nodes: 2, 3, 4 and the roots'."""
SAMPLE = Grid((8, 3, 2))


def deep_dataset() -> OracleDataset:
    """Supervoxels of each chunk: 1 and 2 are one object all along x; 3 and 4 touch the next chunk's of every
    second pair; 5 is cut at two planes, one of them the middle; 6 is alone.
    """
    chunks = {}
    for coords in OracleDataset(SMALL).all_coords():
        x = coords[0]
        one, two, three, four, five, six = (SMALL.node_id(1, coords, segment) for segment in range(1, 7))
        between, cross = [], []
        for other in (x - 1, x + 1):
            if 0 <= other < SMALL.chunks[0]:
                between += [(own, SMALL.node_id(1, (other, 0, 0), own - one + 1)) for own in (one, three)]
                if {x, other} in ({3, 4}, {1, 2}):
                    cross.append((five, SMALL.node_id(1, (other, 0, 0), 5)))
        along = tuple(SMALL.node_id(1, (i, 0, 0), segment) for i in range(8) for segment in (1, 2))
        pair = tuple(SMALL.node_id(1, (i, 0, 0), segment) for i in (x & ~1, x | 1) for segment in (3, 4))
        chunks[coords] = Chunk(
            in_chunk=((one, two), (three, four), (four, one), (six, five)),
            cross=tuple(cross),
            between=tuple(between),
            components=(along, pair),
        )
    return OracleDataset(SMALL, chunks)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    folder = tmp_path_factory.mktemp("small")
    dataset = write(deep_dataset(), folder)
    assert ingest(dataset, folder / "graph.sqlite") == 0
    return Graph(dataset, folder / "graph.sqlite", SMALL)


@pytest.fixture(scope="session")
def sample_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "sample"
    write_sample(folder, SampleSpec(chunks=SAMPLE.chunks, chunk_size=(16, 16, 16), seed=3), processes=1)
    return folder / "dataset.yml"


@pytest.fixture(scope="session")
def good(sample_dataset: Path) -> Graph:
    """A sample with its graph."""
    store = sample_dataset.parent / "good.sqlite"
    assert ingest(sample_dataset, store) == 0
    return Graph(sample_dataset, store, SAMPLE)
