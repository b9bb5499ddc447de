"""The first stage of a verification: blocks of layer-2 chunks with their edges and components files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam

from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates
from beam_ingest.inputs.all_supervoxels import NONE, WatershedReader
from beam_ingest.inputs.components import Mapping, components_file_name, parse_components
from beam_ingest.inputs.edges import ChunkEdges, edges_file_name, edges_folder
from beam_ingest.inputs.reading import ChunkInputs, read_chunk, read_files
from beam_ingest.stages.coding import decode_key, encode_key
from beam_ingest.stages.ticks import add_done
from beam_ingest.stores import Store
from beam_ingest.verify.chunks import ChunkVerifier
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.inputs import active_inputs
from beam_ingest.verify.verify_job import VerifyJob

REPORTS = "reports"
Output = Iterator[beam.pvalue.TaggedOutput]


def tag_of(layer: int) -> str:
    """The output that holds messages to chunks of `layer`."""
    return f"layer_{layer}"


def tagged(grid: ChunkGrid, messages: Iterable[tuple[int, bytes]]) -> Output:
    """Messages by the layer that they go to, under the keys of their chunks."""
    for target, data in messages:
        yield beam.pvalue.TaggedOutput(tag_of(grid.layer_of(target)), (encode_key(target), data))


def report(findings: Findings) -> beam.pvalue.TaggedOutput:
    """Findings as an element."""
    return beam.pvalue.TaggedOutput(REPORTS, findings.encode())


class VerifyChunks(beam.DoFn):  # type: ignore[misc]
    """Opens the store for a verifier of chunks.

    Args:
      job: the verification.
    """

    def __init__(self, job: VerifyJob) -> None:
        self._job = job
        self._grid = job.grid
        self._scope = job.scope
        self._store: Store
        self._verifier: ChunkVerifier
        self._watershed = WatershedReader(job.grid, job.dataset) if job.all_supervoxels else None

    def setup(self) -> None:
        """Open the store."""
        self._store = self._job.open_store()
        self._verifier = ChunkVerifier(self._job, self._store)

    def teardown(self) -> None:
        """Close it."""
        self._store.close()

    def _atomic(self, coords: Coordinates, read: ChunkInputs, findings: Findings) -> Output:
        """Verify one layer-2 chunk; bad input is a difference, and is then taken as none."""
        more = NONE
        try:
            listed, mapping = read.sound()
            if self._watershed:
                more = self._watershed.unmentioned(coords, listed)
            inputs = active_inputs(self._grid, listed, mapping, more.ids)
        except InputError as error:
            for each in (error, *error.others):
                findings.differ_once("input", str(each))
            inputs = active_inputs(self._grid, ChunkEdges(), Mapping.empty(), more.ids)
        if self._scope.writes(self._grid.chunk_id(ATOMIC_LAYER, coords)):
            messages = self._verifier.atomic(coords, inputs, findings)
            if self._watershed:
                findings.counts["of the watershed alone"] += more.ids.size
        else:
            messages = self._verifier.around(coords, inputs)
        yield from tagged(self._grid, messages)
        if self._scope.writes(self._grid.chunk_id(ATOMIC_LAYER, coords)):
            add_done(self._job.report, ATOMIC_LAYER)


class VerifyFiles(VerifyChunks):
    """From the key of a block: its chunks against their edges and components files.

    Args:
      job: the verification.
    """

    def process(self, key: bytes) -> Output:
        """Verify one block."""
        source, findings = self._job.dataset, Findings()
        edges, components = edges_folder(str(source.edges)), Folder(str(source.components))
        chunks = self._scope.chunks(self._grid.chunk_coords(decode_key(key)))
        contents = read_files(edges, components, chunks)
        for coords, edges_content, content in zip(chunks, contents[::2], contents[1::2], strict=True):
            files = (edges.path(edges_file_name(coords)), components.path(components_file_name(coords)))
            read = read_chunk(
                self._grid, coords, edges_content, content, files, decode_mapping=parse_components
            )
            findings.counts["absent files"] += (edges_content is None) + (content is None)
            if edges_content == b"":
                findings.counts["edges files of no bytes"] += 1
            yield from self._atomic(coords, read, findings)
        yield report(findings)
