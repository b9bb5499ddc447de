"""Measuring what the layers of a run take, as metrics that its runner adds up.

It is measured where cells are written, which every stage does: a bundle's thread reads, builds and hands
over, another one sends.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from beam_ingest.stages.usage import LayerUsage

_NAMESPACE = re.compile(r"Layer (\d+)")
_CPU, _AT, _PEAK = "cpu_microseconds", "at_milliseconds", "peak_kilobytes"


class Meter:
    """Counts what the bundles of one layer take.

    Args:
      namespace: of the metrics, ``Layer N``.
    """

    def __init__(self, namespace: str) -> None:
        self._cpu = beam.metrics.Metrics.counter(namespace, _CPU)
        self._at = beam.metrics.Metrics.distribution(namespace, _AT)
        self._peak = beam.metrics.Metrics.distribution(namespace, _PEAK)
        self._begun = 0

    def begin(self) -> None:
        """A bundle begins, in this thread."""
        self._begun = time.thread_time_ns()
        self._at.update(time.time_ns() // 1_000_000)

    def end(self, elsewhere: int) -> None:
        """The bundle ends.

        Args:
          elsewhere: nanoseconds of CPU that other threads took for it.
        """
        self._cpu.inc((time.thread_time_ns() - self._begun + elsewhere) // 1000)
        self._at.update(time.time_ns() // 1_000_000)
        self._peak.update(_peak_bytes() // 1024)


def _peak_bytes() -> int:
    """The most memory that this process has had; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_metrics(result: Any) -> list[LayerUsage]:
    """What the layers of a run took, by the metrics of its result; none of a runner that has no metrics."""
    try:
        found = result.metrics().query()
    except (NotImplementedError, AttributeError):
        return []
    counters = {key: each.result or 0 for each in found["counters"] for key in _keys(each)}
    spreads = {key: each.result for each in found["distributions"] for key in _keys(each)}
    layers = []
    for layer in sorted({layer for layer, name in counters if name == _CPU}):
        at, peak = spreads.get((layer, _AT)), spreads.get((layer, _PEAK))
        layers.append(
            LayerUsage(
                layer,
                round(counters[layer, _CPU] / 1e6, 3),
                round((at.max - at.min) / 1e3, 3) if at else 0.0,
                int(counters.get((layer, "nbytes"), 0)),
                1024 * int(peak.max) if peak else 0,
            )
        )
    return layers


def _keys(result: Any) -> Iterable[tuple[int, str]]:
    found = _NAMESPACE.fullmatch(result.key.metric.namespace or "")
    return [(int(found[1]), result.key.metric.name)] if found else []
