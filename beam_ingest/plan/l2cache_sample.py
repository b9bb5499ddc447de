"""The sample of ``l2cache``: the rows of chunks are computed, but not written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates
from beam_ingest.ingest.build import Builder
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.replay import read_inputs
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.l2cache.build import cache_nodes
from beam_ingest.l2cache.job import BYTES_PER_VOXEL, L2CacheJob, l2cache_job
from beam_ingest.plan.amounts import Amounts, StageSample
from beam_ingest.plan.findings import PlanFindings
from beam_ingest.plan.measure import stored_bytes
from beam_ingest.plan.presence import Presence
from beam_ingest.plan.regions import Region
from beam_ingest.plan.samplers import VoxelSampler, affordable, spread_chunks

MOST_VOXELS = 300_000_000
"""Voxels of a sample: half a minute of one core."""


@dataclass(frozen=True)
class L2CacheSampler(VoxelSampler):
    """The sample of ``l2cache``; further attributes as of `VoxelSampler`.

    Attributes:
      inputs: a job that would build the graph: nodes are those that it would have.
      count: for how many chunks rows are computed.
    """

    job: L2CacheJob
    inputs: IngestJob
    count: int

    writes_cells: ClassVar[bool] = True
    memory_source: ClassVar[str] = f"{BYTES_PER_VOXEL} bytes a voxel (docs/l2cache.md)"

    @classmethod
    def of(cls, job: L2CacheJob, inputs: IngestJob, blocks: int, most: int = MOST_VOXELS) -> L2CacheSampler:
        """A sample of as many chunks as so many blocks have, or of about `most` voxels if these are fewer."""
        watershed = WatershedVoxels(job.dataset.watershed, job.dataset.cv_mip)
        count = affordable(int(np.prod(job.shape)), most, 8 * blocks)
        return cls(job, watershed.size, job.shape, inputs, count)

    @classmethod
    def of_dataset(cls, inputs: IngestJob, blocks: int) -> L2CacheSampler:
        """The sample for a dataset file, whose graph need not be there.

        Raises:
          ConfigError: when the section or the volume is not as it should be.
        """
        job = l2cache_job(inputs.graph_id, inputs.dataset, inputs.store)
        return cls.of(job, inputs, blocks)

    @property
    def most_voxels(self) -> int:
        """Voxels of the sample, if the volume has more."""
        return self.count * int(np.prod(self.block))

    def choose(self, presence: Presence) -> list[Region]:
        """Chunks, spread over those that have files."""
        return list(spread_chunks(presence, self.count))

    def measure(self, region: Region, findings: PlanFindings) -> int:
        """Compute the rows of a chunk."""
        job, coords = self.job, region.coords
        supervoxels, parents = self._nodes(coords)
        watershed = WatershedVoxels(job.dataset.watershed, job.dataset.cv_mip)
        found = Amounts(chunks=1, voxels=self.chunk_voxels(coords))
        with found.timed():
            made = cache_nodes(job, watershed, coords, supervoxels, parents)
        if supervoxels.size:
            low = [c * n for c, n in zip(coords, job.shape, strict=True)]
            found.take(watershed.stored(low, job.shape))
        counts = made.counts
        found.nodes, found.rows, found.cells = counts.nodes, counts.rows, counts.cells
        found.nbytes, found.stored = counts.nbytes, stored_bytes(made.cells)
        findings.parts.append(StageSample(region, layers={ATOMIC_LAYER: found}))
        return 1

    def _nodes(self, coords: Coordinates) -> tuple[Ids, Ids]:
        """The supervoxels of a chunk and the node of each, as the graph would have them."""
        ((_, edges, components),) = read_inputs(self.inputs, [coords])
        for column in Builder(self.inputs).atomic(coords, edges, components).cells:
            if column.name == table.PARENT:
                parents = np.frombuffer(column.data.tobytes(), "<u8").astype(np.uint64)
                return column.keys.astype("S20").astype(np.uint64), parents
        return np.empty(0, np.uint64), np.empty(0, np.uint64)

    def memory(self, layer: int, largest: float) -> float:
        """By the voxels of a chunk."""
        return float(self.job.chunk_bytes)
