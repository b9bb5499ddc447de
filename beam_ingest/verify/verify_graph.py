"""A whole verification as one transform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import apache_beam as beam

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.stages.coding import KEYED_BYTES, decode_key, encode_key
from beam_ingest.stages.planning import Plan, PlanBlocks
from beam_ingest.stages.report import WriteReport
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.stages.ticks import add_done
from beam_ingest.stages.typed import typed
from beam_ingest.stores import Store
from beam_ingest.verify.atomic import REPORTS, Output, VerifyChunks, VerifyFiles, report, tag_of, tagged
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.key_space import piece_at
from beam_ingest.verify.messages import EMPTY
from beam_ingest.verify.rest import conclude, verify_rest
from beam_ingest.verify.verify_job import VerifyJob
from beam_ingest.verify.verify_raw import PAYLOADS, OpenShards, VerifyRaw


class VerifyGraph(beam.PTransform):  # type: ignore[misc]
    """Verify every cell of a finished graph; the findings go to the job's report folder.

    Args:
      job: the verification (`beam_ingest.verify.verify_job.make_verify_job`).
    """

    def __init__(self, job: VerifyJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives nothing of use."""
        job = self._job
        start = begin | "Start" >> beam.Impulse()
        layers = range(BLOCK_LAYER, job.top + 1)
        tags = [*map(tag_of, layers), REPORTS]
        plan = begin | "Plan" >> PlanBlocks(job.scope)
        reports = [start | "Other rows" >> beam.ParDo(_VerifyRest(job)).with_output_types(bytes)]
        if job.raw:
            opened = plan | "Layer 2/Open" >> beam.ParDo(OpenShards(job)).with_outputs(PAYLOADS, REPORTS)
            _typed(opened, [PAYLOADS, REPORTS])
            reports.append(opened[REPORTS])
            groups = opened[PAYLOADS] | "Layer 2/Group" >> beam.GroupByKey()
            verified = groups | "Layer 2/Verify" >> beam.ParDo(VerifyRaw(job)).with_outputs(*tags)
        else:
            verified = plan | "Layer 2/Verify" >> beam.ParDo(VerifyFiles(job)).with_outputs(*tags)
        outputs = [_typed(verified, tags)]
        for layer in layers:
            to_here = [output[tag_of(layer)] for output in outputs]
            if layer == job.grid.root_layer:
                to_here.append(
                    begin | "Plan roots" >> Plan(job.pieces, partial(_pieces, job.grid), KEYED_BYTES)
                )
            came = (
                to_here
                | f"Layer {layer}/Meet" >> beam.Flatten()
                | f"Layer {layer}/Group" >> beam.GroupByKey()
            )
            verify = beam.ParDo(_VerifyParents(job)).with_outputs(*tags)
            outputs.append(_typed(came | f"Layer {layer}/Verify" >> verify, tags))
        reports += [output[REPORTS] for output in outputs]
        return tuple(reports) | "Report" >> WriteReport(Findings, job.report, partial(conclude, job))


def _typed(outputs: beam.pvalue.DoOutputsTuple, tags: Iterable[str]) -> beam.pvalue.DoOutputsTuple:
    return typed(outputs, {tag: bytes if tag == REPORTS else KEYED_BYTES for tag in tags})


def _pieces(grid: ChunkGrid, first: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys of pieces of the root chunk, each with an empty message."""
    root = grid.chunk_id(grid.root_layer, (0, 0, 0))
    for number in range(first, end):
        yield encode_key(piece_at(root, number)), EMPTY


class _VerifyParents(VerifyChunks):
    """Verifies the chunks above layer 2, and the pieces of the root chunk."""

    def process(self, group: tuple[bytes, Iterable[bytes]]) -> Output:
        chunk_id, findings = decode_key(group[0]), Findings()
        if self._grid.layer_of(chunk_id) == self._grid.root_layer:
            self._verifier.piece(chunk_id, group[1], findings)
        else:
            yield from tagged(self._grid, self._verifier.parent(chunk_id, group[1], findings))
        yield report(findings)
        if self._scope.writes(chunk_id):
            add_done(self._job.report, self._grid.layer_of(chunk_id))


class _VerifyRest(beam.DoFn):  # type: ignore[misc]
    def __init__(self, job: VerifyJob) -> None:
        self._job = job
        self._store: Store

    def setup(self) -> None:
        self._store = self._job.open_store()

    def process(self, _: bytes) -> Iterator[bytes]:
        findings = Findings()
        verify_rest(self._job, self._store, findings)
        yield findings.encode()

    def teardown(self) -> None:
        self._store.close()
