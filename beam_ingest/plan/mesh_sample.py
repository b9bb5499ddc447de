"""The sample of ``mesh``: blocks of chunks are meshed and stitched in a temporary folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates, as_coordinates
from beam_ingest.ingest.job import IngestJob
from beam_ingest.meshes.build import MeshBuilder
from beam_ingest.meshes.job import BYTES_PER_VOXEL, FIXED_BYTES, MeshJob, mesh_job
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.shards import index_size
from beam_ingest.meshes.tree import nodes_of_several, parts_of
from beam_ingest.plan.amounts import Amounts, StageSample
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.measure import measure
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region, choose, chunks_of
from beam_ingest.plan.samplers import Triple, VoxelSampler, affordable, cropped
from beam_ingest.reader import GraphReader
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stores.sqlite import SQLiteStore

MOST_VOXELS = 20_000_000
"""Voxels of a sample: 15 to 100 seconds of one core, by how rough surfaces are."""
_STRETCH = 2
"""Blocks of up to so many times as many voxels are meshed whole, for what is stitched of them."""
_MEMORY_PER_BYTE = 100
"""Memory of a mesh and its parts while they are stitched, for each byte of it encoded (docs/meshes.md)."""
_TIMESTAMP = 1000


@dataclass(frozen=True)
class MeshSampler(VoxelSampler):
    """The sample of ``mesh``; further attributes as of `VoxelSampler`.

    Attributes:
      inputs: a job that would build the graph.
      blocks: how many blocks of chunks are meshed.
      most: voxels of each that are looked at, if it has more: then nothing is stitched; None for all.
    """

    job: MeshJob
    inputs: IngestJob
    blocks: int
    most: int | None

    per_chunk: ClassVar[frozenset[str]] = frozenset({"rows", "cells", "files"})
    nodes_are: ClassVar[str] = "meshes"
    memory_source: ClassVar[str] = (
        f"{BYTES_PER_VOXEL} bytes a voxel of a chunk of layer 2; above, {_MEMORY_PER_BYTE} bytes for each "
        "byte of the largest mesh (docs/meshes.md)"
    )

    @classmethod
    def of(
        cls, job: MeshJob, inputs: IngestJob, blocks: int, most: int = MOST_VOXELS, least: int = 2
    ) -> MeshSampler:
        """A sample of so many blocks, or of about `most` voxels if these are fewer."""
        whole = 8 * int(np.prod(job.space.block))
        count = affordable(whole, most, blocks, least)
        crop = None if whole * count <= _STRETCH * most else most // count
        return cls(job, job.size, job.space.block, inputs, count, crop)

    @classmethod
    def of_dataset(cls, inputs: IngestJob, blocks: int) -> MeshSampler:
        """The sample for a dataset file, whose graph need not be there.

        Raises:
          ConfigError: when the section or the volume is not as it should be.
        """
        job = mesh_job(inputs.graph_id, inputs.dataset, inputs.store)
        return cls.of(job, inputs, blocks)

    @property
    def layers(self) -> range:
        """The layers that are meshed."""
        return range(ATOMIC_LAYER, self.job.last + 1)

    @property
    def most_voxels(self) -> int:
        """Voxels of the sample, if the volume has more."""
        return self.blocks * (self.most or 8 * int(np.prod(self.block)))

    def choose(self, presence: Presence) -> list[Region]:
        """Blocks, spread over those that have files."""
        return choose(presence, self.blocks)

    def measure(self, region: Region, findings: PlanFindings) -> int:
        """Build a region of the graph, mesh its chunks, and stitch them."""
        import DracoPy  # noqa: F401 - before CPU time is measured
        import zmesh  # noqa: F401

        with TemporaryDirectory(prefix="beam-ingest-plan-") as folder:
            store = SQLiteStore(str(Path(folder) / "graph.sqlite"))
            store.create()
            with store:
                graph = measure(self.inputs, region, lambda cells: store.write(cells, _TIMESTAMP))
                parts = self._mesh(store, region, f"{Path(folder).as_uri()}/meshes")
        findings.samples.append(graph)
        findings.parts += parts
        return graph.layers[ATOMIC_LAYER].chunks + graph.around.chunks

    def _mesh(self, store: SQLiteStore, region: Region, folder: str) -> list[StageSample]:
        """Each chunk of layer 2 is a part of the sample; what is stitched is one together."""
        job, grid = self.job, self.grid
        chunks = as_coordinates(chunks_of(grid, region)[0])
        crop: Triple | None = None
        if self.most is not None:
            chunks = chunks[len(chunks) // 2 :][:1]
            crop = cropped(self.block, self.most)
        builder = MeshBuilder(
            store, grid, job.dataset.watershed, job.config, job.dataset.chunk_size, folder, crop
        )
        reader = MeshReader(folder, grid, job.config.minishard_bits)
        parts = []
        for coords in chunks:
            found = Amounts()
            self._chunk(builder, reader, found, ATOMIC_LAYER, coords)
            self._voxels(builder, found, coords, crop or self.block)
            at = Region(ATOMIC_LAYER, coords)
            parts.append(StageSample(at, crop is None, {ATOMIC_LAYER: found}, region))
        graph, above = GraphReader(store, grid), StageSample(region)
        for layer in range(BLOCK_LAYER, min(region.layer, job.last) + 1) if crop is None else ():
            found = above.layers[layer] = Amounts()
            shift = layer - ATOMIC_LAYER
            for coords in sorted({(x >> shift, y >> shift, z >> shift) for x, y, z in chunks}):
                self._chunk(builder, reader, found, layer, coords)
                found.reads += int(parts_of(graph, nodes_of_several(graph, layer, coords)).values.size)
            found.read = found.nbytes  # meshes hardly change when they are joined
        return [*parts, above] if above.layers else parts

    def _chunk(
        self, builder: MeshBuilder, reader: MeshReader, found: Amounts, layer: int, coords: Coordinates
    ) -> None:
        chunk = self.grid.chunk_id(layer, coords)
        with found.timed():
            made = builder.chunk(chunk)
        sizes = [place.size for place in reader.contents(chunk)[1]]
        found.chunks += 1
        found.files += 1
        found.rows += 1
        found.cells += 1
        found.nodes += made.meshes
        found.nbytes += made.nbytes
        found.largest = max([found.largest, *sizes])

    def _voxels(self, builder: MeshBuilder, found: Amounts, coords: Coordinates, box: Triple) -> None:
        extents = (
            min(int(extent[c]), most) for extent, c, most in zip(self.extents(), coords, box, strict=True)
        )
        x, y, z = extents
        found.voxels += x * y * z
        low = [c * n for c, n in zip(coords, self.block, strict=True)]
        found.take(builder.voxels.stored(low, np.array(box) + 1))

    def least_bytes(self, layer: int) -> int:
        """The index that a file begins with."""
        return index_size(self.job.config.minishard_bits[layer])

    def files(self, layer: int) -> int:
        """One for a chunk."""
        return self.grid.chunk_count(layer)

    def memory(self, layer: int, largest: float) -> float:
        """By the voxels of a chunk; above layer 2 by its largest mesh."""
        if layer == ATOMIC_LAYER:
            return float(self.job.chunk_bytes)
        return FIXED_BYTES + _MEMORY_PER_BYTE * largest
