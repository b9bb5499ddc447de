"""What sampled chunks of a stage that reads voxels came to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from beam_ingest.inputs.stored_voxels import Stored
from beam_ingest.plan.regions import Region

_TURN = threading.Lock()
"""CPU time is that of the whole process, so one sample at a time is measured in it."""


@dataclass
class Amounts:
    """What chunks of one layer came to.

    Attributes:
      chunks: how many were made.
      voxels: voxels that were looked at, of the volume.
      nodes: pieces of supervoxels (`prepare`), rows of nodes (`l2cache`), meshes (`mesh`).
      rows: rows of the stage's table, without those of progress.
      cells: cells of it.
      nbytes: bytes that are made: files, or keys, qualifiers and values of cells.
      stored: bytes of the cells after compression.
      files: objects written.
      read: bytes read, as they are stored.
      reads: objects read.
      shuffled: compressed bytes that are grouped.
      largest: bytes of the largest mesh.
      nanoseconds: CPU time of all this.
    """

    chunks: int = 0
    voxels: int = 0
    nodes: int = 0
    rows: int = 0
    cells: int = 0
    nbytes: int = 0
    stored: int = 0
    files: int = 0
    read: int = 0
    reads: int = 0
    shuffled: int = 0
    largest: int = 0
    nanoseconds: int = 0

    def take(self, stored: Stored) -> None:
        """Count voxels that are read."""
        self.read += stored.nbytes
        self.reads += stored.objects

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the CPU time of what is done within."""
        with _TURN:
            begun = time.process_time_ns()
            try:
                yield
            finally:
                self.nanoseconds += time.process_time_ns() - begun


@dataclass
class StageSample:
    """What a part of the sample came to.

    Attributes:
      region: a chunk, of layer 2 or above.
      whole: whether all voxels of it were looked at.
      layers: its chunks by layer, from 2 up.
      unit: the region that it was chosen with.
    """

    region: Region
    whole: bool = True
    layers: dict[int, Amounts] = field(default_factory=dict)
    unit: Region | None = None
