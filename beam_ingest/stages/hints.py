"""Telling Dataflow how much memory a stage's largest chunks need."""

from __future__ import annotations

from math import ceil

import apache_beam as beam
from apache_beam.options.pipeline_options import DebugOptions, GoogleCloudOptions, WorkerOptions

from beam_ingest.stages.machines import SERVICE_MACHINE_TYPE, SERVICE_THREADS, Workers


def workers_to_tell(begin: beam.Pipeline | beam.pvalue.PBegin) -> Workers | None:
    """The workers of Dataflow, which takes hints on memory; None of other runners."""
    pipeline = begin if isinstance(begin, beam.Pipeline) else begin.pipeline
    options = pipeline.options
    if not any(kind.__name__ == "DataflowRunner" for kind in type(pipeline.runner).__mro__):
        return None
    if options.view_as(GoogleCloudOptions).flexrs_goal == "COST_OPTIMIZED":
        return None  # with which it takes no hints
    debug = options.view_as(DebugOptions)
    return Workers.of(
        options.view_as(WorkerOptions).machine_type or SERVICE_MACHINE_TYPE,
        debug.number_of_worker_harness_threads or SERVICE_THREADS,
        debug.experiments or [],
    )


def worker_bytes(chunk_bytes: int, chunks: int, workers: Workers) -> int:
    """Memory that a worker needs to work on chunks; whole GB.

    All its bundles may have a largest chunk at once, if there are as many; half of the memory that it
    usually has is for everything else.

    Args:
      chunk_bytes: memory that the largest chunk needs.
      chunks: how many chunks there are.
      workers: the workers.
    """
    needed = chunk_bytes * min(chunks, workers.bundles) + workers.nbytes // 2
    return ceil(needed / (1 << 30)) << 30


def with_memory(transform: beam.PTransform, needed: int, workers: Workers) -> beam.PTransform:
    """The transform, with a hint where workers would have less memory than needed."""
    if needed <= workers.nbytes:
        return transform
    return transform.with_resource_hints(min_ram=f"{needed >> 30}GiB")
