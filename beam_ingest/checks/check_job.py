"""One check: what is looked at, and where the findings go."""

from __future__ import annotations

from dataclasses import dataclass

from beam_ingest.checks.selection import Selection
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.ingest.job import IngestJob

SAMPLE = 8
"""Chunks that are opened by default; of these the voxels of the watershed are read too."""


@dataclass(frozen=True)
class CheckJob:
    """One check; travels to the workers with every transform.

    Attributes:
      ingest: the job that would build the graph.
      count: how many chunks are opened, besides their neighbours; None for all.
      report: URL of the folder that the findings go to.
    """

    ingest: IngestJob
    count: int | None
    report: str

    @property
    def grid(self) -> ChunkGrid:
        """The chunk grid."""
        return self.ingest.grid

    @property
    def selection(self) -> Selection:
        """The chunks that are opened."""
        return Selection(self.grid, self.count)

    @property
    def volumes(self) -> Selection:
        """The chunks whose voxels are read: the sample, and when all chunks are opened SAMPLE of them.

        A chunk's voxels are a thousand times its edges.
        """
        return Selection(self.grid, SAMPLE if self.count is None else self.count)
