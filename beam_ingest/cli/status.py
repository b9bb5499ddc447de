"""``beam-ingest status``."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from beam_ingest.cli.place import graph_place
from beam_ingest.cli.sizes import size
from beam_ingest.cli.streams import reader_left
from beam_ingest.dataset import Dataset
from beam_ingest.errors import UnavailableError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.runners.settings import Settings
from beam_ingest.stages import progress
from beam_ingest.stages.failures import read_failures, summarise
from beam_ingest.stages.manifest import Manifest, read_graph
from beam_ingest.stages.scope import Scope
from beam_ingest.stores import Store, open_store

if TYPE_CHECKING:
    from beam_ingest.runners.flex import DataflowJob

_SECONDS = 1.0
_WINDOW_SECONDS = 60.0
"""Rates are of the last minute: long enough to be calm, short enough to show that something has changed."""


def run(arguments: argparse.Namespace) -> int:
    """Show how far each layer is built; 1 when chunks have failed."""
    dataset = Dataset.from_file(arguments.dataset)
    place = graph_place(arguments, dataset)
    with open_store(place) as store:
        return _run(arguments, dataset, place, store)


def _run(arguments: argparse.Namespace, dataset: Dataset, place: str, store: Store) -> int:
    if arguments.settings and place.startswith("bigtable:") and not arguments.json:
        job = _show_job(Settings.from_file(arguments.settings), place)
        if job and not job.ended and not store.exists():
            print("the launcher has not made the table yet")
            return 0
    manifest = read_graph(store, arguments.graph_id)
    # As the graph was begun: the dataset file may be another by now.
    begun = Dataset.from_text(manifest.dataset, dataset.path)
    grid = ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits)
    scope = Scope(grid, manifest.options["test"])
    speed = Speed()
    while True:
        layers = progress.read_status(store, grid)
        failed = _show(store, manifest, layers, arguments.json, speed.of(layers, time.monotonic()))
        if not arguments.watch or progress.is_complete(layers, scope) or reader_left():
            return 1 if failed else 0
        store.close()  # lest it be removed meanwhile, and we go on reading the removed one
        time.sleep(_SECONDS)
        print()


def _show_job(settings: Settings, place: str) -> DataflowJob | None:
    """Print the state of the graph's Dataflow job, and why it failed if it did."""
    from beam_ingest.runners import flex

    try:
        job = flex.latest(settings, place)
        if job:
            print(f"job     : {job.job_id} {job.state}", flush=True)
        if job and job.failed:
            print(*(f"  {line}" for line in flex.why(settings, job.job_id)), sep="\n", flush=True)
    except UnavailableError as error:  # the table tells all the same
        print(f"job     : {error}", flush=True)
        return None
    return job


class Speed:
    """How fast layers are built, from looks at their progress; the first look tells nothing yet."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, list[progress.LayerStatus]]] = []

    def of(self, layers: list[progress.LayerStatus], now: float) -> dict[int, str]:
        """What to say of each layer that is being built: rate, time left, bytes written.

        Args:
          layers: their progress.
          now: seconds of any clock.
        """
        self._looks.append((now, layers))
        while now - self._looks[0][0] > _WINDOW_SECONDS:
            self._looks.pop(0)
        then, before = self._looks[0]
        said = {}
        for old, new in zip(before, layers, strict=True):
            if new.done > old.done and new.done < new.total:
                rate = (new.done - old.done) / (now - then)
                left = timedelta(seconds=round((new.total - new.done) / rate))
                said[new.layer] = f"{rate:.1f} chunks/s, {left} left, {size(new.counts.nbytes)} written"
        return said


def _show(
    store: Store,
    manifest: Manifest,
    layers: list[progress.LayerStatus],
    as_json: bool,
    speed: dict[int, str],
) -> bool:
    """Print all of it; gives whether chunks have failed."""
    if as_json:
        failures = list(read_failures(store))
        content = {
            "graph_id": manifest.graph_id,
            "place": store.place,
            "options": manifest.options,
            "timestamp": manifest.timestamp,
            "layers": [asdict(layer) for layer in layers],
            "failed": len({failure.chunk for failure in failures}),
            "failures": [asdict(failure) for failure in failures],
        }
        print(json.dumps(content), flush=True)
        return bool(failures)
    for layer in layers:
        said = speed.get(layer.layer)
        print(f"{layer.line}  {said}" if said else layer.line, flush=True)
    failed = summarise(store)
    if failed:
        print(f"failed  : {failed.count}", flush=True)
        for cause in failed.causes:
            print(f"  {cause}", flush=True)
    return failed is not None
