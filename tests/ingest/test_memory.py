"""The estimates of memory, held against what building and writing really take."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_ingest.dataset import Dataset
from beam_ingest.format import table
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.build import Builder, BuiltChunk
from beam_ingest.ingest.job import IngestJob, make_job, start_job
from beam_ingest.ingest.memory import (
    CONTACTS_PER_FACE_VOXEL,
    KERNEL_BYTES_PER_EDGE,
    KERNEL_BYTES_PER_NODE,
    MESSAGE_BYTES_PER_EDGE,
    NAMES_PER_CONTACT,
    NODES_PER_EDGE,
    PEAK_BYTES_PER_EDGE,
    PEAK_BYTES_PER_SUPERVOXEL,
    group_edges,
    worker_bytes,
)
from beam_ingest.kernels.state import Message, pack, unpack
from beam_ingest.sample import SampleSpec, write_sample
from beam_ingest.stages import progress
from beam_ingest.stages.coding import WriteUnit, compress
from beam_ingest.stages.machines import Workers
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.sink import FLUSH_BYTES, IN_FLIGHT, Write
from beam_ingest.stores import store_url
from testing.emulator import Emulator

Result = TypeVar("Result")
GRID = ChunkGrid((4, 4, 4))
ROOT = GRID.chunk_id(4, (0, 0, 0))


_SMALL = 40_000
"""Bytes that the smallest of groups takes."""


def messages(edges: int, per_node: float) -> list[bytes]:
    """States of the root chunk's eight children with random edges between them, about `per_node` a node."""
    random = np.random.default_rng(edges)
    chunks = GRID.chunk_ids(3, GRID.children(4, (0, 0, 0)))
    left = random.integers(0, 8, edges // 2)
    right = (left + random.integers(1, 8, edges // 2)) % 8
    segments = int(edges / 8 / per_node) + 2
    first, second = (
        chunks[at] + random.integers(1, segments, at.size).astype(np.uint64) for at in (left, right)
    )
    own, partner = np.concatenate([first, second]), np.concatenate([second, first])
    where = np.concatenate([left, right])
    packed: list[bytes] = []
    for at, chunk in enumerate(chunks.tolist()):
        here = where == at
        nodes = np.unique(own[here])
        packed += pack(
            chunk,
            False,
            Message.make(
                own=own[here],
                partner=partner[here],
                cross_layer=np.full(int(here.sum()), 3, np.uint8),
                old=nodes,
                new=nodes,
            ),
        )
    return packed


def peak_of(do: Callable[[], Result]) -> tuple[Result, int]:
    """What something comes to, and the most bytes that it took meanwhile."""
    tracemalloc.start()
    try:
        result = do()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def kernel_bytes(edges: int, nodes: int) -> int:
    return edges * KERNEL_BYTES_PER_EDGE + nodes * KERNEL_BYTES_PER_NODE


@pytest.mark.sampled(2)
@pytest.mark.parametrize("edges", [20_000, 500_000])
@pytest.mark.parametrize("per_node", [1.5, 4, 24])
def test_the_memory_of_a_group_follows_its_edges_and_nodes(edges: int, per_node: float) -> None:
    packed = messages(edges, per_node)
    nodes = np.unique(np.concatenate([unpack(data).message.own for data in packed])).size
    job = SimpleNamespace(grid=GRID, graph_version=3, all_supervoxels=False)
    built, peak = peak_of(lambda: Builder(job).parent(ROOT, packed))  # type: ignore[arg-type]
    assert built.counts.edges == edges
    assert 0.75 * kernel_bytes(edges, nodes) < peak < kernel_bytes(edges, nodes) + _SMALL
    assert sum(map(len, packed)) / edges < MESSAGE_BYTES_PER_EDGE


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> IngestJob:
    """A job of a sample with chunks of about 700 supervoxels."""
    folder = tmp_path_factory.mktemp("memory") / "sample"
    write_sample(folder, SampleSpec(chunks=(4, 4, 4), chunk_size=(40, 40, 40)), processes=1)
    return make_job("memory", Dataset.from_file(folder / "dataset.yml"), "sqlite:unused")


@pytest.mark.slow
def test_the_memory_of_groups_of_tissue(tissue: IngestJob) -> None:
    """Of the largest group of each layer, as Apache Beam holds it and as it is built."""
    builder, below = Builder(tissue), layer_2(tissue)
    for _ in range(3, tissue.grid.root_layer + 1):
        groups: dict[int, list[bytes]] = defaultdict(list)
        for chunk in below:
            for target, data in chunk.messages:
                groups[target].append(data)
        below = [builder.parent(chunk_id, packed) for chunk_id, packed in groups.items()]
        largest = max(groups, key=lambda chunk_id: sum(map(len, groups[chunk_id])))
        packed = groups[largest]
        built, peak = peak_of(partial(builder.parent, largest, packed))
        edges = built.counts.edges
        nodes = np.unique(np.concatenate([unpack(data).message.own for data in packed])).size
        assert nodes <= NODES_PER_EDGE * edges
        assert peak < kernel_bytes(edges, nodes) + _SMALL
        held = sum(len(data) + len(compress(data)) for data in packed)
        assert held < MESSAGE_BYTES_PER_EDGE * edges + _SMALL
        assert peak + held < PEAK_BYTES_PER_EDGE * edges + 2 * _SMALL


@pytest.mark.slow
def test_the_memory_of_a_chunk_of_layer_2(tissue: IngestJob) -> None:
    builder, chunks = Builder(tissue), [(1, 1, 1)]
    contents = builder.read(chunks)
    built, peak = peak_of(lambda: builder.atomic(chunks[0], *contents))
    held = sum(len(content) for content in contents if isinstance(content, bytes))
    supervoxels = built.counts.supervoxels
    bound = PEAK_BYTES_PER_SUPERVOXEL * supervoxels
    assert 0.5 * bound < peak + held < bound + _SMALL


def layer_2(job: IngestJob) -> list[BuiltChunk]:
    """All chunks of layer 2."""
    builder, bounds = Builder(job), job.grid.bounds(2)
    return [builder.atomic(c, *builder.read([c])) for c in product(*map(range, bounds))]


@pytest.fixture(params=["sqlite", "bigtable"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a store of each kind, as real as it gets."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/graph.sqlite"
        return
    with Emulator() as emulator:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
        yield "bigtable:project/instance"


@pytest.mark.slow
def test_the_memory_of_writing_is_that_of_the_requests_in_flight(tissue: IngestJob, store: str) -> None:
    """However much is written, and though the store is slower than what makes the cells here."""
    job = start_job(replace(tissue, store=store_url(tissue.dataset, "graph", store)))

    def units(_: bytes) -> Iterator[WriteUnit]:
        for number in range(70):
            ids = np.arange(20_000, dtype=np.uint64) + np.uint64(number << 32)
            cells = [table.fixed(table.PARENT, table.node_keys(ids), ids)]
            yield WriteUnit(progress.chunk_key(number + 1), Counts(), 0, cells)

    def run() -> None:
        with beam.Pipeline(FnApiRunner()) as pipeline:
            pipeline | beam.Impulse() | beam.FlatMap(units).with_output_types(WriteUnit) | Write(job, 2)

    run()  # imports and caches
    _, peak = peak_of(run)
    # What is gathered or waits; what is laid out, which is larger than its cells; requests; Apache Beam.
    bound = (1 + IN_FLIGHT + 5) * FLUSH_BYTES
    assert peak < bound < 0.75 * sum(unit.nbytes for unit in units(b""))


def test_edges_of_a_chunk_in_the_midst_of_a_large_grid() -> None:
    """By hand: of a chunk of layer 5, 8 x 8 x 8 chunks of 10 x 20 x 30 voxels."""
    grid = ChunkGrid((64, 64, 64))
    faces = 8 * 8 * (20 * 30 + 10 * 30 + 10 * 20)
    # The middle planes, seen from both sides, and both outer ones.
    assert group_edges(grid, (10, 20, 30), 5) == -(-4 * faces // (1 / CONTACTS_PER_FACE_VOXEL))


def test_edges_of_the_root_chunk() -> None:
    grid = ChunkGrid((8, 8, 1))  # flat: no plane divides it along z
    assert group_edges(grid, (10, 10, 10), 5) == -(-2 * 2 * 8 * 100 // (1 / CONTACTS_PER_FACE_VOXEL))


def test_memory_is_asked_for_as_many_groups_as_a_worker_builds_at_once() -> None:
    grid, size = ChunkGrid((1000, 120, 100)), (256, 256, 512)
    group = group_edges(grid, size, 9) * PEAK_BYTES_PER_EDGE
    assert grid.chunk_count(9) == 8  # no worker has more of them at once
    layer = 7
    for machine_type, threads, bundles, gigabytes in (
        ("n2-standard-4", 2, 8, 16),
        ("n2-standard-16", 2, 32, 64),
        ("n2-standard-16", 1, 16, 64),
        ("n2-highmem-4", 12, 48, 32),
        ("n1-standard-1", 12, 12, 3.75),
    ):
        workers = Workers.of(machine_type, threads)
        assert (workers.bundles, workers.nbytes) == (bundles, gigabytes * 2**30)
        one = group_edges(grid, size, layer) * PEAK_BYTES_PER_EDGE
        assert worker_bytes(grid, size, layer, workers) == whole_gb(bundles * one + workers.nbytes / 2)
        assert worker_bytes(grid, size, 9, workers) == whole_gb(min(bundles, 8) * group + workers.nbytes / 2)


def whole_gb(nbytes: float) -> int:
    return ceil(nbytes / 2**30) * 2**30


@pytest.mark.parametrize(
    ("machine_type", "vcpus", "gigabytes"),
    [
        ("n2-standard-4", 4, 16),
        ("n2d-highcpu-32", 32, 32),
        ("n1-highmem-8", 8, 52),
        ("c4-standard-8", 8, 30),
        ("c3-standard-8-lssd", 8, 32),
        ("n2-custom-8-16384", 8, 16),
        ("custom-4-5120", 4, 5),
        ("n2-custom-2-65536-ext", 2, 64),
        ("e2-medium", 2, 4),
        ("e2-micro", 2, 1),
        ("a2-highgpu-1g", 1, 0.9),  # its name does not tell: the least there is
        ("m1-megamem-96", 96, 86.4),
    ],
)
def test_what_machine_types_have(machine_type: str, vcpus: int, gigabytes: float) -> None:
    """As Compute Engine's documentation lists them, or less."""
    workers = Workers.of(machine_type, 2)
    assert (workers.vcpus, workers.bundles) == (vcpus, 2 * vcpus)
    assert workers.nbytes == pytest.approx(gigabytes * 2**30)


def test_one_process_a_worker() -> None:
    assert Workers.of("n2-standard-16", 5, ["no_use_multiple_sdk_containers"]).bundles == 5


def test_layer_3_still_has_names_of_supervoxels() -> None:
    grid = ChunkGrid((64, 64, 64))
    ratio = group_edges(grid, (100, 100, 100), 4) / group_edges(grid, (100, 100, 100), 3)
    assert ratio == pytest.approx(4 / NAMES_PER_CONTACT, rel=1e-3)
