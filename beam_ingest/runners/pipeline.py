"""Running a pipeline: on this machine, or on the runner that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner

from beam_ingest import halt
from beam_ingest.runners import local, portable
from beam_ingest.runners.options import is_local

Build: TypeAlias = Callable[[beam.Pipeline], object]


def run_pipeline(
    build: Build,
    options: Mapping[str, Any],
    tick: Callable[[], None] = lambda: None,
    interval: float = 0.5,
) -> PipelineResult | None:
    """Run a pipeline to its end.

    Args:
      build: applies the transforms to the empty pipeline.
      options: options of Apache Beam by name.
      tick: called about every `interval` seconds while the pipeline runs.

    Returns:
      The runner's result, which has its metrics; None of an engine that has none.

    Raises:
      WorkerDiedError: when a worker process is gone; the caller should end the process.
      KeyboardInterrupt: when the user interrupts; what is marked done can be resumed. The run has ended,
        or ends with the chunk that it is at (a warning says so); nothing more is begun.
      Exception: what the runner raises; `beam_ingest.runners.reasons.known_error` finds our own error in it.
    """
    local.join_last_run()
    halt.clear()
    results: list[PipelineResult] = []

    def run(lease: str = "") -> None:
        results.append(_run(build, options, lease))

    if is_local(options):
        local.run_in_thread(run, tick, interval)
    else:
        _run_elsewhere(run, tick, interval)
    return results[0] if results else None


def _run_elsewhere(run: Callable[[], None], tick: Callable[[], None], interval: float) -> None:
    """Run in this thread, since some runners install signal handlers, and tick in another."""
    ended = threading.Event()

    def show() -> None:
        local.tick_until(ended, tick, interval)

    ticker = threading.Thread(target=show, name="progress", daemon=True)
    ticker.start()
    try:
        run()
    except KeyboardInterrupt:
        local.leave_running()
        raise
    finally:
        ended.set()
        ticker.join()


def _run(build: Build, options: Mapping[str, Any], lease: str) -> PipelineResult:
    pipeline = make_pipeline(build, options, lease)
    if isinstance(pipeline.runner, PortableRunner):
        return portable.run(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def make_pipeline(build: Build, options: Mapping[str, Any], lease: str = "") -> beam.Pipeline:
    """A pipeline that is not run yet; `lease` is that of a local run's worker processes."""
    pipeline_options = PipelineOptions([], **options)
    runner: PipelineRunner | str | None = options.get("runner")
    if is_local(options):
        runner = local.local_runner(pipeline_options, lease)
    # Everything that runs is importable: nothing of __main__ has to travel.
    pipeline_options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(runner, options=pipeline_options)
    build(pipeline)
    return pipeline
