"""The whole ingest as one transform."""

from __future__ import annotations

import apache_beam as beam

from beam_ingest.errors import ConfigError
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.memory import worker_bytes
from beam_ingest.ingest.pipeline.layers import AtomicLayer, ParentLayer, ReadBlocks
from beam_ingest.ingest.pipeline.number_roots import Roots
from beam_ingest.ingest.pipeline.read_raw import ReadRaw
from beam_ingest.ingest.pipeline.stop import StopIfFailed
from beam_ingest.stages.hints import with_memory, workers_to_tell
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.sink import all_written
from beam_ingest.stages.stop import forget_failures


class IngestGraph(beam.PTransform):  # type: ignore[misc]
    """Build every layer of a PyChunkedGraph.

    Args:
      job: a job that `start_job` returned: its table is there.

    Raises:
      ConfigError: when the job was not started.

    Examples:
      >>> with beam.Pipeline() as pipeline:  # doctest: +SKIP
      ...     pipeline | IngestGraph(start_job(make_job("my_graph", dataset, "sqlite:/tmp/graph.sqlite")))
    """

    def __init__(self, job: IngestJob) -> None:
        super().__init__()
        if not job.timestamp:
            raise ConfigError(
                f"graph {job.graph_id}: the job was not started: start_job(job) makes its table"
            )
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the `Counts` of the last stage."""
        return build_layers(begin, self._job)


def build_layers(begin: beam.Pipeline | beam.pvalue.PBegin, job: IngestJob) -> beam.PCollection:
    """The stages of `IngestGraph` without a name around them: a console then shows the layers at once.

    Args:
      begin: where the stages go.
      job: a job that was started.

    Returns:
      The `Counts` of the last stage.
    """
    read = ReadRaw(job) if job.raw else beam.ParDo(ReadBlocks(job))
    output = begin | "Plan" >> PlanBlocks(job.scope) | "Layer 2" >> AtomicLayer(job, read)
    root_children = [output.root_children]
    workers = workers_to_tell(begin)
    for layer in job.scope.layers:
        parents = ParentLayer(job, layer, output.written)
        if workers:
            needed = worker_bytes(job.grid, job.dataset.chunk_size, layer, workers)
            parents = with_memory(parents, needed, workers)
        output = output.messages | f"Layer {layer}" >> parents
        root_children.append(output.root_children)
    if not job.test:
        return tuple(root_children) | "Roots" >> Roots(job, output.written)
    stop_if_failed = StopIfFailed(job, BLOCK_LAYER)

    def finish(_: bytes, counts: Counts) -> Counts:
        stop_if_failed(counts)
        forget_failures(job)
        return counts

    end = begin | "End" >> beam.Impulse()
    return end | "Finish" >> beam.Map(finish, all_written(output.written)).with_output_types(Counts)
