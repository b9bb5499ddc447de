"""Stopping before the next layer when chunks of one could not be built."""

from __future__ import annotations

from beam_ingest.errors import EmptyInputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.check import nothing_joined
from beam_ingest.stages import stop
from beam_ingest.stages.progress import Counts


class StopIfFailed(stop.StopIfFailed):
    """Ends the job also when there is nothing to build from; arguments as of the class that it extends."""

    _job: IngestJob

    def __init__(self, job: IngestJob, layer: int) -> None:
        super().__init__(job, layer, exact=not job.raw)  # of raw input, files that failed are counted

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
        super().__call__(counts)

    def _nothing(self, counts: Counts) -> str:
        source = self._job.dataset
        key, url = ("AGGLOMERATION", source.agglomeration) if self._job.raw else ("EDGES", source.edges)
        empty = f", {counts.empty} have no bytes" if counts.empty else ""
        return (
            f"{Folder(str(url)).path('')}: expected files with edges, found no supervoxel in any chunk "
            f"({counts.missing} files are absent{empty}); correct {key} in {source.path}, then use "
            "--overwrite"
        )
