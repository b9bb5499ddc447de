"""Running a job: as a Beam pipeline on this machine, or on the runner that was asked for."""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_ingest import errors, halt
from beam_ingest.errors import (
    BeamIngestError,
    ChunksFailedError,
    ConfigError,
    HopelessError,
    RunError,
    StoreError,
    SubmitError,
)
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.pipeline.ingest_graph import build_layers
from beam_ingest.runners import portable, worker
from beam_ingest.stages import failures

Build: TypeAlias = Callable[[beam.Pipeline], object]
_LOCAL_RUNNERS = {None, "directrunner", "direct", "fnapirunner"}
_PAUSE_PER_TICK = 20
"""Ticks read the progress of millions of chunks, and may take one part in so many of the time."""
_SMALL_GRID = 1024
"""Chunks up to which a second process costs more than it does, by its start and by what travels to it;"""
_SMALL_RAW_GRID = _SMALL_GRID // 3
"""of raw agglomeration, which is two to three times the work a chunk (docs/performance.md)."""
_HALT_SECONDS = 3.0
"""An interrupted run ends with the chunk that it reads, builds or writes; so long it is waited for."""


class WorkerDiedError(RunError):
    """A worker process of a local run was killed; what was waiting for it may wait for ever."""


class _Left:
    """What an interrupted run has left."""

    pipeline: threading.Thread | None = None
    """Thread of a local run that was asked to end."""
    running = False
    """Whether it, or threads of another runner, may never end."""


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
      RunError: when the runner fails otherwise.
      WorkerDiedError: as `run_pipeline`; from then on, this process says nothing of gRPC's errors in threads.
    """
    try:
        run_pipeline(partial(build_layers, job=job), options, tick, interval)
    except WorkerDiedError as error:
        raise WorkerDiedError(f"{error}; --resume finishes graph {job.graph_id}") from error
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
      KeyboardInterrupt: when the user interrupts; what is marked done can be resumed. The run has ended,
        or ends with the chunk that it is at (a warning says so); nothing more is begun.
      Exception: what the runner raises; `known_error` finds our own error in it.
    """
    if _Left.pipeline is not None:
        _Left.pipeline.join()  # or it would go on when it need not halt any longer
        _Left.pipeline = None
    _Left.running = False
    halt.clear()
    if is_local(options):
        _run_local(build, options, tick, interval)
    else:
        _run_elsewhere(build, options, tick, interval)


def is_left_running() -> bool:
    """Whether the last run was given up, and threads of it may keep the process from ending."""
    return _Left.running


def _run_local(build: Build, options: Mapping[str, Any], tick: Callable[[], None], interval: float) -> None:
    """Run in a thread, so that this one sees Ctrl-C and the death of a worker process."""
    raised: list[BaseException] = []
    ended = threading.Event()

    def run(lease: str) -> None:
        try:
            _run(build, options, lease)
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
    pipeline: threading.Thread | None = None
    try:
        with worker.lease() as lease:  # when it is gone, worker processes halt as well
            pipeline = threading.Thread(target=run, args=(lease,), name="pipeline", daemon=True)
            pipeline.start()
            pause = interval
            while not ended.wait(pause):
                pause = max(interval, _PAUSE_PER_TICK * _timed(tick))
    except KeyboardInterrupt:
        halt.halt()
        _Left.running = True
        if not ended.wait(_HALT_SECONDS):
            warnings.warn("the interrupted run goes on to the end of what it is at", stacklevel=4)
        raise
    finally:
        if any(isinstance(error, WorkerDiedError) for error in raised):
            _Left.running = True  # and more errors follow from that
        elif ended.is_set():
            threading.excepthook = previous
        else:
            _Left.pipeline = pipeline
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
    except KeyboardInterrupt:
        _Left.running = True
        raise
    finally:
        ended.set()
        ticker.join()


def _timed(tick: Callable[[], None]) -> float:
    """The seconds that a tick took."""
    start = time.monotonic()
    with suppress(StoreError):  # what cannot be shown now is shown later
        tick()
    return time.monotonic() - start


class Submission(NamedTuple):
    """A job that Dataflow has.

    Attributes:
      job_id: its id; None when only its description was to be written (``--template_location``, as a
        flex template's launcher asks).
      cancel: stops it.
    """

    job_id: str | None
    cancel: Callable[[], object]


def submit_job(job: IngestJob, options: Mapping[str, Any]) -> Submission:
    """Hand a job to Dataflow and return without waiting for it.

    Args:
      job: the job, with its timestamp.
      options: options of Apache Beam by name.

    Raises:
      SubmitError: when Dataflow does not take it.
    """
    try:
        result = _pipeline(partial(build_layers, job=job), options).run()
    except Exception as error:  # of Beam, of Cloud Storage or of Dataflow
        text = " ".join(str(error).split())
        raise SubmitError(f"graph {job.graph_id}: the job cannot be submitted: {text}") from error
    if not result.has_job:
        return Submission(None, lambda: None)
    return Submission(result.job_id(), result.cancel)


def _run(build: Build, options: Mapping[str, Any], lease: str = "") -> None:
    pipeline = _pipeline(build, options, lease)
    if isinstance(pipeline.runner, PortableRunner):
        portable.run(pipeline)
    else:
        pipeline.run().wait_until_finish()


def _pipeline(build: Build, options: Mapping[str, Any], lease: str = "") -> beam.Pipeline:
    pipeline_options = PipelineOptions([], **options)
    runner: PipelineRunner | str | None = options.get("runner")
    if is_local(options):
        runner = _local_runner(pipeline_options, lease)
    # Everything that runs is importable: nothing of __main__ has to travel.
    pipeline_options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(runner, options=pipeline_options)
    build(pipeline)
    return pipeline


def _local_runner(options: PipelineOptions, lease: str) -> PipelineRunner:
    """Beam's in-process runner, with one worker process per core when there is enough to do.

    ``DirectRunner`` would first try to download another runner from the internet.
    """
    options.view_as(StandardOptions).runner = None
    direct = options.view_as(DirectOptions)
    if direct.direct_num_workers == 0:  # as Beam has it: as many as there are cores
        direct.direct_num_workers = os.cpu_count() or 1
    if direct.direct_num_workers == 1 or direct.direct_running_mode != "in_memory":
        return FnApiRunner()
    environment = SubprocessSDKEnvironment.from_command_string(worker.command(lease))
    return FnApiRunner(default_environment=environment)


def default_workers(grid: ChunkGrid, raw: bool = False) -> int:
    """Worker processes of a local run when nobody says how many."""
    small = grid.chunk_count(ATOMIC_LAYER) <= (_SMALL_RAW_GRID if raw else _SMALL_GRID)
    return 1 if small else os.cpu_count() or 1


def _explained(job: IngestJob, error: BaseException) -> BaseException:
    """The error that says best what went wrong."""
    known = known_error(error)
    if isinstance(known, StoreError):
        return StoreError(f"{known}; when that is fixed, --resume finishes the graph")
    if not isinstance(known, ChunksFailedError):  # chunks that failed, if any, are not what ended this run
        why = reason(error)
        resumed = f"{why}; when that is fixed, --resume finishes the graph"
        return RunError(resumed) if isinstance(why, RunError) else why
    store = job.open_store()
    try:
        failed = failures.summarise(store)
    finally:
        store.close()
    if failed is None:
        return known
    total = job.grid.chunk_count(failed.layer)
    lines = failed.lines(job.graph_id, job.dataset.path, total)
    if isinstance(known, HopelessError):
        lines.insert(-1, "the job stopped early, since not one chunk could be built")
    return ChunksFailedError("\n".join(lines))


def reason(error: BaseException) -> BaseException:
    """Why a pipeline failed: one of our errors if it can be told, or else `error` itself."""
    return known_error(error) or _out_of_memory(error) or portable.explained(error) or error


def _out_of_memory(error: BaseException) -> RunError | None:
    """Memory that was not to be had, also in another process: Python's and numpy's error, by their names."""
    text = re.sub(r" \[while running .*", "", f"{type(error).__name__}: {error}")
    lines = re.findall(r"(?:^|: )[\w.]*MemoryError(?:: (.*))?$", text, re.MULTILINE)
    if not lines:
        return None
    said = lines[-1]
    return RunError(
        f"out of memory{': ' if said else ''}{said}; take fewer workers, or a machine with more memory"
    )


def known_error(error: BaseException) -> BeamIngestError | None:
    """One of our errors, also out of the text of another process's traceback."""
    if isinstance(error, RunError):
        return error
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
