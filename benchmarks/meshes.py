"""What meshing costs beside zmesh, DracoPy and reading alone, and the memory that its layers take.

    python -m benchmarks.meshes [--chunks N ...] [--chunk-size N] [--memory]

Chunks are meshed in this process, each beside the least that its meshes could cost: layer 2 reading, zmesh
and DracoPy on the same labels, layers above decoding the same parts and encoding the same meshes. What counts
is CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from beam_ingest.cli import main as command
from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.meshes.build import MeshBuilder, initial_folder
from beam_ingest.meshes.job import MeshJob, make_mesh_job
from beam_ingest.meshes.labels import Box, label_box
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.surface import decode, encode, surfaces
from beam_ingest.meshes.tree import nodes_of_several, parts_of, read_members
from beam_ingest.reader import GraphReader
from beam_ingest.stores import open_store

MOST_ATOMIC, MOST_STITCHING = 1.25, 1.5
"""Times the least that meshes cost."""


class Clock:
    """CPU seconds by layer: of meshing, and of what cannot be saved."""

    def __init__(self) -> None:
        self.spent: dict[tuple[int, str], float] = defaultdict(float)

    def run(self, layer: int, name: str, call: Callable[[], Any]) -> Any:
        begun = time.process_time()
        found = call()
        self.spent[layer, name] += time.process_time() - begun
        return found


class Bench:
    """One sample, its graph, and its meshes."""

    def __init__(self, folder: Path, chunks: int, size: int) -> None:
        side = round(chunks ** (1 / 3))
        root = folder / f"{chunks}_{size}"
        self.path = root / "dataset.yml"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            words = ["--chunks", *[str(side)] * 3, "--chunk-size", *[str(size)] * 3, "--overwrite"]
            assert command(["sample", str(root), *words]) == 0
            assert command(["graph", "g", str(self.path), "--overwrite"]) == 0
        dataset = Dataset.from_file(self.path)
        store = f"sqlite:{root / 'graph.sqlite'}"
        self.job: MeshJob = make_mesh_job("g", dataset, store)
        self.store = open_store(store)
        self.graph = GraphReader(self.store, self.job.grid)
        job = self.job
        self.builder = MeshBuilder(self.store, job.grid, dataset.watershed, job.config, dataset.chunk_size)
        url = initial_folder(dataset.watershed, job.config)
        self.reader = MeshReader(url, job.grid, job.config.minishard_bits)

    def atomic(self, clock: Clock, chunk: int) -> None:
        """A chunk of layer 2, and the least."""
        job, coords = self.job, self.job.grid.chunk_coords(chunk)
        clock.run(ATOMIC_LAYER, "all", lambda: self.builder.chunk(chunk))
        low = np.array(coords) * job.space.block
        shape = np.minimum(low + job.space.block + 1, job.size) - low
        voxels = clock.run(ATOMIC_LAYER, "least", lambda: self.builder.voxels.read(coords, low, shape))
        box = Box.of(voxels.ids)
        labels = label_box(box, read_members(self.store, self.graph, coords, box.supervoxels))
        grid, origin = job.space.atomic(coords), job.space.origin(ATOMIC_LAYER, coords)

        def least() -> None:
            for _, mesh in surfaces(labels, job.space.resolution, job.config.max_error, origin):
                encode(mesh, grid)

        clock.run(ATOMIC_LAYER, "least", least)

    def stitched(self, clock: Clock, layer: int, chunk: int) -> None:
        """A chunk of a layer above, and the least."""
        job, coords = self.job, self.job.grid.chunk_coords(chunk)
        clock.run(layer, "all", lambda: self.builder.chunk(chunk))
        nodes, grid = nodes_of_several(self.graph, layer, coords), job.space.at(layer, coords)
        places = [self.reader.locate(parts) for parts in parts_of(self.graph, nodes)]
        own = self.reader.locate(nodes)
        for parts, place in zip(places, own, strict=True):
            encoded = self.reader.read([part for part in parts if part is not None])
            clock.run(layer, "least", lambda each=encoded: [decode(data) for data in each])
            if place is not None:
                mesh = decode(self.reader.read([place])[0])
                clock.run(layer, "least", lambda mesh=mesh: encode(mesh, grid))

    def chunks(self, layer: int) -> list[int]:
        grid = self.job.grid
        return [grid.chunk_id(layer, (x, y, z)) for x, y, z in np.ndindex(*grid.bounds(layer))]


def measure_time(bench: Bench) -> None:
    """Print a line for each layer: seconds, the least, and how many times as long it took."""
    clock = Clock()
    for chunk in bench.chunks(ATOMIC_LAYER):
        bench.atomic(clock, chunk)
    for layer in range(ATOMIC_LAYER + 1, bench.job.top + 1):
        for chunk in bench.chunks(layer):
            bench.stitched(clock, layer, chunk)
    print("  layer  CPU s  least s  times")
    for layer in range(ATOMIC_LAYER, bench.job.top + 1):
        spent, least = clock.spent[layer, "all"], clock.spent[layer, "least"]
        print(f"  {layer:<6}{spent:6.2f}{least:9.2f}{spent / least:7.2f}")
    stitching = [sum(clock.spent[n, name] for n in range(3, bench.job.top + 1)) for name in ("all", "least")]
    print(f"  stitching{stitching[0] / stitching[1]:15.2f} times, of at most {MOST_STITCHING}")


def measure_memory(bench: Bench) -> None:
    """Print a line for each layer: the peak of Python's memory for one chunk, and the largest mesh there."""
    bench.builder.chunk(bench.chunks(ATOMIC_LAYER)[0])  # what is imported at first does not count
    print("  layer  peak MB  largest mesh, decoded, MB")
    for layer in range(ATOMIC_LAYER, bench.job.top + 1):
        peak, largest = 0, 0
        for chunk in bench.chunks(layer):
            found = traced(bench, chunk)
            if found > peak:  # again, since Python's own tables grow now and then, once
                peak = max(peak, min(found, traced(bench, chunk)))
            nodes, places = bench.reader.contents(chunk)
            if nodes.size:
                mesh = decode(bench.reader.read([max(places, key=lambda place: place.size)])[0])
                largest = max(largest, mesh.vertices.nbytes + mesh.faces.nbytes)
        print(f"  {layer:<7}{peak / 1e6:7.1f}{largest / 1e6:9.2f}")


def traced(bench: Bench, chunk: int) -> int:
    """The peak of Python's memory for one chunk, in bytes."""
    tracemalloc.start()
    bench.builder.chunk(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    """Measure, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[64], metavar="N", help="cubes: 8, 64, ...")
    parser.add_argument("--chunk-size", type=int, default=64, metavar="N", help="voxels along each axis")
    parser.add_argument("--memory", action="store_true", help="measure memory in place of time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for chunks in arguments.chunks:
            print(f"{chunks} chunks of {arguments.chunk_size}³ voxels")
            bench = Bench(Path(folder), chunks, arguments.chunk_size)
            (measure_memory if arguments.memory else measure_time)(bench)


if __name__ == "__main__":
    main()
