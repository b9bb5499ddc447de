"""What an estimated stage takes - vCPUs, memory, hours - and what that costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.inputs.stored_voxels import BYTES_PER_VOXEL
from beam_ingest.plan.bill import (
    CELL_MICROSECONDS,
    LEAST_NODE_ROWS,
    MACHINES,
    NODES,
    SHUFFLE_PASSES,
    START_HOURS,
    Bill,
    Option,
    best_option,
    smallest_machine,
)
from beam_ingest.plan.prices import PriceList, billable_shuffle
from beam_ingest.plan.ranges import Range
from beam_ingest.plan.samplers import VoxelSampler
from beam_ingest.plan.stage_estimate import StageEstimate
from beam_ingest.runners.dataflow import NODE_ROWS, WORKER_THREADS, max_workers
from beam_ingest.stages.machines import Workers

WORKERS = (1, 3, 10, 30, 100, 300)
"""Numbers of workers that are compared by default, where Bigtable is not what limits a stage."""
OVERHEAD = 0.1
"""CPU of Apache Beam, of writing and of the network on top of what is measured; a local run of the synthetic
sample took 6 % less to 14 % more than its sample."""
_NANOSECONDS = 3.6e12
"""In an hour."""


def stage_bill(
    sampler: VoxelSampler,
    found: StageEstimate,
    prices: PriceList | None,
    counts: Sequence[int] | None = None,
    machine_type: str | None = None,
    hours: float | None = None,
) -> Bill:
    """What an estimated stage takes.

    Args:
      sampler: of the stage.
      found: the estimate.
      prices: what things cost, if that is known.
      counts: sizes of the Bigtable cluster to compare or, of stages that write files, numbers of workers.
      machine_type: of the workers; by default the smallest that holds the largest chunks.
      hours: the longest that it may take.
    """
    estimates = _estimates(sampler, found)
    memory = {n: sampler.memory(n, each.largest.expected) for n, each in found.layers.items()}
    chosen = machine_type or smallest_machine(sampler.grid, memory)
    machine = Workers.of(chosen, WORKER_THREADS)
    needed = {n: each * min(found.layers[n].chunks, machine.bundles) for n, each in memory.items()}
    by_nodes = sampler.writes_cells
    asked = sorted(set(counts or (NODES if by_nodes else WORKERS)))
    job = sampler.job
    if by_nodes:
        pairs = [(nodes, max_workers(job, chosen, nodes)) for nodes in asked]
    else:
        most = max_workers(job, chosen, 0)
        pairs = [(0, workers) for workers in sorted({min(workers, most) for workers in asked})]
    options = [_option(found, estimates, prices, machine, nodes, workers) for nodes, workers in pairs]
    best = best_option(options, hours)
    hours_by_layer = {layer: _vcpu_hours(found, layer) for layer in found.layers}
    sources = _sources(sampler)
    return Bill(estimates, chosen, needed, options, best, prices, sources, by_nodes, hours_by_layer)


def _estimates(sampler: VoxelSampler, found: StageEstimate) -> dict[str, Range]:
    total = found.total
    estimates = {sampler.nodes_are: total("nodes")}
    if sampler.writes_cells:
        estimates |= {"rows": total("rows"), "cells": total("cells"), "table_bytes": total("nbytes")}
        stored = total("stored")
        estimates["storage_bytes"] = Range(
            stored.low, (stored.expected + total("nbytes").expected) / 2, total("nbytes").high
        )
    else:
        estimates |= {"written_files": total("files"), "written_bytes": total("nbytes")}
    estimates |= {"read_files": total("reads"), "read_bytes": total("read")}
    estimates |= {"shuffled_bytes": total("shuffled"), "vcpu_hours": _vcpu_hours(found)}
    if sampler.writes_cells:
        rows = total("rows")
        node_hours = rows * Range(1 / NODE_ROWS, 1 / NODE_ROWS, 1 / LEAST_NODE_ROWS) * (1 / 3600)
        estimates["node_hours"] = node_hours
    if found.layers.keys() - {ATOMIC_LAYER}:
        largest = [layer.largest for layer in found.layers.values()]
        estimates["largest_mesh_bytes"] = max(largest, key=lambda each: each.expected)
    return estimates


def _vcpu_hours(found: StageEstimate, layer: int | None = None) -> Range:
    """vCPU hours of a layer, or of all."""
    layers = found.layers.values() if layer is None else [found.layers[layer]]
    seconds = Range.exact(0.0)
    for each in layers:
        cells = each.amounts["cells"] * (CELL_MICROSECONDS * 1e3)
        seconds = seconds + each.amounts["nanoseconds"] + cells
    return seconds * Range(1 / MACHINES, 1 + OVERHEAD, (1 + OVERHEAD) * MACHINES) * (1 / _NANOSECONDS)


def _option(
    found: StageEstimate,
    estimates: Mapping[str, Range],
    prices: PriceList | None,
    machine: Workers,
    nodes: int,
    workers: int,
) -> Option:
    vcpus = workers * machine.vcpus
    computing = Range.exact(0.0)
    for layer, each in found.layers.items():  # one is made after the other, a chunk by one vCPU
        computing = computing + _vcpu_hours(found, layer) * (1 / min(vcpus, each.chunks))
    writing = estimates["node_hours"] * (1 / nodes) if nodes else Range.exact(0.0)
    ends = ("low", "expected", "high")
    hours = Range(*(max(getattr(computing, end), getattr(writing, end)) + START_HOURS for end in ends))
    if prices is None:
        return Option(nodes, workers, hours, None)
    gigabytes = workers * machine.nbytes / (1 << 30)
    worker_hour = prices.cost("dataflow_vcpu", vcpus) + prices.cost("dataflow_memory", gigabytes)
    dollars = Range(
        *(
            getattr(hours, end) * worker_hour
            + math.ceil(getattr(hours, end)) * prices.cost("bigtable_node", nodes)
            + prices.cost(
                "dataflow_shuffle",
                billable_shuffle(getattr(estimates["shuffled_bytes"], end) * SHUFFLE_PASSES / 1e9),
            )
            + prices.cost("storage_read", getattr(estimates["read_files"], end) / 1000)
            + prices.cost("storage_write", _end(estimates, "written_files", end) / 1000)
            + prices.cost("bigtable_ssd", _end(estimates, "storage_bytes", end) / (1 << 30))
            for end in ends
        )
    )
    return Option(nodes, workers, hours, dollars)


def _end(estimates: Mapping[str, Range], name: str, end: str) -> float:
    return float(getattr(estimates[name], end)) if name in estimates else 0.0


def _sources(sampler: VoxelSampler) -> dict[str, str]:
    """Where constants are from, by figure."""
    sources = {
        "vcpu_hours": "CPU time of the sampled chunks on the machine that sampled them, "
        f"{OVERHEAD:.0%} on top for Apache Beam and the network; {MACHINES} times more or less on others"
        + (f"; {CELL_MICROSECONDS} us a cell (make bench-sink)" if sampler.writes_cells else ""),
        "memory": sampler.memory_source,
        "read_bytes": "sizes of the stored blocks that chunks touch; of shards, zarr and N5, "
        f"{BYTES_PER_VOXEL} bytes a voxel, as pinky256 has",
        "shuffled_bytes": f"compressed messages of the sample; Dataflow counts them {SHUFFLE_PASSES:.0f} "
        "times",
        "hours": "layer after layer, a chunk by one vCPU"
        + (", or writing, if that takes longer" if sampler.writes_cells else "")
        + f", and {START_HOURS} hours for workers to start and end",
    }
    if sampler.writes_cells:
        sources["node_hours"] = (
            f"{NODE_ROWS:,} rows a second a node with SSD, {LEAST_NODE_ROWS:,} at least "
            "(https://cloud.google.com/bigtable/docs/performance)"
        )
    return sources
