"""``beam-ingest sample``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from beam_ingest.cli.importing import importing
from beam_ingest.cli.sizes import size
from beam_ingest.errors import StoreError

_SECONDS_OF_LINES = 10.0
"""On no terminal, a line tells of progress so often."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("directory", metavar="DIR", help="folder to write to; made if it does not exist")
    for name, default, text in (
        ("--chunks", (4, 4, 4), "chunks along each axis"),
        ("--chunk-size", (48, 48, 48), "voxels of a chunk along each axis"),
        ("--offset", (0, 0, 0), "first voxel of the volume"),
    ):
        parser.add_argument(name, type=int, nargs=3, default=default, metavar=("X", "Y", "Z"), help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing sample")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the random numbers")
    parser.add_argument(
        "--volumes", action="store_true", help="write two volumes as well, and volumes.yml to prepare them"
    )
    parser.add_argument(
        "--data-version", type=int, choices=(2, 3, 4), default=4, help="layout of the raw edge records"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write a sample dataset."""
    with importing():
        from rich.console import Console
        from rich.progress import Progress

        from beam_ingest.files import resolve_local
        from beam_ingest.sample import SampleSpec, write_sample

    spec = SampleSpec(
        chunks=tuple(arguments.chunks),
        chunk_size=tuple(arguments.chunk_size),
        seed=arguments.seed,
        data_version=arguments.data_version,
        voxel_offset=tuple(arguments.offset),
        volumes=arguments.volumes,
    )
    console = Console(file=sys.stderr)
    start = told = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal told
        bar.update(task, completed=done, total=total)
        if not console.is_terminal and time.monotonic() - told >= _SECONDS_OF_LINES:
            told = time.monotonic()
            print(f"sample: {done:,} / {total:,} steps", file=sys.stderr, flush=True)

    try:
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("sample")
            counts = write_sample(
                arguments.directory,
                spec,
                show,
                overwrite=arguments.overwrite,
            )
    except OSError as error:
        raise StoreError(f"{arguments.directory}: the sample cannot be written: {error.strerror}") from error
    print(f"wrote a sample of {counts.chunks} chunks in {time.monotonic() - start:.1f} s")
    print(f"  supervoxels  {counts.supervoxels:,}")
    print(f"  edges        {counts.edges:,}")
    print(f"  size         {size(counts.bytes)}")
    folder = Path(resolve_local(arguments.directory))
    print(f"  dataset file {folder / 'dataset.yml'}")
    if spec.volumes:
        print(f"  to prepare   {folder / 'volumes.yml'}")
    return 0
