"""``mesh`` as a pipeline: layer 2 from voxels, then each layer from the meshes of its chunks' children."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam

from beam_ingest import halt
from beam_ingest.errors import InputError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.meshes.build import MeshBuilder
from beam_ingest.meshes.job import MeshJob
from beam_ingest.stages import progress
from beam_ingest.stages.coding import KEYED_BYTES, WriteUnit, decode_key, encode_key
from beam_ingest.stages.hints import with_memory, worker_bytes, workers_to_tell
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.planning import Plan
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.scope import Scope
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.stop import StopIfFailed, forget_failures
from beam_ingest.stages.typed import typed
from beam_ingest.stores import Store, open_store

_CHILDREN, _UNITS = "children", "units"


def build_meshes(begin: beam.Pipeline | beam.pvalue.PBegin, job: MeshJob) -> beam.PCollection:
    """The stages of `MeshGraph` without a name around them.

    Args:
      begin: where the stages go.
      job: a job that was started.

    Returns:
      The `Counts` of the last layer.
    """
    chunks = begin | "Plan" >> Plan(job.written(ATOMIC_LAYER), partial(_chunk_keys, job.scope), KEYED_BYTES)
    atomic: beam.PTransform = _MeshLayer(job, ATOMIC_LAYER)
    workers = workers_to_tell(begin)
    if workers:
        needed = worker_bytes(job.chunk_bytes, job.written(ATOMIC_LAYER), workers)
        atomic = with_memory(atomic, needed, workers)
    children, written = chunks | "Layer 2" >> atomic
    for layer in range(ATOMIC_LAYER + 1, job.last + 1):
        children, written = children | f"Layer {layer}" >> _MeshLayer(job, layer, written)
    stop_if_failed = StopIfFailed(job, job.last)

    def finish(_: bytes, counts: Counts) -> Counts:
        stop_if_failed(counts)
        if not job.test:
            job.tell_servers()
        forget_failures(job)
        return counts

    end = begin | "End" >> beam.Impulse()
    return end | "Finish" >> beam.Map(finish, all_written(written)).with_output_types(Counts)


class MeshGraph(beam.PTransform):  # type: ignore[misc]
    """Mesh a finished graph.

    Args:
      job: a job that was started (`beam_ingest.stages.start.start_job`): its table is there.
    """

    def __init__(self, job: MeshJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the `Counts` of the last layer."""
        return build_meshes(begin, self._job)


class _MeshLayer(beam.PTransform):  # type: ignore[misc]
    """Mesh the chunks of a layer: those of layer 2 as planned, those above when all their children are there.

    Args:
      job: the job.
      layer: the layer.
      below: the `Counts` of the layer below; nothing is meshed when chunks of it failed.
    """

    def __init__(self, job: MeshJob, layer: int, below: beam.PCollection | None = None) -> None:
        super().__init__()
        self._job = job
        self._layer = layer
        self._below = below

    def expand(self, chunks: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        """Apply the transform to (chunk key, key of a child, or nothing)."""
        side: list[Any] = [] if self._below is None else [all_written(self._below)]
        if self._below is not None:
            chunks = chunks | "Group" >> beam.GroupByKey()
        done = chunks | "Mesh" >> beam.ParDo(_MeshChunk(self._job, self._layer), *side).with_outputs(
            _CHILDREN, _UNITS
        )
        typed(done, {_CHILDREN: KEYED_BYTES, _UNITS: WriteUnit})
        return done[_CHILDREN], done[_UNITS] | "Write" >> Write(self._job, self._layer)


class _MeshChunk(beam.DoFn):  # type: ignore[misc]
    """Meshes a chunk, unless that is done, and tells its parent."""

    def __init__(self, job: MeshJob, layer: int) -> None:
        self._job = job
        self._layer = layer
        self._stop_if_failed = StopIfFailed(job, layer - 1)
        self._store: Store
        self._graph: Store
        self._ownership: Ownership
        self._builder: MeshBuilder

    def setup(self) -> None:
        job = self._job
        self._store = job.open_store()
        self._graph = open_store(job.graph_store)
        self._ownership = Ownership(self._store, job.timestamp)
        self._builder = MeshBuilder(
            self._graph, job.grid, job.dataset.watershed, job.config, job.dataset.chunk_size
        )

    def teardown(self) -> None:
        self._store.close()
        self._graph.close()

    def process(
        self, chunk: tuple[bytes, bytes | Iterable[bytes]], below: Counts | None = None
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        if below is not None:
            self._stop_if_failed(below)
        job, chunk_id = self._job, decode_key(chunk[0])
        halt.check()
        mark = progress.chunk_key(chunk_id)
        if not job.resume or mark not in progress.read_done(self._store, [mark]):
            yield beam.pvalue.TaggedOutput(_UNITS, self._unit(chunk_id, mark))
        if self._layer < job.last:
            parent = encode_key(job.grid.ancestor(chunk_id, self._layer + 1))
            yield beam.pvalue.TaggedOutput(_CHILDREN, (parent, chunk[0]))

    def _unit(self, chunk_id: int, mark: bytes) -> WriteUnit:
        begun = time.perf_counter_ns()
        self._ownership.check()
        try:
            made = self._builder.chunk(chunk_id)
        except InputError as error:
            return failed_unit(self._job.grid, chunk_id, [error])
        milliseconds = (time.perf_counter_ns() - begun) // 1_000_000
        counts = Counts(nodes=made.meshes, rows=1, cells=1, nbytes=made.nbytes)
        return WriteUnit(mark, counts, milliseconds, made.cells(chunk_id))


def _chunk_keys(scope: Scope, first: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    import numpy as np

    coords = scope.written_chunks(np.arange(first, end))
    for chunk in scope.grid.chunk_ids(ATOMIC_LAYER, coords).tolist():
        yield encode_key(chunk), b""
