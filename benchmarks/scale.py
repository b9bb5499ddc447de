"""What a graph of any size costs, from what was measured on small ones: the figures of docs/scale.md.

``python -m benchmarks.scale`` prints the estimate for a volume of MICrONS' size;
``python -m benchmarks.scale DATASET.yml`` measures a dataset, without Beam and without a store.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass

from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.build import Builder, BuiltChunk
from beam_ingest.ingest.job import make_job
from beam_ingest.ingest.memory import PEAK_BYTES_PER_EDGE, PEAK_BYTES_PER_SUPERVOXEL, group_edges
from beam_ingest.kernels.state import unpack
from beam_ingest.stages.coding import compress
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import Scope

KERNEL_MICROSECONDS = 3.3
"""CPU per supervoxel in the kernels, files read and parsed, in chunks of 970 supervoxels (`make bench`)."""
SINK_MICROSECONDS = 0.7
"""CPU per cell in the Bigtable sink (`make bench-sink`)."""
BEAM_SHARE = 0.5
"""CPU of Beam, of coders and of the network on top of both; measured less, but on local runners."""
NODE_ROWS = 14_000
"""Rows a second that Bigtable's documentation promises of a node with SSD."""


@dataclass(frozen=True)
class Layer:
    """What reached a layer: edges and (compressed) bytes in all, and edges in its largest group."""

    edges: int
    nbytes: int
    largest_edges: int


@dataclass(frozen=True)
class Measured:
    """A small graph, measured."""

    grid: tuple[int, int, int]
    chunk_size: tuple[int, int, int]
    counts: Counts
    layers: dict[int, Layer]


@dataclass(frozen=True)
class Estimate:
    """A graph of any size.

    Attributes:
      rows, cells, nbytes: of the table, bytes of keys and values.
      shuffled: bytes that go through GroupByKeys.
      largest_edges: edges of the largest group of each layer.
      vcpu_hours: of computing and sending.
      node_hours: of Bigtable taking the rows.
    """

    rows: float
    cells: float
    nbytes: float
    shuffled: float
    largest_edges: dict[int, int]
    vcpu_hours: float
    node_hours: float


def measure(path: str) -> Measured:
    """Build a dataset's layers, up to the root layer, in this process, and count."""
    dataset = Dataset.from_file(path)
    job = make_job("measured", dataset, "sqlite:none")
    builder, scope, grid = Builder(job), Scope(job.grid, False), job.grid
    below: list[BuiltChunk] = []
    for block in scope.blocks(0, scope.block_count).tolist():
        chunks = scope.chunks(tuple(block))
        contents = builder.read(chunks)
        for coords, edges, components in zip(chunks, contents[::2], contents[1::2], strict=True):
            below.append(builder.atomic(coords, edges, components))
    counts = sum((chunk.counts for chunk in below), Counts())
    layers = {}
    for layer in scope.layers:
        groups: dict[int, list[bytes]] = defaultdict(list)
        for chunk in below:
            for target, data in chunk.messages:
                groups[target].append(data)
        edges = [sum(unpack(data).message.own.size for data in packed) for packed in groups.values()]
        nbytes = sum(len(compress(data)) for packed in groups.values() for data in packed)
        layers[layer] = Layer(sum(edges), nbytes, max(edges))
        below = [builder.parent(chunk_id, packed) for chunk_id, packed in groups.items()]
        counts += sum((chunk.counts for chunk in below), Counts())
    return Measured(grid.chunks, dataset.chunk_size, counts, layers)


def estimate(
    like: Measured, chunks: tuple[int, int, int], chunk_size: tuple[int, int, int], supervoxels: float
) -> Estimate:
    """A graph whose tissue is like that of a measured one.

    Rows, cells and their bytes follow the supervoxels; edges between chunks follow the area of the
    faces that they cross, which `group_edges` knows for every layer.

    Args:
      like: the measured graph.
      chunks: chunks along x, y and z.
      chunk_size: their voxels.
      supervoxels: how many there are.
    """
    grid, small = ChunkGrid(chunks), ChunkGrid(like.grid)
    per_supervoxel = supervoxels / like.counts.supervoxels
    rows, cells = like.counts.rows * per_supervoxel, like.counts.cells * per_supervoxel
    shuffled = 0.0
    largest = {}
    for layer in range(3, grid.root_layer + 1):
        # A layer that the small graph has below its root has groups like it; higher ones like its highest.
        known = like.layers[min(layer, small.root_layer)]
        modelled = group_edges(small, like.chunk_size, min(layer, small.root_layer))
        largest[layer] = round(known.largest_edges / modelled * group_edges(grid, chunk_size, layer))
        bytes_per_edge = known.nbytes / known.edges
        shuffled += largest[layer] * grid.chunk_count(layer) * bytes_per_edge
    seconds = (supervoxels * KERNEL_MICROSECONDS + cells * SINK_MICROSECONDS) * (1 + BEAM_SHARE) / 1e6
    return Estimate(
        rows=rows,
        cells=cells,
        nbytes=like.counts.nbytes * per_supervoxel,
        shuffled=shuffled,
        largest_edges=largest,
        vcpu_hours=seconds / 3600,
        node_hours=rows / NODE_ROWS / 3600,
    )


PINKY256 = Measured(
    (4, 4, 4),
    (64, 64, 64),
    Counts(
        supervoxels=13_854,
        nodes=1_362,
        edges=80_700,
        rows=15_352,
        cells=18_044,
        nbytes=984_058,
        mapped=64,
        between=3_246,
        joined=1_994,
    ),
    {3: Layer(7_945, 55_423, 1_499), 4: Layer(358, 2_453, 358)},
)
"""The real sample, by ``python -m benchmarks.scale``."""
SAMPLES = {
    64: Measured(
        (4, 4, 4),
        (16, 16, 16),
        Counts(supervoxels=3_919, nodes=1_108, edges=23_722, rows=5_161, cells=7_927, nbytes=452_762),
        {3: Layer(3_932, 38_220, 725), 4: Layer(362, 2_696, 362)},
    ),
    512: Measured(
        (8, 8, 8),
        (16, 16, 16),
        Counts(supervoxels=28_353, nodes=10_552, edges=185_090, rows=39_984, cells=69_705, nbytes=3_997_699),
        {3: Layer(34_034, 374_956, 865), 4: Layer(5_201, 48_219, 763), 5: Layer(1_231, 9_728, 1_231)},
    ),
    4096: Measured(
        (16, 16, 16),
        (16, 16, 16),
        Counts(
            supervoxels=226_306, nodes=89_500, edges=1_551_987, rows=324_445, cells=591_374, nbytes=34_121_157
        ),
        {
            3: Layer(290_079, 3_292_214, 911),
            4: Layer(49_429, 477_701, 966),
            5: Layer(14_893, 144_271, 2_032),
            6: Layer(4_318, 35_691, 4_318),
        },
    ),
}
"""Of ``beam-ingest sample --chunk-size 16 16 16`` with 4, 8 and 16 chunks along each axis."""
MICRONS = ((1000, 120, 100), (256, 256, 512), 1.1e11)
"""About as many chunks and supervoxels, in a volume as long: twelve layers."""


def main() -> None:
    """Print what is asked for."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    found = estimate(PINKY256, *MICRONS)
    grid = ChunkGrid(MICRONS[0])
    print(f"rows {found.rows:.2g}, cells {found.cells:.2g}, {found.nbytes / 1e12:.1f} TB")
    print(f"shuffled {found.shuffled / 1e12:.2f} TB")
    print(f"vCPU hours {found.vcpu_hours:.0f}, Bigtable node hours {found.node_hours:.0f}")
    per_chunk = MICRONS[2] / ChunkGrid(MICRONS[0]).chunk_count(2)
    memory = per_chunk * PEAK_BYTES_PER_SUPERVOXEL / 1e6
    print(f"layer 2: {per_chunk:,.0f} supervoxels a chunk, {memory:.0f} MB")
    print("layer  chunks      edges of the largest  memory of it")
    for layer, edges in found.largest_edges.items():
        memory = edges * PEAK_BYTES_PER_EDGE / 1e9
        print(f"{layer:5}  {grid.chunk_count(layer):<10,}  {edges:<20,}  {memory:.2f} GB")


if __name__ == "__main__":
    main()
