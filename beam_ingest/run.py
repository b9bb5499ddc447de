"""Running a job: as a Beam pipeline on this machine, or on the runner that was asked for."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_ingest import errors, failures, portable, worker
from beam_ingest.errors import (
    BeamIngestError,
    ChunksFailedError,
    ConfigError,
    HopelessError,
    StoreError,
    SubmitError,
)
from beam_ingest.graphene import ATOMIC_LAYER, ChunkGrid
from beam_ingest.job import IngestJob
from beam_ingest.pipeline.ingest import build_layers

Build: TypeAlias = Callable[[beam.Pipeline], None]
_LOCAL_RUNNERS = {None, "directrunner", "direct", "fnapirunner"}
_PAUSE_PER_TICK = 20
"""Ticks read the progress of millions of chunks, and may take one part in so many of the time."""
_SMALL_GRID = 1024
"""Chunks up to which a second process costs more than it does, by its start and by what travels to it;"""
_SMALL_RAW_GRID = _SMALL_GRID // 3
"""of raw agglomeration, which is two to three times the work a chunk (docs/performance.md)."""


class WorkerDiedError(BeamIngestError):
    """A worker process of a local run was killed; what was waiting for it may wait for ever."""


def is_local(options: Mapping[str, Any]) -> bool:
    """Whether the job runs in processes of this machine that we start ourselves."""
    runner = options.get("runner")
    return (runner.lower() if runner else None) in _LOCAL_RUNNERS


def check_options(options: Mapping[str, Any]) -> None:
    """Find out whether a runner will take the options, before a table is made or removed.

    Raises:
      ConfigError: when none will.
    """
    if is_local(options):
        if options.get("direct_num_workers", 1) < 0:
            raise ConfigError(f"--direct_num_workers {options['direct_num_workers']}: expected 0 or more")
        return
    try:
        runner = create_runner(options["runner"])
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(f"--runner {options['runner']}: {error}") from None
    portable.check(runner, options)


def run_job(
    job: IngestJob, options: Mapping[str, Any], tick: Callable[[], None] = lambda: None, interval: float = 0.5
) -> None:
    """Run a started job to its end; arguments and further errors as of `run_pipeline`.

    Raises:
      ChunksFailedError: when input is bad; the failures are in the store.
      StoreError: when the store cannot be written.
      WorkerDiedError: as `run_pipeline`; from then on, this process says nothing of gRPC's errors in threads.
    """
    try:
        run_pipeline(partial(_build_job, job, options), options, tick, interval)
    except WorkerDiedError:
        raise
    except Exception as error:
        raise _explained(job, error) from error


def run_pipeline(
    build: Build,
    options: Mapping[str, Any],
    tick: Callable[[], None] = lambda: None,
    interval: float = 0.5,
) -> None:
    """Run a pipeline to its end.

    Args:
      build: applies the transforms to the empty pipeline.
      options: options of Apache Beam by name.
      tick: called about every `interval` seconds while the pipeline runs.

    Raises:
      WorkerDiedError: when a worker process is gone; the caller should end the process.
      KeyboardInterrupt: when the user interrupts; what is marked done can be resumed.
      Exception: what the runner raises; `known_error` finds our own error in it.
    """
    if is_local(options):
        _run_local(build, options, tick, interval)
    else:
        _run_elsewhere(build, options, tick, interval)


def _run_local(build: Build, options: Mapping[str, Any], tick: Callable[[], None], interval: float) -> None:
    """Run in a thread, so that this one sees Ctrl-C and the death of a worker process."""
    raised: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            _run(build, options)
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    def worker_died(args: Any) -> None:
        # Beam's thread that waits for a worker process, and that nobody else waits for
        if args.thread is not None and args.thread.name == "run_worker":
            raised.append(WorkerDiedError(f"a worker process died: {args.exc_value}"))
            ended.set()
        elif not isinstance(args.exc_value, grpc.RpcError):  # which only follows from that
            previous(args)

    previous, threading.excepthook = threading.excepthook, worker_died
    try:
        threading.Thread(target=run, name="pipeline", daemon=True).start()
        pause = interval
        while not ended.wait(pause):
            pause = max(interval, _PAUSE_PER_TICK * _timed(tick))
    finally:
        if not any(isinstance(error, WorkerDiedError) for error in raised):  # more follows from that
            threading.excepthook = previous
    if raised:
        raise raised[0]


def _run_elsewhere(
    build: Build, options: Mapping[str, Any], tick: Callable[[], None], interval: float
) -> None:
    """Run in this thread, since some runners install signal handlers, and tick in another."""
    ended = threading.Event()

    def show() -> None:
        pause = interval
        while not ended.wait(pause):
            pause = max(interval, _PAUSE_PER_TICK * _timed(tick))

    ticker = threading.Thread(target=show, name="progress", daemon=True)
    ticker.start()
    try:
        _run(build, options)
    finally:
        ended.set()
        ticker.join()


def _timed(tick: Callable[[], None]) -> float:
    """The seconds that a tick took."""
    start = time.monotonic()
    with suppress(StoreError):  # what cannot be shown now is shown later
        tick()
    return time.monotonic() - start


def submit_job(job: IngestJob, options: Mapping[str, Any]) -> str | None:
    """Hand a started job to Dataflow and return without waiting for it.

    Returns:
      The id of the Dataflow job; None when only its description was to be written
      (``--template_location``, as a flex template's launcher asks).

    Raises:
      SubmitError: when Dataflow does not take it.
    """
    try:
        result = _pipeline(partial(_build_job, job, options), options).run()
    except Exception as error:  # of Beam, of Cloud Storage or of Dataflow
        text = " ".join(str(error).split())
        raise SubmitError(f"graph {job.graph_id}: the job cannot be submitted: {text}") from error
    return result.job_id() if result.has_job else None


def _build_job(job: IngestJob, options: Mapping[str, Any], pipeline: beam.Pipeline) -> None:
    # Dataflow takes hints on memory, but not together with FlexRS.
    build_layers(pipeline, job, hints=options.get("flexrs_goal") != "COST_OPTIMIZED")


def _run(build: Build, options: Mapping[str, Any]) -> None:
    pipeline = _pipeline(build, options)
    if isinstance(pipeline.runner, PortableRunner):
        portable.run(pipeline)
    else:
        pipeline.run().wait_until_finish()


def _pipeline(build: Build, options: Mapping[str, Any]) -> beam.Pipeline:
    pipeline_options = PipelineOptions([], **options)
    runner: PipelineRunner | str | None = options.get("runner")
    if is_local(options):
        runner = _local_runner(pipeline_options)
    # Everything that runs is importable: nothing of __main__ has to travel.
    pipeline_options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(runner, options=pipeline_options)
    build(pipeline)
    return pipeline


def _local_runner(options: PipelineOptions) -> PipelineRunner:
    """Beam's in-process runner, with one worker process per core when there is enough to do.

    ``DirectRunner`` would first try to download another runner from the internet.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # its tracebacks say less than our errors
    options.view_as(StandardOptions).runner = None
    direct = options.view_as(DirectOptions)
    if direct.direct_num_workers == 0:  # as Beam has it: as many as there are cores
        direct.direct_num_workers = os.cpu_count() or 1
    if direct.direct_num_workers == 1 or direct.direct_running_mode != "in_memory":
        return FnApiRunner()
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(worker.command()))


def default_workers(grid: ChunkGrid, raw: bool = False) -> int:
    """Worker processes of a local run when nobody says how many."""
    small = grid.chunk_count(ATOMIC_LAYER) <= (_SMALL_RAW_GRID if raw else _SMALL_GRID)
    return 1 if small else os.cpu_count() or 1


def _explained(job: IngestJob, error: BaseException) -> BaseException:
    """The error that says best what went wrong."""
    known = known_error(error)
    if isinstance(known, StoreError):
        return StoreError(f"{known}; when that is mended, --resume finishes the graph")
    store = job.open_store()
    try:
        failed = failures.summarise(store)
    finally:
        store.close()
    if failed is None:
        return known or portable.explained(error)
    total = job.grid.chunk_count(failed.layer)
    lines = failed.lines(job.graph_id, job.dataset.path, total)
    if isinstance(known, HopelessError):
        lines.insert(-1, "the job stopped early, since not one chunk could be built")
    return ChunksFailedError("\n".join(lines))


def known_error(error: BaseException) -> BeamIngestError | None:
    """One of our errors, also out of the text of another process's traceback."""
    text = str(error)
    found = re.findall(r"beam_ingest[\w.]*\.(\w+Error): (.*)", text)
    if found:
        name, message = found[-1]
    elif isinstance(error, BeamIngestError):
        name, message = type(error).__name__, text
    else:
        return None
    kind = getattr(errors, name, BeamIngestError)
    message = re.sub(r" \[while running .*", "", message)
    return kind(message) if kind is not errors.InputError else BeamIngestError(message)
