"""``beam-ingest prepare``."""

from __future__ import annotations

import argparse

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_dataset(parser)
    parser.add_argument("--test", action="store_true", help="only what graph --test reads")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote")
    existing.add_argument("--resume", action="store_true", help="finish what an earlier run began")


def run(arguments: argparse.Namespace) -> int:
    """Make edges, components and a watershed of volumes."""
    with importing():
        from beam_ingest.cli import preparing
    return preparing.run(arguments)
