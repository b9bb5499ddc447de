"""The datasets that are measured: samples of 8, 64, 512 or 4,096 chunks, each made once and kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path("build", "benchmarks")
"""Where samples and figures are kept."""
CHUNK_SIZE = 48
"""Voxels of a chunk along each axis, as `beam-ingest sample` has it."""


def program() -> str:
    """The installed `beam-ingest` of this Python."""
    return str(Path(sys.executable).parent / "beam-ingest")


def sample(folder: Path, chunks: int, chunk_size: int = CHUNK_SIZE) -> Path:
    """The dataset file of a cube of chunks, made if it is not there.

    Beside it stands ``raw.yml``, the same dataset with folders of its own for the files that raw runs
    write, so that they leave those alone that other runs read.

    Args:
      folder: where the samples are kept.
      chunks: how many, a cube of a power of two.
      chunk_size: voxels of each along each axis.
    """
    side = round(chunks ** (1 / 3))
    if side**3 != chunks or side < 2 or side & (side - 1):
        raise SystemExit(f"{chunks} chunks: expected 8, 64, 512 or 4096, a cube of a power of two")
    directory = folder / f"{chunks}_chunks_of_{chunk_size}"
    dataset = directory / "dataset.yml"
    if not (directory / "raw.yml").exists():  # written last
        print(f"making a sample of {chunks:,} chunks ...", file=sys.stderr, flush=True)
        sides = [[str(number)] * 3 for number in (side, chunk_size)]
        options = ["--chunks", *sides[0], "--chunk-size", *sides[1]]
        subprocess.run([program(), "sample", str(directory), *options], check=True, stdout=subprocess.DEVNULL)
        text = dataset.read_text()
        for name in ("edges", "components"):
            assert f"./{name}" in text, f"{dataset} names its folder of {name} otherwise"
            text = text.replace(f"./{name}", f"./raw_{name}")
        (directory / "raw.yml").write_text(text)
    return dataset


def warm(dataset: Path) -> None:
    """Read every file once, so that the first to be measured does not wait for the disk."""
    for file in dataset.parent.rglob("*"):
        if file.is_file():
            file.read_bytes()
