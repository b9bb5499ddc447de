"""Running on an engine behind a job server, such as Prism and Flink."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, create_runner
from apache_beam.runners.worker.data_plane import PeriodicThread

from beam_ingest import halt
from beam_ingest.errors import ConfigError, RunError

_ANSWER_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0
_ENGINE_LOGGERS = ("PrismJobServer", "FlinkJarJobServer", "SparkJarJobServer")
"""Where Beam logs what the engines print that it starts."""
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


@contextmanager
def engine(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Start the engine that a runner such as PrismRunner starts for itself, and stop it at the end.

    Args:
      options: options of Apache Beam by name.

    Yields:
      The options for the run, with the engine's ``job_endpoint``; as they were if nothing is to be started.

    Raises:
      ConfigError: when it cannot be started.
    """
    given = dict(options)
    runner = create_runner(given["runner"]) if given.get("runner") else None
    # A jar of all goes to a cluster that is there.
    uber_jar = given.get("flink_submit_uber_jar") or given.get("spark_submit_uber_jar")
    if not isinstance(runner, PortableRunner) or given.get("job_endpoint") or uber_jar:
        yield given
        return
    port = given.get("job_port") or _free_port()
    own = {
        **given,
        "job_port": port,
        "experiments": [*(given.get("experiments") or []), "disable_prism_server_singleton"],
    }
    said = _LastLine()
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        server = runner.default_job_server(PipelineOptions([], **own))
        with said.listening():
            server.start()
    except Exception as error:  # of Beam, of the operating system, of the way to a download
        text = " ".join([*str(error).split(), f"({said.line})" if said.line else ""]).strip()
        raise ConfigError(f"--runner {given['runner']}: its engine cannot be started: {text}") from error
    finally:
        signal.signal(signal.SIGINT, interrupt)  # Beam's stops the engine before its job
    try:
        yield {**given, "job_endpoint": f"localhost:{port}"}
    finally:
        with suppress(OSError, grpc.RpcError):
            server.stop()


class _LastLine(logging.Handler):
    """The last line that an engine prints, which Beam logs."""

    line = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.line = record.getMessage().strip() or self.line

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the loggers that Beam has for engines."""
        loggers = [logging.getLogger(name) for name in _ENGINE_LOGGERS]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.addHandler(self)
            logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(self)
                logger.setLevel(level)


def _free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return int(taken.getsockname()[1])


def _without_deadline(runner: PortableRunner) -> None:
    """Let ``job_server_timeout`` bound the answers of a job server, and not how long its jobs may run."""
    make_handle = runner.create_job_service_handle

    def create_job_service_handle(*args: Any) -> Any:
        handle = make_handle(*args)
        run = handle.run

        def run_without_deadline(preparation_id: str) -> Any:
            handle.timeout = None
            return run(preparation_id)

        handle.run = run_without_deadline
        return handle

    runner.create_job_service_handle = create_job_service_handle


def run(pipeline: beam.Pipeline) -> PipelineResult:
    """Run a pipeline to its end, however long that takes; Ctrl-C ends it on the engine too.

    Raises:
      Exception: what Beam raises.
    """
    result = None
    _without_deadline(pipeline.runner)
    try:
        result = pipeline.run()
        result.wait_until_finish()
        return result
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
