"""Stopping a job whose chunks could not be built, and forgetting failures of one that was finished."""

from __future__ import annotations

from functools import partial

from beam_ingest.errors import ChunksFailedError
from beam_ingest.stages.failures import clear_failures, summarise
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.process import Once, PerProcess
from beam_ingest.stages.progress import Counts


class StopIfFailed:
    """Ends the job when chunks of a layer could not be built.

    What comes next asks in every bundle; a process reads the failures once.

    Args:
      job: the job.
      layer: the layer whose chunks may have failed.
      exact: whether failures were counted chunk by chunk.
    """

    def __init__(self, job: StageJob, layer: int, exact: bool = True) -> None:
        self._job = job
        self._layer = layer
        self._exact = exact
        self._message = PerProcess[Once[str]](Once)

    def __call__(self, counts: Counts) -> None:
        """Go on, or not.

        Args:
          counts: of the layer.

        Raises:
          ChunksFailedError: with the first causes and the number of the chunks: what a job's page shows.
        """
        if counts.failed:
            raise ChunksFailedError(self._message.get().get(partial(self._failures, counts.failed)))

    def _failures(self, count: int) -> str:
        job = self._job
        with job.open_store() as store:
            found = summarise(store)
        layer = found.layer if found else self._layer
        total = job.grid.chunk_count(layer)
        if found is None:
            return f"{count} of {total} chunks failed at layer {layer}"
        known = not found.whole and self._exact and layer == self._layer
        return "\n".join(found.lines(job.where, total, count if known else None))


def forget_failures(job: StageJob) -> None:
    """Remove the failures of bundles that were tried again, since every chunk is built by now.

    Raises:
      StoreError: when another job has begun the product from scratch.
    """
    with job.open_store() as store:
        Ownership(store, job.timestamp).check()
        clear_failures(store)
