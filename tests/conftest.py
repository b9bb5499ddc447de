"""Fixtures that several test modules share: a small sound dataset to spoil, and the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beam_ingest.cli import main
from beam_ingest.sample import SampleSpec, write_sample
from tests import examples, quick_beam
from tests.graphs import comparable, ingest, pinky256
from tests.once import made_once
from tests.oracle.cells import Cells
from tests.oracle.datasets import Chunk, Coords, Grid, OracleDataset, write
from tests.require_all import (  # noqa: F401 - hooks
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)

examples.register()

_MARKS = {
    "emulator": "emulator",
    "cluster": "external",
    "container": "slow",
    "flink": "external",
    "gcloud": "external",
    "module": "external",
}
"""Markers of tests that use a fixture of that name."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses other programs, and leave out what takes minutes unless ``-m`` chooses markers."""
    families: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        for fixture in set(_MARKS) & set(getattr(item, "fixturenames", ())):
            item.add_marker(_MARKS[fixture])
        if item.get_closest_marker("sampled"):
            family = families.setdefault((str(item.path), item.name.partition("[")[0]), [])
            family.append(item)
    for family in families.values():
        (count,) = family[0].get_closest_marker("sampled").args  # type: ignore[union-attr]
        step = max(1, len(family) // count)
        for number, item in enumerate(family):
            if number % step:
                item.add_marker("slow")
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def _quick_beam() -> None:
    quick_beam.remember()


GRID = Grid((4, 2, 2))
"""16 chunks at layer 2, 2 at layer 3, and the root layer 4."""
COUNTS = (16, 2, 1)
"""Chunks per layer."""


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr, without those of progress."""
        return [line for line in self.err.splitlines() if not line.startswith("layer ")]

    @property
    def json(self) -> Any:
        """What stdout holds, as JSON."""
        return json.loads(self.out)


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        self._capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    def refused(self, *arguments: str | Path, status: int = 2) -> str:
        """Run a command that has to fail; returns its one line, without the program's name."""
        outcome = self(*arguments)
        assert (outcome.status, outcome.out) == (status, ""), outcome
        assert "Traceback" not in outcome.err
        (line,) = outcome.errors
        assert line.startswith("beam-ingest: "), line
        return line.removeprefix("beam-ingest: ")

    def done(self, dataset: Path) -> list[int]:
        """Chunks done at each layer, as `status` tells."""
        outcome = self("status", "g", dataset, "--json")
        assert outcome.status == (1 if outcome.json["failed"] else 0), outcome
        return [layer["done"] for layer in outcome.json["layers"]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


def supervoxel(coords: Coords, segment: int) -> int:
    """The id of a supervoxel of the small dataset: each chunk has those of segments 1 to 4."""
    return GRID.node_id(1, coords, segment)


def small_dataset() -> OracleDataset:
    """Every chunk has an edge of each kind.

    Supervoxels 1 and 2 touch, and are one object all along x; 3 is one object along z, cut by faces
    alone; 4 is mapped to nothing and touches 1 and, along y, other 4s.
    """
    chunks = {}
    grid = OracleDataset(GRID)
    for coords in grid.all_coords():
        x, y, z = coords
        one, two, three, four = (supervoxel(coords, segment) for segment in (1, 2, 3, 4))
        along_x = [(x + step, y, z) for step in (-1, 1) if 0 <= x + step < GRID.chunks[0]]
        whole_object = [supervoxel((i, y, z), segment) for i in range(GRID.chunks[0]) for segment in (1, 2)]
        chunks[coords] = Chunk(
            in_chunk=((one, two), (one, four)),
            cross=((three, supervoxel((x, y, 1 - z), 3)),),
            between=(
                *((one, supervoxel(other, 1)) for other in along_x),
                (four, supervoxel((x, 1 - y, z), 4)),
            ),
            components=(tuple(whole_object), (three,)),
        )
    return OracleDataset(GRID, chunks)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The dataset file of a small sound dataset in a folder of the test's own."""
    return write(small_dataset(), tmp_path / "dataset")


@pytest.fixture(scope="session")
def _sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "sample"
    write_sample(folder, SampleSpec(chunks=GRID.chunks, chunk_size=(16, 16, 16)), processes=1)
    return folder


@pytest.fixture
def sample(_sample: Path, tmp_path: Path) -> Path:
    """The dataset file of a sample with raw agglomeration, in a folder of the test's own."""
    return shutil.copytree(_sample, tmp_path / "sample") / "dataset.yml"


@pytest.fixture(scope="session")
def built_sample(_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset file of a sample whose graph ``graph`` is built: tests may add files, and change none."""
    path = shutil.copytree(_sample, tmp_path_factory.mktemp("built") / "sample") / "dataset.yml"
    assert main(["graph", "graph", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def pinky256_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph of the real sample, in an SQLite file that tests only read."""

    def build(store: Path) -> None:
        assert ingest(pinky256() / "dataset.yml", store) == 0

    return made_once(tmp_path_factory, "pinky256.sqlite", build)


def store_of(dataset: Path) -> Path:
    """Where the graph of a dataset goes."""
    return dataset.parent / "graph.sqlite"


def graph_cells(dataset: Path) -> Cells:
    """The cells of a dataset's graph that are the same wherever the dataset lies: all but the meta row."""
    return {key: value for key, value in comparable(store_of(dataset)).items() if key[0] != b"meta"}


@pytest.fixture(scope="session")
def small_cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The cells of the small dataset's graph, built undisturbed in one go."""
    path = write(small_dataset(), tmp_path_factory.mktemp("undisturbed"))
    assert main(["graph", "g", str(path)]) == 0
    return graph_cells(path)


@pytest.fixture(scope="session")
def sample_cells(_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    """The cells of the sample's graph, built undisturbed in one go."""
    path = shutil.copytree(_sample, tmp_path_factory.mktemp("undisturbed") / "sample") / "dataset.yml"
    assert main(["graph", "g", str(path)]) == 0
    return graph_cells(path)
