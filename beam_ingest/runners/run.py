"""Running a job of a stage to its end, or handing it to Dataflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from beam_ingest.errors import ChunksFailedError, HopelessError, RunError, StoreError, SubmitError
from beam_ingest.runners.local import WorkerDiedError
from beam_ingest.runners.pipeline import make_pipeline, run_pipeline
from beam_ingest.runners.reasons import known_error, reason
from beam_ingest.stages import failures
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.meter import read_metrics
from beam_ingest.stages.usage import LayerUsage


def run_job(
    job: StageJob, options: Mapping[str, Any], tick: Callable[[], None] = lambda: None, interval: float = 0.5
) -> list[LayerUsage]:
    """Run a started job to its end.

    Args:
      job: a job that `start_job` returned.
      options: options of Apache Beam by name, such as ``{"direct_num_workers": 2}``; empty for a local run.
      tick: called about every `interval` seconds while the job runs.
      interval: seconds between calls of `tick`.

    Returns:
      What its layers took, where the runner measures.

    Raises:
      KeyboardInterrupt: on Ctrl-C; the graph can be resumed.
      ChunksFailedError: when input is bad; the failures are in the store.
      StoreError: when the store cannot be written.
      RunError: when the runner fails otherwise.
      WorkerDiedError: as `run_pipeline`; from then on, this process says nothing of gRPC's errors in threads.
    """
    try:
        result = run_pipeline(job.build, options, tick, interval)
    except WorkerDiedError as error:
        raise WorkerDiedError(f"{error}; --resume finishes {job.title}") from error
    except Exception as error:
        raise _explained(job, error) from error
    return [] if result is None else read_metrics(result)


class Submission(NamedTuple):
    """A job that Dataflow has.

    Attributes:
      job_id: its id; None when only its description was to be written (``--template_location``, as a
        flex template's launcher asks).
      cancel: stops it.
    """

    job_id: str | None
    cancel: Callable[[], object]


def submit_job(job: StageJob, options: Mapping[str, Any]) -> Submission:
    """Hand a job to Dataflow and return without waiting for it.

    Args:
      job: the job, with its timestamp.
      options: options of Apache Beam by name.

    Raises:
      SubmitError: when Dataflow does not take it.
    """
    try:
        result = make_pipeline(job.build, options).run()
    except Exception as error:  # of Beam, of Cloud Storage or of Dataflow
        text = " ".join(str(error).split())
        raise SubmitError(f"{job.title}: the job cannot be submitted: {text}") from error
    if not result.has_job:
        return Submission(None, lambda: None)
    return Submission(result.job_id(), result.cancel)


def _explained(job: StageJob, error: BaseException) -> BaseException:
    """The error that says best what went wrong."""
    known = known_error(error)
    if isinstance(known, StoreError):
        return StoreError(f"{known}; when that is fixed, --resume finishes {job.title}")
    if not isinstance(known, ChunksFailedError):  # chunks that failed, if any, are not what ended this run
        why = reason(error)
        resumed = f"{why}; when that is fixed, --resume finishes {job.title}"
        return RunError(resumed) if isinstance(why, RunError) else why
    with job.open_store() as store:
        failed = failures.summarise(store)
    if failed is None:
        return known
    total = job.grid.chunk_count(failed.layer)
    lines = failed.lines(job.where, total)
    if isinstance(known, HopelessError):
        lines.insert(-1, "the job stopped early, since no chunk could be built")
    return ChunksFailedError("\n".join(lines))
