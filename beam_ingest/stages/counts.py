"""What was built, as numbers that add up."""

from __future__ import annotations

from dataclasses import dataclass

from beam_ingest.stages.sums import Sums


@dataclass(frozen=True)
class Counts(Sums):
    """What was built.

    Attributes:
      supervoxels: at layer 2, supervoxels.
      nodes: nodes made.
      edges: edges read (layer 2) or received from children.
      rows: rows of the table that were not there before.
      cells: cells written.
      nbytes: bytes of row keys, qualifiers and values written.
      missing: at layer 2, input files that were not there.
      failed: chunks that could not be built.
      empty: at layer 2, edges files of no bytes.
      mapped: at layer 2, chunks with supervoxels in components.
      between: at layer 2, edges between supervoxels of two chunks, other than cut ones.
      joined: those of them that are active.
      unmentioned: supervoxels that the watershed has and no edge mentions, where they are looked for.
      voxels: voxels of the watershed that were read to find them.
      unstored: blocks of the watershed that were not stored.
    """

    supervoxels: int = 0
    nodes: int = 0
    edges: int = 0
    rows: int = 0
    cells: int = 0
    nbytes: int = 0
    missing: int = 0
    failed: int = 0
    empty: int = 0
    mapped: int = 0
    between: int = 0
    joined: int = 0
    unmentioned: int = 0
    voxels: int = 0
    unstored: int = 0
