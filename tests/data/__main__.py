"""Write the sample of this folder again."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from beam_ingest.sample import SampleSpec, write_sample
from tests.data import GRID, INPUTS, VERSIONS, write_cells
from tests.oracle.datasets import load
from tests.oracle.graph import build

BEGAN = (1980, 1, 1, 0, 0, 0)
"""The same for all files, so that the archive is the same whenever it is written."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sample"
        write_sample(folder, SampleSpec(chunks=GRID.chunks, chunk_size=(16, 16, 16), seed=1), processes=1)
        with zipfile.ZipFile(INPUTS, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), BEGAN)
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        for version in VERSIONS:
            write_cells(version, build(load(folder, GRID), version))


main()
