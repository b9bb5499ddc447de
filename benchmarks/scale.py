"""The plan of a volume of MICrONS' size, from a description of it: the figures of docs/scale.md.

``python -m benchmarks.scale`` prints them; ``beam-ingest plan`` makes the same of a dataset.

There is no such dataset to sample. What stands for the sample is one block of chunks with the tissue of the
real sample pinky256: what it has follows its supervoxels, and contacts follow the faces of the chunks. The
plan is then made by the code of ``beam-ingest plan``, with ranges that one block supports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.cli.plan_lines import lines_of
from beam_ingest.cli.planning import Plan, Wishes, known_prices
from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.job import IngestJob, make_job
from beam_ingest.plan.bill import bill
from beam_ingest.plan.estimate import estimate
from beam_ingest.plan.measure import LayerSample, RegionSample, measure
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region


@dataclass(frozen=True)
class Volume:
    """A volume that is described.

    Attributes:
      chunks: chunks along x, y and z.
      chunk_size: their voxels.
      supervoxels: how many there are.
      hours: in which it should be built.
    """

    chunks: tuple[int, int, int]
    chunk_size: tuple[int, int, int]
    supervoxels: float
    hours: float


MICRONS = Volume((1000, 120, 100), (256, 256, 512), 1.1e11, 24.0)
"""About as many chunks and supervoxels, in a volume as long: twelve layers. It is to be built in a day."""
PINKY256 = {
    2: LayerSample(
        chunks=64,
        supervoxels=13_854,
        nodes=1_092,
        edges=72_397,
        rows=15_074,
        cells=15_975,
        nbytes=870_963,
        stored=120_130,
        roots=377,
        read=1_081_424,
        sent_edges=7_945,
        sent_bytes=59_208,
        largest=855,
    ),
    3: LayerSample(
        chunks=8,
        nodes=270,
        edges=7_945,
        rows=278,
        cells=1_894,
        nbytes=101_937,
        roots=95,
        sent_edges=358,
        sent_bytes=2_457,
        largest=1_499,
    ),
}
"""The real sample, as `measure_whole` finds it; bytes after compression differ between versions of zstd."""
_GRID = ChunkGrid((4, 4, 4))
_FACE_VOXELS = 64**2
_BLOCK = (250, 30, 25)
"""A block in the midst of the volume: it has neighbours on all sides."""
_YML = """\
data_source: {EDGES: gs://microns/edges, COMPONENTS: gs://microns/components, WATERSHED: gs://microns/ws}
graph_config: {CHUNK_SIZE: [256, 256, 512]}
"""


def measure_whole(path: str) -> RegionSample:
    """Build all chunks of a small dataset, and count: what PINKY256 records."""
    job = make_job("measured", Dataset.from_file(path), "sqlite:none")
    return measure(job, Region(job.grid.root_layer, (0, 0, 0)))


def sample_of(volume: Volume) -> tuple[Presence, RegionSample]:
    """The volume, full of tissue, and a block of it."""
    grid = ChunkGrid(volume.chunks)
    presence, region = Presence.full(grid), Region(3, _BLOCK)
    small = Presence.full(_GRID)
    voxels = float(np.prod(volume.chunk_size))
    faces = np.mean([voxels / size for size in volume.chunk_size]) / _FACE_VOXELS
    a_chunk = volume.supervoxels / grid.chunk_count(2) / (PINKY256[2].supervoxels / PINKY256[2].chunks)
    layers = {}
    for layer, known in PINKY256.items():
        chunks = 8 ** (3 - layer)
        surface = chunks * presence.surface(layer, tuple(at << (3 - layer) for at in _BLOCK))
        contacts = faces * surface / small.faces(layer)
        content = a_chunk * chunks / known.chunks if layer == 2 else contacts
        scaled = {name: round(value * content) for name, value in vars(known).items()}
        scaled |= {name: round(getattr(known, name) * contacts) for name in ("sent_edges", "sent_bytes")}
        scaled["largest"] = round(known.largest * (a_chunk if layer == 2 else faces))
        layers[layer] = LayerSample(**scaled | {"chunks": chunks})
    return presence, RegionSample(region, layers)


def plan_of(volume: Volume) -> Plan:
    """The plan of a volume that is described."""
    presence, sample = sample_of(volume)
    dataset = Dataset.from_text(_YML, "microns.yml")
    job = IngestJob("microns", dataset, presence.grid, (4.0, 4.0, 40.0), "sqlite:none")
    wishes = Wishes(hours=volume.hours)
    found = estimate(presence, [sample])
    made = bill(job, found, known_prices(wishes), wishes.nodes, hours=volume.hours)
    return Plan(job, found, made, presence.chunks, 1, "")


def main() -> None:
    """Print the plan."""
    print("\n".join(lines_of(plan_of(MICRONS))))


if __name__ == "__main__":
    main()
