"""How ``status`` shows progress: a line for each layer, or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

from beam_ingest.cli.sizes import size
from beam_ingest.stages import progress
from beam_ingest.stages.failures import read_failures, summarise
from beam_ingest.stages.manifest import Manifest
from beam_ingest.stages.usage import read_plan, read_usage
from beam_ingest.stores import Store

_WINDOW_SECONDS = 60.0
"""Rates are of the last minute: long enough to be calm, short enough to show that something has changed."""


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


def print_progress(
    store: Store,
    manifest: Manifest,
    layers: list[progress.LayerStatus],
    as_json: bool,
    speed: dict[int, str],
) -> bool:
    """Print progress and failures; returns whether chunks have failed."""
    if as_json:
        failures = list(read_failures(store))
        content = {
            "graph_id": manifest.graph_id,
            "place": store.place,
            "options": manifest.options,
            "timestamp": manifest.timestamp,
            "layers": [asdict(layer) for layer in layers],
            "usage": read_usage(store),
            "plan": read_plan(store),
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
