"""``beam-ingest report``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_settings
from beam_ingest.cli.sizes import count_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    parser.add_argument("out", metavar="OUT.html", nargs="?", help="file to write; not with --png")
    add_settings(parser)
    parser.add_argument("--png", metavar="DIR", help="write the pictures alone, into this folder")
    parser.add_argument(
        "--verify", metavar="FILE", help="verdict to show: what beam-ingest verify --json printed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write a report."""
    with importing():
        from beam_ingest.cli.place import graph_place
        from beam_ingest.dataset import Dataset
        from beam_ingest.errors import ConfigError
        from beam_ingest.report.facts import gather, read_verdict
        from beam_ingest.report.make_report import draw, write_file
        from beam_ingest.report.page import make_page
        from beam_ingest.stores.access import folder_fault

    if (arguments.out is None) == (arguments.png is None):
        raise ConfigError("expected OUT.html, or --png DIR for the pictures alone")
    fault = folder_fault(Path(arguments.png or Path(arguments.out).parent))
    if fault:
        raise ConfigError(fault)
    if arguments.out and Path(arguments.out).is_dir():
        raise ConfigError(f"{arguments.out}: expected a file to write, found a folder")
    dataset = Dataset.from_file(arguments.dataset)
    place = graph_place(arguments, dataset)
    verdict = read_verdict(arguments.verify, arguments.graph_id) if arguments.verify else None
    facts = gather(dataset, arguments.graph_id, place, verdict)
    pictures, unread = draw(facts, place)
    if unread:
        print(f"note: the watershed cannot be read, and is not shown: {unread}", file=sys.stderr)
    if arguments.png:
        for name, content in sorted(pictures.items()):
            write_file(Path(arguments.png, f"{name}.png"), content)
        print(f"wrote {count_of(len(pictures), 'picture')} to {arguments.png}")
    else:
        write_file(arguments.out, make_page(replace(facts, unread=unread), pictures).encode())
        print(f"report: {Path(arguments.out).absolute()}")
    return 0
