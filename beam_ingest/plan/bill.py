"""What an estimated graph takes to build - vCPUs, memory, Bigtable nodes, hours - and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.memory import PEAK_BYTES_PER_EDGE, PEAK_BYTES_PER_SUPERVOXEL
from beam_ingest.plan.estimate import Estimate
from beam_ingest.plan.prices import PriceList, billable_shuffle
from beam_ingest.plan.ranges import Range
from beam_ingest.runners.dataflow import MACHINE_TYPE, NODE_ROWS, WORKER_THREADS, max_workers
from beam_ingest.stages.machines import Workers

CHUNK_MILLISECONDS = 2.3
"""CPU a layer-2 chunk, whatever is in it,"""
SUPERVOXEL_MICROSECONDS = 0.95
"""and for each of its supervoxels: together 3.3 us a supervoxel in chunks of 970, 1.1 us of 15,000."""
RAW_FACTOR = 3.0
"""Raw agglomeration takes so many times as much."""
CELL_MICROSECONDS = 0.7
"""CPU a cell in the Bigtable sink."""
BEAM_SHARE = 0.5
"""CPU of Apache Beam, coders and the network on top of all this; measured less, on local runners."""
MACHINES = 1.5
"""So many times faster or slower may a vCPU be than those that were measured."""
LEAST_NODE_ROWS = 10_000
"""What Bigtable's documentation promised of a node earlier: what one may get where rows are large."""
START_HOURS = 0.1
"""Until workers have started, and until they have ended: minutes, on Dataflow."""
SHUFFLE_PASSES = 2.0
"""Dataflow counts what it writes for a shuffle and what it reads of it."""
NODES = (3, 10, 30, 100, 300)
"""Sizes of a Bigtable cluster that are compared by default."""
_MACHINE_TYPES = (MACHINE_TYPE, "n2-highmem-4", "n2-highmem-8", "n2-highmem-16", "n2-highmem-32")
_HOUR = 3600.0
_SOURCES = {
    "vcpu_hours": f"{CHUNK_MILLISECONDS} ms a chunk, {SUPERVOXEL_MICROSECONDS} us a supervoxel (make bench), "
    f"{CELL_MICROSECONDS} us a cell (make bench-sink), {BEAM_SHARE:.0%} on top for Apache Beam and the "
    f"network; raw agglomeration {RAW_FACTOR:.0f} times as much a chunk and supervoxel (docs/performance.md)",
    "node_hours": f"{NODE_ROWS:,} rows a second a node with SSD, {LEAST_NODE_ROWS:,} at least "
    "(https://cloud.google.com/bigtable/docs/performance)",
    "storage_bytes": "the sample's cells, compressed with zstd; Bigtable's own compression is not "
    "documented, and may be nothing at all",
    "memory": f"{PEAK_BYTES_PER_EDGE} bytes for each edge, {PEAK_BYTES_PER_SUPERVOXEL} for each supervoxel "
    "(docs/scale.md)",
    "shuffled_bytes": f"compressed messages of the sample; Dataflow counts them {SHUFFLE_PASSES:.0f} times",
    "hours": f"the longer of computing and writing, and {START_HOURS} hours for workers to start and end",
}
"""Where constants are from."""


@dataclass(frozen=True)
class Option:
    """A size of the Bigtable cluster, and what a graph takes with it.

    Attributes:
      nodes: Bigtable nodes; 0 of a stage that writes files.
      workers: Dataflow workers, at the most.
      hours: how long it takes.
      dollars: what it costs, a month of storage included; None without prices.
    """

    nodes: int
    workers: int
    hours: Range
    dollars: Range | None


@dataclass(frozen=True)
class Bill:
    """What a graph takes, and costs.

    Attributes:
      estimates: figures by name, as ``plan --json`` has them.
      machine_type: of the workers.
      worker_memory: bytes of a worker's memory that its largest bundles may fill at once, by layer.
      options: sizes of the cluster, ascending.
      best: the option to take: the cheapest that is fast enough; None when none is.
      prices: the price list; None without one.
      sources: where constants are from, by figure.
      by_nodes: whether options differ in their Bigtable nodes, or in their workers alone.
      vcpu_hours_by_layer: of stages that are measured layer by layer.
    """

    estimates: dict[str, Range]
    machine_type: str
    worker_memory: dict[int, float]
    options: list[Option]
    best: Option | None
    prices: PriceList | None
    sources: dict[str, str]
    by_nodes: bool = True
    vcpu_hours_by_layer: Mapping[int, Range] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "estimates": {name: value.as_dict() for name, value in self.estimates.items()},
            "machine_type": self.machine_type,
            "clusters": [
                {
                    "nodes": option.nodes if self.by_nodes else None,
                    "workers": option.workers,
                    "hours": option.hours.as_dict(),
                    "dollars": None if option.dollars is None else option.dollars.as_dict(),
                }
                for option in self.options
            ],
            "suggested_nodes": None if self.best is None or not self.by_nodes else self.best.nodes,
            "suggested_workers": None if self.best is None else self.best.workers,
            "prices": None if self.prices is None else self.prices.as_dict(),
            "sources": self.sources,
        }


def bill(
    job: IngestJob,
    found: Estimate,
    prices: PriceList | None,
    nodes: Sequence[int] = NODES,
    machine_type: str | None = None,
    hours: float | None = None,
) -> Bill:
    """What an estimated graph takes.

    Args:
      job: the job that would build it.
      found: the estimate.
      prices: what things cost, if that is known.
      nodes: sizes of the cluster to compare.
      machine_type: of the workers; by default the smallest that holds the largest groups.
      hours: the longest that it may take.
    """
    estimates = _estimates(job, found)
    memory = {
        layer: each.largest.expected
        * (PEAK_BYTES_PER_SUPERVOXEL if layer == ATOMIC_LAYER else PEAK_BYTES_PER_EDGE)
        for layer, each in found.layers.items()
    }
    chosen = machine_type or smallest_machine(job.grid, memory)
    needed = {
        layer: each * min(job.grid.chunk_count(layer), Workers.of(chosen, WORKER_THREADS).bundles)
        for layer, each in memory.items()
    }
    options = [_option(job, estimates, prices, chosen, count) for count in sorted(set(nodes))]
    return Bill(estimates, chosen, needed, options, best_option(options, hours), prices, _SOURCES)


def best_option(options: Sequence[Option], hours: float | None) -> Option | None:
    """The cheapest option that takes no more than so many hours; of options without prices the fastest."""
    fast = [option for option in options if hours is None or option.hours.expected <= hours]
    return min(fast, key=lambda option: (option.dollars or option.hours).expected, default=None)


def _estimates(job: IngestJob, found: Estimate) -> dict[str, Range]:
    rows, cells, nbytes = (found.total(name) for name in ("rows", "cells", "nbytes"))
    chunks = job.grid.chunk_count(ATOMIC_LAYER)
    factor = RAW_FACTOR if job.raw else 1.0
    seconds = (
        Range.exact(chunks * CHUNK_MILLISECONDS * factor / 1e3)
        + found.supervoxels * (SUPERVOXEL_MICROSECONDS * factor / 1e6)
        + cells * (CELL_MICROSECONDS / 1e6)
    )
    vcpu = seconds * Range(1 / MACHINES, 1 + BEAM_SHARE, (1 + BEAM_SHARE) * MACHINES)
    layer_two = found.layers[ATOMIC_LAYER]
    share = found.stored.expected / layer_two.nbytes.expected if layer_two.nbytes.expected else 1.0
    return {
        "supervoxels": found.supervoxels,
        "nodes": found.total("nodes"),
        "edges": layer_two.edges,
        "top_edges": found.layers[job.grid.root_layer].edges,
        "rows": rows,
        "cells": cells,
        "table_bytes": nbytes,
        "storage_bytes": Range(nbytes.low * share, nbytes.expected * (1 + share) / 2, nbytes.high),
        "read_bytes": found.read,
        "files": Range.exact(_files(job)),
        "shuffled_bytes": found.total("shuffled") + found.grouped,
        "vcpu_hours": vcpu * (1 / _HOUR),
        "node_hours": rows * Range(1 / NODE_ROWS, 1 / NODE_ROWS, 1 / LEAST_NODE_ROWS) * (1 / _HOUR),
        "largest_group_edges": max(
            (each.largest for layer, each in found.layers.items() if layer > ATOMIC_LAYER),
            key=lambda largest: largest.expected,
        ),
    }


def _files(job: IngestJob) -> int:
    """Input files that are asked for, whether they are there or not."""
    chunks = job.grid.chunk_count(ATOMIC_LAYER)
    if not job.raw:
        return 2 * chunks
    blocks = [math.prod(-((-n) >> mip) for n in job.grid.chunks) for mip in range(job.grid.layer_count - 1)]
    return 3 * chunks + sum(blocks)


def smallest_machine(grid: ChunkGrid, memory: Mapping[int, float]) -> str:
    """The smallest type of machine that holds as many of the largest chunks as it builds at once.

    Args:
      grid: the chunk grid.
      memory: bytes that the largest chunk takes, by layer.
    """
    for machine_type in _MACHINE_TYPES:
        workers = Workers.of(machine_type, WORKER_THREADS)
        most = max(each * min(grid.chunk_count(n), workers.bundles) for n, each in memory.items())
        if most <= workers.nbytes / 2:  # the rest is for everything else
            return machine_type
    return _MACHINE_TYPES[-1]


def _option(
    job: IngestJob, estimates: dict[str, Range], prices: PriceList | None, machine_type: str, nodes: int
) -> Option:
    workers = max_workers(job, machine_type, nodes)
    machine = Workers.of(machine_type, WORKER_THREADS)
    vcpus = workers * machine.vcpus
    computing, writing = estimates["vcpu_hours"] * (1 / vcpus), estimates["node_hours"] * (1 / nodes)
    hours = Range(
        *(
            max(getattr(computing, end), getattr(writing, end)) + START_HOURS
            for end in ("low", "expected", "high")
        )
    )
    dollars = None
    if prices is not None:
        gigabytes = vcpus / machine.vcpus * machine.nbytes / (1 << 30)
        worker_hour = prices.cost("dataflow_vcpu", vcpus) + prices.cost("dataflow_memory", gigabytes)
        shuffled = estimates["shuffled_bytes"] * (SHUFFLE_PASSES / 1e9)
        written = estimates["files"].expected if job.raw and job.dataset.edges else 0.0
        once = prices.cost("storage_read", estimates["files"].expected / 1000)
        once += prices.cost("storage_write", written / 1000)
        dollars = Range(
            *(
                getattr(hours, end) * worker_hour
                + math.ceil(getattr(hours, end)) * prices.cost("bigtable_node", nodes)
                + prices.cost("dataflow_shuffle", billable_shuffle(getattr(shuffled, end)))
                + prices.cost("bigtable_ssd", getattr(estimates["storage_bytes"], end) / (1 << 30))
                + once
                for end in ("low", "expected", "high")
            )
        )
    return Option(nodes, workers, hours, dollars)
