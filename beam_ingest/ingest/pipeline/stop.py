"""Stopping before the next layer when chunks of one could not be built."""

from __future__ import annotations

from functools import partial

from beam_ingest.errors import ChunksFailedError, EmptyInputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.check import nothing_joined
from beam_ingest.stages.failures import clear_failures, summarise
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.process import Once, PerProcess
from beam_ingest.stages.progress import Counts


class StopIfFailed:
    """Ends the job when chunks of a layer could not be built, or when there is nothing to build from.

    The next layer's stages ask in every bundle; a process reads the failures once.

    Args:
      job: the job.
      layer: the layer whose chunks may have failed.
    """

    def __init__(self, job: IngestJob, layer: int) -> None:
        self._job = job
        self._layer = layer
        self._message = PerProcess[Once[str]](Once)

    def __call__(self, counts: Counts) -> None:
        """Go on, or not.

        Args:
          counts: of the layer.

        Raises:
          ChunksFailedError: with the first causes and the number of the chunks: what a job's page shows.
          EmptyInputError: when layer 2 has no supervoxel, and files that might have some are absent; when
            nothing is joined that should be.
        """
        atomic = self._layer == ATOMIC_LAYER
        absent = counts.missing + counts.empty
        if atomic and absent and not counts.supervoxels and not counts.failed:
            raise EmptyInputError(self._nothing(counts))
        if atomic and not counts.failed:
            fault = nothing_joined(
                self._job.dataset,
                self._job.raw,
                edges=counts.edges,
                mapped=counts.mapped,
                between=counts.between,
                joined=counts.joined,
            )
            if fault:
                raise EmptyInputError(f"{fault}, then use --overwrite")
        if counts.failed:
            raise ChunksFailedError(self._message.get().get(partial(self._failures, counts.failed)))

    def _nothing(self, counts: Counts) -> str:
        source = self._job.dataset
        key, url = ("AGGLOMERATION", source.agglomeration) if self._job.raw else ("EDGES", source.edges)
        empty = f", {counts.empty} have no bytes" if counts.empty else ""
        return (
            f"{Folder(str(url)).path('')}: expected files with edges, found no supervoxel in any chunk "
            f"({counts.missing} files are absent{empty}); correct {key} in {source.path}, then use "
            "--overwrite"
        )

    def _failures(self, count: int) -> str:
        with self._job.open_store() as store:
            found = summarise(store)
        layer = found.layer if found else self._layer
        total = self._job.grid.chunk_count(layer)
        if found is None:
            return f"{count} of {total} chunks failed at layer {layer}"
        # Of raw input, files that failed were counted, not chunks.
        known = not found.whole and not self._job.raw and layer == self._layer
        exact = count if known else None
        return "\n".join(found.lines(self._job.graph_id, self._job.dataset.path, total, exact))


def forget_failures(job: IngestJob) -> None:
    """Remove the failures of bundles that were tried again, since every chunk is built by now.

    Raises:
      StoreError: when another job has begun the graph from scratch.
    """
    with job.open_store() as store:
        Ownership(store, job.timestamp).check()
        clear_failures(store)
