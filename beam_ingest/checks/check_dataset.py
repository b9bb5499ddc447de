"""A whole check as one transform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import apache_beam as beam
import numpy as np

from beam_ingest.checks.check_job import CheckJob
from beam_ingest.checks.check_raw import (
    BROKEN,
    FINDINGS,
    PAYLOADS,
    OpenShards,
    PlanShards,
    assembled_chunk,
    broken_shards,
    is_whole,
    opened_chunks,
)
from beam_ingest.checks.findings import Findings
from beam_ingest.checks.inspect import Inspector
from beam_ingest.checks.listing import file_kinds, list_part, parts
from beam_ingest.checks.pairs import compare, meeting_places
from beam_ingest.checks.selection import Selection
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.ingest.build import Builder
from beam_ingest.kernels.symmetry import ROW, Rows
from beam_ingest.stages.coding import KEYED_BYTES, encode_key
from beam_ingest.stages.payloads import unpack_payloads
from beam_ingest.stages.planning import Plan, PlanBlocks
from beam_ingest.stages.report import WriteReport
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.ticks import add_done
from beam_ingest.stages.typed import merging, typed

_ROWS = "rows"


class CheckDataset(beam.PTransform):  # type: ignore[misc]
    """List the input files, open those of the selected chunks and their neighbours, compare neighbours.

    The findings go to the job's report folder (`beam_ingest.stages.report.read_report`).

    Args:
      job: the check.
    """

    def __init__(self, job: CheckJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives the encoded findings."""
        job = self._job
        listed = (
            begin
            | "Start" >> beam.Impulse()
            | "Parts" >> beam.FlatMap(_parts, job).with_output_types(str)
            | "Spread parts" >> beam.Reshuffle()
            | "List" >> beam.Map(_list, job).with_output_types(bytes)
        )
        sample = Plan(job.selection.size, partial(_sampled_blocks, job.selection), bytes, once=True)
        blocks = begin | "Plan" >> (PlanBlocks(job.ingest.scope) if job.selection.is_all else sample)
        found = [listed]
        if job.ingest.raw:
            opened = blocks | "Open" >> _OpenRaw(job)
            found.append(opened[FINDINGS])
            broken = opened[BROKEN] | "All broken" >> merging(broken_shards, str)
            marks = blocks | "Mark" >> beam.Map(lambda key: (key, b"")).with_output_types(KEYED_BYTES)
            groups = (marks, opened[PAYLOADS]) | "Meet" >> beam.Flatten() | "Group" >> beam.GroupByKey()
            inspect = beam.ParDo(_InspectRaw(job), beam.pvalue.AsSingleton(broken, default_value=""))
        else:
            groups, inspect = blocks, beam.ParDo(_InspectFiles(job))
        inspected = groups | "Inspect" >> inspect.with_outputs(_ROWS, FINDINGS)
        typed(inspected, {_ROWS: KEYED_BYTES, FINDINGS: bytes})
        compared = inspected[_ROWS] | "Pairs" >> beam.GroupByKey() | "Compare" >> beam.ParDo(_Compare(job))
        return (*found, inspected[FINDINGS], compared) | "Report" >> WriteReport(Findings, job.report)


def _sampled_blocks(selection: Selection, first: int, end: int) -> Iterator[bytes]:
    """Keys of the blocks of selected chunks and their neighbours."""
    coords = selection.neighbourhood(selection.chunks(first, end))
    return map(encode_key, np.unique(selection.grid.chunk_ids(BLOCK_LAYER, coords >> 1)).tolist())


class _OpenRaw(beam.PTransform):  # type: ignore[misc]
    """From block keys to what `OpenShards` gives."""

    def __init__(self, job: CheckJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, blocks: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        names = blocks | "Shards" >> PlanShards(self._job)
        opened = names | "Read" >> beam.ParDo(OpenShards(self._job)).with_outputs(PAYLOADS, FINDINGS, BROKEN)
        return typed(opened, {PAYLOADS: KEYED_BYTES, FINDINGS: bytes, BROKEN: str})


class _Inspect(beam.DoFn):  # type: ignore[misc]
    """What both kinds of input share."""

    def __init__(self, job: CheckJob) -> None:
        self._job = job
        self._builder = Builder(job.ingest)
        self._inspector = Inspector(job)

    def _outputs(self, rows: list[Rows], findings: Findings) -> Iterator[beam.pvalue.TaggedOutput]:
        if rows:
            for block, part in meeting_places(self._job.grid, np.concatenate(rows)):
                yield beam.pvalue.TaggedOutput(_ROWS, (encode_key(block), part.tobytes()))
        yield beam.pvalue.TaggedOutput(FINDINGS, findings.encode())
        add_done(self._job.report, ATOMIC_LAYER, len(rows))


class _InspectFiles(_Inspect):
    def process(self, key: bytes) -> Iterator[beam.pvalue.TaggedOutput]:
        chunks, findings = opened_chunks(self._job, key), Findings()
        contents = self._builder.read(chunks)
        rows = [
            self._inspector.files(coords, edges, components, findings)
            for coords, edges, components in zip(chunks, contents[::2], contents[1::2], strict=True)
        ]
        yield from self._outputs(rows, findings)


class _InspectRaw(_Inspect):
    def process(
        self, group: tuple[bytes, Iterable[bytes]], broken: str
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        key, values = group
        payloads, findings, rows = unpack_payloads(values), Findings(), []
        for coords in opened_chunks(self._job, key):
            edges, mapping = None, None
            if is_whole(self._job, coords, broken):
                edges, mapping = assembled_chunk(self._job, coords, payloads, findings)
            rows.append(self._inspector.inputs(coords, edges, mapping, findings))
        yield from self._outputs(rows, findings)


@beam.typehints.with_output_types(bytes)
class _Compare(beam.DoFn):  # type: ignore[misc]
    """Compares the rows of pairs that meet in a block."""

    def __init__(self, job: CheckJob) -> None:
        self._job = job
        self._inspector = Inspector(job)

    def process(self, group: tuple[bytes, Iterable[bytes]]) -> Iterator[bytes]:
        findings = Findings()
        rows = np.concatenate([np.frombuffer(data, ROW) for data in group[1]])
        pairs, mismatches = compare(self._job.grid, rows, self._job.selection.is_all)
        findings.counts["pairs of chunks"] += pairs
        for mismatch in mismatches:
            self._inspector.mismatch(mismatch, findings)
        yield findings.encode()


def _parts(_: bytes, job: CheckJob) -> Iterator[str]:
    source = job.ingest.dataset
    folders = [source.agglomeration] if job.ingest.raw else [source.edges, source.components]
    # Kinds are listed side by side: what one needs to be divided for, all are.
    yield from max((parts(Folder(str(url)), job.grid) for url in folders), key=len)


def _list(part: str, job: CheckJob) -> bytes:
    findings = Findings()
    list_part(file_kinds(job.ingest.dataset, job.grid, job.ingest.raw), part, findings)
    return findings.encode()
