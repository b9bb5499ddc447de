"""``prepare`` as a pipeline: cut chunks, find contacts across faces, write files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

import apache_beam as beam
import numpy as np

from beam_ingest import halt
from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates
from beam_ingest.inputs.components import components_file_name
from beam_ingest.inputs.edges import edges_file_name, edges_folder
from beam_ingest.stages import progress
from beam_ingest.stages.coding import (
    KEYED_BYTES,
    WriteUnit,
    compress,
    decode_key,
    decompress,
    encode_key,
    pack_blobs,
    unpack_blobs,
)
from beam_ingest.stages.manifest import Ownership
from beam_ingest.stages.planning import PlanBlocks
from beam_ingest.stages.process import Once, PerProcess
from beam_ingest.stages.progress import Counts
from beam_ingest.stages.sink import Write, all_written, failed_unit
from beam_ingest.stages.stop import forget_failures
from beam_ingest.stages.typed import typed
from beam_ingest.stores import Store
from beam_ingest.volumes.agglomerate import LabelTable
from beam_ingest.volumes.chunk_files import chunk_files
from beam_ingest.volumes.count_labels import CountLabels
from beam_ingest.volumes.cut import CutChunk, Cutter
from beam_ingest.volumes.faces import Crossings, Plane, crossings
from beam_ingest.volumes.job import PrepareJob
from beam_ingest.volumes.source import VolumeReader
from beam_ingest.volumes.tables import read_table
from beam_ingest.volumes.watershed import write_chunk

_CHUNKS, _FACES, _UNITS = "chunks", "faces", "units"
_CHUNK, _ACROSS = b"chunk", b"across"


def build_prepare(begin: beam.Pipeline | beam.pvalue.PBegin, job: PrepareJob) -> beam.PCollection:
    """The stages of `PrepareVolumes` without a name around them.

    Args:
      begin: where the stages go.
      job: a job that was started.

    Returns:
      The `Counts` of all chunks.
    """
    cut = begin | "Plan" >> PlanBlocks(job.scope)
    cut = cut | "Cut chunks" >> beam.ParDo(_CutChunks(job)).with_outputs(_CHUNKS, _FACES, _UNITS)
    typed(cut, {_CHUNKS: KEYED_BYTES, _FACES: KEYED_BYTES, _UNITS: WriteUnit})
    across = (
        cut[_FACES]
        | "Group faces" >> beam.GroupByKey()
        | "Cross faces" >> beam.FlatMap(_cross).with_output_types(KEYED_BYTES)
    )
    units = (
        (cut[_CHUNKS], across)
        | "Both" >> beam.Flatten()
        | "Group chunks" >> beam.GroupByKey()
        | "Write files" >> beam.ParDo(_WriteFiles(job)).with_output_types(WriteUnit)
    )
    written = (cut[_UNITS], units) | "Units" >> beam.Flatten() | "Mark" >> Write(job, ATOMIC_LAYER)
    counted = begin | "Labels" >> CountLabels(job, all_written(written))
    finish = partial(_finish, job)
    return counted | "Finish" >> beam.Map(finish, all_written(written)).with_output_types(Counts)


class PrepareVolumes(beam.PTransform):  # type: ignore[misc]
    """Make EDGES, COMPONENTS and WATERSHED of volumes.

    Args:
      job: a job that was started (`beam_ingest.stages.start.start_job`): its table is there.
    """

    def __init__(self, job: PrepareJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the `Counts` of all chunks."""
        return build_prepare(begin, self._job)


class _CutChunks(beam.DoFn):  # type: ignore[misc]
    """Reads every chunk of a block, writes its part of the watershed, and sends its contacts and faces."""

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._table = PerProcess[Once[LabelTable | None]](Once)
        self._cutter: Cutter
        self._store: Store
        self._reader: VolumeReader

    def setup(self) -> None:
        self._reader = VolumeReader(self._job.dataset, self._job.extent)
        table = self._table.get().get(partial(read_table, self._job.dataset))
        self._cutter = Cutter(self._job, self._reader, table)
        self._store = self._job.open_store()
        self._ownership = Ownership(self._store, self._job.timestamp)

    def teardown(self) -> None:
        self._store.close()

    def process(self, key: bytes) -> Iterator[beam.pvalue.TaggedOutput]:
        job = self._job
        chunks = list(job.chunks(job.grid.chunk_coords(decode_key(key))))
        around = {coords for chunk in chunks for coords in (chunk, *job.neighbours(chunk))}
        needed = set(filter(job.writes, around))
        if job.resume:
            marks = {_mark(job, coords): coords for coords in needed}
            needed -= {marks[mark] for mark in progress.read_done(self._store, sorted(marks))}
        for coords in chunks:
            if not needed.isdisjoint([coords, *job.neighbours(coords)]):
                halt.check()
                try:
                    yield from self._chunk(coords, needed)
                except InputError as error:
                    chunk_id = job.grid.chunk_id(ATOMIC_LAYER, coords)
                    yield beam.pvalue.TaggedOutput(_UNITS, failed_unit(job.grid, chunk_id, [error]))

    def _chunk(self, coords: Coordinates, needed: set[Coordinates]) -> Iterator[beam.pvalue.TaggedOutput]:
        job, cutter = self._job, self._cutter
        begun = time.perf_counter_ns()
        pieces, ids, agglomerated, mixed, affinities = cutter.read(coords)
        for axis, upper, plane in cutter.planes(coords, pieces, ids, agglomerated, affinities):
            x, y, z = (c + (-1 if upper else 1) * (i == axis) for i, c in enumerate(coords))
            if coords in needed or (x, y, z) in needed:
                lower = (x, y, z) if upper else coords
                face = encode_key(job.grid.chunk_id(ATOMIC_LAYER, lower)) + bytes([axis])
                target = encode_key(job.grid.chunk_id(ATOMIC_LAYER, coords)) if coords in needed else b""
                side = pack_blobs([bytes([upper]), target, plane.encode()])
                yield beam.pvalue.TaggedOutput(_FACES, (face, compress(side)))
        if coords not in needed:
            return
        nbytes = 0
        if not job.chunked:
            self._ownership.check()
            low, _ = self._reader.box(coords)
            known = np.append(np.uint64(0), ids)
            nbytes = write_chunk(
                Folder(job.dataset.watershed), job.extent, job.block, low, pieces.numbers, known
            )
        cut = CutChunk(ids, pieces.labels, agglomerated, cutter.contacts(pieces, affinities), mixed, nbytes)
        packed = compress(pack_blobs([_CHUNK, cut.encode()]))
        yield beam.pvalue.TaggedOutput(_CHUNKS, (encode_key(job.grid.chunk_id(ATOMIC_LAYER, coords)), packed))
        milliseconds = (time.perf_counter_ns() - begun) // 1_000_000
        unit = WriteUnit(_mark(job, coords, SUPERVOXEL_LAYER), Counts(), milliseconds, [])
        yield beam.pvalue.TaggedOutput(_UNITS, unit)


def _cross(group: tuple[bytes, Iterable[bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The contacts across one face, to the chunks on its sides that are written."""
    sides = {side[0]: side[1:] for side in (list(unpack_blobs(decompress(data))) for data in group[1])}
    if len(sides) < 2:  # the other chunk could not be read: this one is left for a resume
        return
    (low, lower), (high, upper) = sides[b"\0"], sides[b"\1"]
    found = crossings(Plane.decode(lower or b""), Plane.decode(upper or b""))
    for target, side in zip((low, high), found, strict=True):
        if target:
            yield target, compress(pack_blobs([_ACROSS, side.encode()]))


class _WriteFiles(beam.DoFn):  # type: ignore[misc]
    """Writes the edges and components files of a chunk, and then its mark."""

    def __init__(self, job: PrepareJob) -> None:
        self._job = job
        self._store: Store

    def setup(self) -> None:
        self._store = self._job.open_store()
        self._ownership = Ownership(self._store, self._job.timestamp)

    def teardown(self) -> None:
        self._store.close()

    def process(self, group: tuple[bytes, Iterable[bytes]]) -> Iterator[WriteUnit]:
        unit = self._unit(*group)
        if unit is not None:
            yield unit

    def _unit(self, key: bytes, values: Iterable[bytes]) -> WriteUnit | None:
        begun = time.perf_counter_ns()
        job = self._job
        coords = job.grid.chunk_coords(decode_key(key))
        came = [list(unpack_blobs(decompress(data))) for data in values]
        cut = [CutChunk.decode(data or b"") for kind, data in came if kind == _CHUNK]
        across = [Crossings.decode(data or b"") for kind, data in came if kind == _ACROSS]
        if not cut or len(across) != len(job.neighbours(coords)):
            return None  # it, or a chunk beside it, failed: left for a resume
        (chunk,) = cut
        halt.check()
        self._ownership.check()
        made = chunk_files(job, coords, chunk, across)
        edges_folder(str(job.dataset.edges)).write({edges_file_name(coords): made.edges})
        Folder(str(job.dataset.components)).write({components_file_name(coords): made.components})
        milliseconds = (time.perf_counter_ns() - begun) // 1_000_000
        return WriteUnit(_mark(job, coords), made.counts, milliseconds, made.cells)


def _finish(job: PrepareJob, _: bytes, counts: Counts) -> Counts:
    """End the job; one of which chunks failed ended before."""
    forget_failures(job)
    return counts


def _mark(job: PrepareJob, coords: Coordinates, layer: int = ATOMIC_LAYER) -> bytes:
    return progress.chunk_key(job.grid.chunk_id(layer, coords))
