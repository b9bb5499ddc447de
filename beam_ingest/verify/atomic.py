"""The first stage of a verification: blocks of layer-2 chunks with their edges and components files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam

from beam_ingest.errors import InputError
from beam_ingest.files import Content, Folder
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.inputs.components import Mapping, components_file_name
from beam_ingest.inputs.edges import ChunkEdges, edges_file_name, edges_folder
from beam_ingest.stages.coding import decode_key, encode_key
from beam_ingest.stores import Store
from beam_ingest.verify.chunks import ChunkVerifier, Coordinates
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.inputs import AtomicInputs, active_inputs, read_inputs
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

    def setup(self) -> None:
        """Open the store."""
        self._store = self._job.open_store()
        self._verifier = ChunkVerifier(self._job, self._store)

    def teardown(self) -> None:
        """Close it."""
        self._store.close()

    def _atomic(
        self, coords: Coordinates, inputs_of: Callable[[], AtomicInputs], findings: Findings
    ) -> Output:
        """Verify one layer-2 chunk; bad input is a difference, and then taken as none."""
        try:
            inputs = inputs_of()
        except InputError as error:
            findings.differ_once("input", str(error))
            inputs = active_inputs(self._grid, ChunkEdges(), Mapping.empty())
        if self._scope.writes(self._grid.chunk_id(ATOMIC_LAYER, coords)):
            messages = self._verifier.atomic(coords, inputs, findings)
        else:
            messages = self._verifier.around(coords, inputs)
        yield from tagged(self._grid, messages)


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
        names = [(edges_file_name(coords), components_file_name(coords)) for coords in chunks]
        contents = zip(
            edges.read_each([n for n, _ in names]), components.read_each([n for _, n in names]), strict=True
        )
        for coords, content, file_names in zip(chunks, contents, names, strict=True):
            files = (edges.path(file_names[0]), components.path(file_names[1]))

            def inputs_of(
                coords: Coordinates = coords,
                content: tuple[Content, Content] = content,
                files: tuple[str, str] = files,
            ) -> AtomicInputs:
                return read_inputs(self._grid, coords, *content, files)

            findings.counts["absent files"] += content.count(None)
            if content[0] == b"":
                findings.counts["edges files of no bytes"] += 1
            yield from self._atomic(coords, inputs_of, findings)
        yield report(findings)
