"""The whole ingest as one transform."""

from __future__ import annotations

import apache_beam as beam

from beam_ingest.errors import ConfigError
from beam_ingest.job import IngestJob
from beam_ingest.pipeline.layers import AtomicLayer, ParentLayer, PlanBlocks, ReadBlocks
from beam_ingest.pipeline.raw import ReadRaw
from beam_ingest.pipeline.roots import Roots
from beam_ingest.scope import Scope


class IngestGraph(beam.PTransform):  # type: ignore[misc]
    """Build every layer of a PyChunkedGraph.

    Args:
      job: a job that was started (`beam_ingest.start_job`): its table is there.

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
        job = self._job
        plan = begin | "Plan" >> PlanBlocks(job)
        blocks = plan | "Layer 2/Read" >> (ReadRaw(job) if job.raw else beam.ParDo(ReadBlocks(job)))
        output = blocks | "Layer 2" >> AtomicLayer(job)
        families = [output.families]
        for layer in Scope(job.grid, job.test).layers:
            output = output.messages | f"Layer {layer}" >> ParentLayer(job, layer, output.written)
            families.append(output.families)
        if job.test:
            return output.written
        return families | "Every layer" >> beam.Flatten() | "Roots" >> Roots(job, output.written)
