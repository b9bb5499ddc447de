"""A sample that everyone has: inputs, and the cells that the oracle makes of them.

``python -m tests.data`` writes both again. The inputs are of `beam_ingest.sample`, in every format; the
cells are of tests/oracle, which shares no code with the builder.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.oracle.cells import Cells
from tests.oracle.datasets import Grid

FOLDER = Path(__file__).parent
INPUTS = FOLDER / "inputs.zip"
GRID = Grid((3, 3, 2))
VERSIONS = (2, 3)
_FAMILIES = np.dtype("S1")


def unpack(folder: Path) -> Path:
    """Put the inputs into a folder; returns the path of the dataset file."""
    with zipfile.ZipFile(INPUTS) as archive:
        archive.extractall(folder)
    return folder / "dataset.yml"


def cells_file(version: int) -> Path:
    """Where the cells of a graph version are."""
    return FOLDER / f"cells_{version}.npz"


def read_cells(version: int) -> Cells:
    """The cells of a graph version, decompressed."""
    with np.load(cells_file(version)) as file:
        keys = zip(file["rows"].tolist(), file["families"].tolist(), file["qualifiers"].tolist(), strict=True)
        data, ends = file["values"].tobytes(), np.cumsum(file["sizes"]).tolist()
    starts = [0, *ends[:-1]]
    return {
        (row, family.decode(), qualifier): data[start:end]
        for (row, family, qualifier), start, end in zip(keys, starts, ends, strict=True)
    }


def write_cells(version: int, cells: Cells) -> None:
    """Write the cells of a graph version."""
    keys = sorted(cells)
    np.savez_compressed(
        cells_file(version),
        rows=np.array([row for row, _, _ in keys]),
        families=np.array([family.encode() for _, family, _ in keys], _FAMILIES),
        qualifiers=np.array([qualifier for _, _, qualifier in keys]),
        sizes=np.array([len(cells[key]) for key in keys]),
        values=np.frombuffer(b"".join(cells[key] for key in keys), np.uint8),
    )
