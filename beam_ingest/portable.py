"""Running on an engine behind a job server, such as Prism and Flink."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.runners.worker.data_plane import PeriodicThread

from beam_ingest import halt
from beam_ingest.errors import ConfigError, RunError

_ANSWER_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0
_WORKER_THREADS = ("run_worker_", "read_grpc_client_inputs")
"""How the names of Beam's threads begin that do the work when it is done in this process (LOOPBACK)."""


def check(runner: PipelineRunner, options: Mapping[str, Any]) -> None:
    """Find out whether the job server that `runner` needs is there.

    Raises:
      ConfigError: when none is named, or the one that is named does not answer.
    """
    if not isinstance(runner, PortableRunner):
        return
    endpoint = options.get("job_endpoint")
    if endpoint:
        seconds = float(options.get("job_server_timeout") or _ANSWER_SECONDS)
        with grpc.insecure_channel(endpoint) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=seconds)
            except grpc.FutureTimeoutError:
                raise ConfigError(
                    f"--job_endpoint {endpoint}: no job server answered within {seconds:g} s; "
                    "start one, or correct host and port"
                ) from None
    elif type(runner) is PortableRunner:
        raise ConfigError(
            f"--runner {options['runner']}: expected --job_endpoint=HOST:PORT, where a job server answers"
        )


def run(pipeline: beam.Pipeline) -> None:
    """Run a pipeline to its end; Ctrl-C ends it on the engine too.

    Raises:
      Exception: what Beam raises.
    """
    result = None
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        halt.halt()
        with suppress(grpc.RpcError, ValueError):  # the engine is gone, its channel closed
            if result is not None:
                result.cancel()
        raise
    finally:
        _end_workers()


def explained(error: BaseException) -> RunError | None:
    """One line of an engine's own failure; None of any other error, and of a traceback of ours."""
    text = str(error)
    if isinstance(error, grpc.RpcError):
        text = getattr(error, "details", lambda: "")() or text
        return RunError(f"the job server is gone: {text.splitlines()[0]}")
    if " failed in state " in text and "Traceback" not in text:
        return RunError(text.splitlines()[0])
    return None


def _end_workers() -> None:
    """Wait for workers in this process to end, and close what they leave open.

    One to which the engine closed its connection leaves its store open, held by a thread that would
    look for idle stores once a minute; an SQLite graph would keep its log.
    """
    end = time.monotonic() + _FAREWELL_SECONDS
    for thread in threading.enumerate():
        if isinstance(thread, PeriodicThread):
            thread.cancel()
        elif not thread.name.startswith(_WORKER_THREADS):
            continue
        thread.join(max(0.0, end - time.monotonic()))
    gc.collect()
