"""``beam-ingest failures``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict

from beam_ingest.cli.importing import importing
from beam_ingest.cli.options import add_graph, add_json, add_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_graph(parser)
    add_settings(parser)
    add_json(parser, "print a line of JSON for each failure")


def run(arguments: argparse.Namespace) -> int:
    """List the chunks that could not be built, and why; 1 when there are any."""
    with importing():
        from beam_ingest.cli.place import product_place
        from beam_ingest.dataset import Dataset
        from beam_ingest.stages.failures import read_failures
        from beam_ingest.stages.manifest import read_product
        from beam_ingest.stores import open_store

    dataset = Dataset.from_file(arguments.dataset)
    listed = 0
    place, stage = product_place(arguments, dataset)
    with open_store(place) as store:
        read_product(store, arguments.graph_id, stage)
        for failure in read_failures(store):
            listed += 1
            if arguments.json:  # a line each, since there may be millions
                print(json.dumps(asdict(failure)))
            else:
                when = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(failure.when))
                print(f"layer {failure.layer} chunk {failure.chunk} {when}\n  {failure.cause}")
    if not listed and not arguments.json:
        print("No chunk has failed")
    return 1 if listed else 0
