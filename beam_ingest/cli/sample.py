"""``beam-ingest sample``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from beam_ingest.cli.sizes import size
from beam_ingest.errors import StoreError
from beam_ingest.files import resolve_local
from beam_ingest.sample import SampleSpec, write_sample


def run(arguments: argparse.Namespace) -> int:
    """Write a sample dataset."""
    spec = SampleSpec(
        chunks=tuple(arguments.chunks),
        chunk_size=tuple(arguments.chunk_size),
        seed=arguments.seed,
        data_version=arguments.data_version,
        voxel_offset=tuple(arguments.offset),
    )
    console = Console(file=sys.stderr)
    start = time.monotonic()
    try:
        with Progress(console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("sample")
            counts = write_sample(
                arguments.directory,
                spec,
                lambda done, total: bar.update(task, completed=done, total=total),
                overwrite=arguments.overwrite,
            )
    except OSError as error:
        raise StoreError(f"{arguments.directory}: the sample cannot be written: {error.strerror}") from error
    print(f"wrote a sample of {counts.chunks} chunks in {time.monotonic() - start:.1f} s")
    print(f"  supervoxels  {counts.supervoxels:,}")
    print(f"  edges        {counts.edges:,}")
    print(f"  size         {size(counts.bytes)}")
    print(f"  dataset file {Path(resolve_local(arguments.directory), 'dataset.yml')}")
    return 0
