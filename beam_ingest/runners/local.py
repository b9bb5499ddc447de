"""Running a pipeline in processes of this machine, which Ctrl-C and killed workers end."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_ingest import halt
from beam_ingest.errors import RunError, StoreError
from beam_ingest.runners import worker

_PAUSE_PER_TICK = 20
"""Ticks read the progress of millions of chunks, and may take one part in so many of the time."""
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


def is_left_running() -> bool:
    """Whether the last run was given up, and threads of it may keep the process from ending."""
    return _Left.running


def join_last_run() -> None:
    """Wait for what an interrupted run has left, or it would go on when it need not halt any longer."""
    if _Left.pipeline is not None:
        _Left.pipeline.join()
        _Left.pipeline = None
    _Left.running = False


def leave_running() -> None:
    """Note that threads of an interrupted run may never end."""
    _Left.running = True


def run_in_thread(run: Callable[[str], None], tick: Callable[[], None], interval: float) -> None:
    """Run a pipeline in a thread, so that this one sees Ctrl-C and the death of a worker process.

    Args:
      run: runs it, with the lease of worker processes.
      tick: called about every `interval` seconds.
    """
    raised: list[BaseException] = []
    ended = threading.Event()

    def run_and_tell(lease: str) -> None:
        try:
            run(lease)
        except BaseException as error:
            raised.append(error)
        finally:
            ended.set()

    def worker_died(args: Any) -> None:
        # Beam's thread that waits for a worker process, that nothing else waits for
        if args.thread is not None and args.thread.name == "run_worker":
            raised.append(WorkerDiedError(f"a worker process died: {args.exc_value}"))
            ended.set()
        elif not isinstance(args.exc_value, grpc.RpcError):  # which only follows from that
            previous(args)

    previous, threading.excepthook = threading.excepthook, worker_died
    pipeline: threading.Thread | None = None
    try:
        with worker.lease() as lease:  # when it is gone, worker processes halt as well
            pipeline = threading.Thread(target=run_and_tell, args=(lease,), name="pipeline", daemon=True)
            pipeline.start()
            tick_until(ended, tick, interval)
    except KeyboardInterrupt:
        halt.halt()
        _Left.running = True
        if not ended.wait(_HALT_SECONDS):
            warnings.warn("the interrupted run finishes the chunks it is working on", stacklevel=4)
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


def tick_until(ended: threading.Event, tick: Callable[[], None], interval: float) -> None:
    """Call `tick` every `interval` seconds, or less often if it takes long, until `ended` is set."""
    pause = interval
    while not ended.wait(pause):
        pause = max(interval, _PAUSE_PER_TICK * _timed(tick))


def _timed(tick: Callable[[], None]) -> float:
    """The seconds that a tick took."""
    start = time.monotonic()
    with suppress(StoreError):  # what cannot be shown now is shown later
        tick()
    return time.monotonic() - start


def local_runner(options: PipelineOptions, lease: str) -> PipelineRunner:
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
