"""Running on an engine behind a job server, such as Prism and Flink."""

from __future__ import annotations

import gc
import io
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.runners.worker.data_plane import PeriodicThread

from beam_ingest.errors import BeamIngestError, ConfigError

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
    with _quiet():
        result = pipeline.run()
        try:
            result.wait_until_finish()
        except KeyboardInterrupt:
            with suppress(grpc.RpcError, ValueError):  # the engine is gone, its channel closed
                result.cancel()
            raise


def explained(error: BaseException) -> BaseException:
    """One line of an engine's own failure; any other error, and a traceback of ours, as it is."""
    text = str(error)
    if isinstance(error, grpc.RpcError):
        text = getattr(error, "details", lambda: "")() or text
        return BeamIngestError(f"the job server is gone: {text.splitlines()[0]}; --resume finishes the graph")
    if " failed in state " in text and "Traceback" not in text:
        return BeamIngestError(f"{text.splitlines()[0]}; when that is mended, --resume finishes the graph")
    return error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of Beam and the engine off the terminal: they say less than our errors.

    Some are logged and some printed, by the threads of workers that run in this process (LOOPBACK).
    Those end with one more when the engine closes its connection to them.
    """

    def hook(args: Any) -> None:
        if not isinstance(args.exc_value, grpc.RpcError):
            previous(args)

    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # also what it says at the very end
    disabled = logging.root.manager.disable
    previous, threading.excepthook = threading.excepthook, hook
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(_Nowhere()):
            try:
                yield
            except Exception:
                _end_workers()
                raise
            _end_workers()
    finally:
        logging.disable(disabled)
        threading.excepthook = previous


def _end_workers() -> None:
    """Wait for workers in this process to end, and close what they leave open.

    One to which the engine closed its connection leaves its store open, held by a thread that would
    look for idle stores once a minute; an SQLite graph would keep its log. Not after Ctrl-C, when
    workers may be waiting themselves.
    """
    for thread in threading.enumerate():
        if isinstance(thread, PeriodicThread):
            thread.cancel()
        elif not thread.name.startswith(_WORKER_THREADS):
            continue
        thread.join(_FAREWELL_SECONDS)
    gc.collect()


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)
