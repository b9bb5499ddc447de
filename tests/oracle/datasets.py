"""Datasets for tests: as values, as folders of input files, and as hypothesis strategies."""

from __future__ import annotations

import os
from pathlib import Path

from .files import load, write
from .model import Chunk, Coords, Edge, Grid, OracleDataset
from .strategies import GRIDS, datasets, grids

__all__ = [
    "GRIDS",
    "PINKY256",
    "Chunk",
    "Coords",
    "Edge",
    "Grid",
    "OracleDataset",
    "datasets",
    "find_pinky256",
    "grids",
    "load",
    "write",
]

PINKY256 = Grid((4, 4, 4), spatial_bits=10, layer_id_bits=8)
"""The grid of the real sample that comes with a graph which PyChunkedGraph built."""


def find_pinky256() -> Path | None:
    """The folder of that sample: $BEAM_INGEST_PINKY256, or else beside the repository if it is there."""
    named = os.environ.get("BEAM_INGEST_PINKY256")
    repository = Path(__file__).resolve().parents[2]
    folder = Path(named) if named else repository.parent / "shared" / "data" / "pinky256"
    if (folder / "golden.npz").exists():
        return folder
    if named:
        raise FileNotFoundError(f"BEAM_INGEST_PINKY256 is {named!r}, where no golden.npz is")
    return None
