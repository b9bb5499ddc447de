"""The first stage of a verification of a graph that was built from raw agglomeration.

Shard files are opened once, and their payloads meet in the blocks of chunks that need them.
"""

from __future__ import annotations

from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from beam_ingest.errors import InputError
from beam_ingest.files import FileError, Folder
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates, as_coordinates, chunk_name
from beam_ingest.inputs.agglomeration import Payload, assemble_chunk, shard_files
from beam_ingest.inputs.components import Mapping, components_file_name, parse_components
from beam_ingest.inputs.edges import ChunkEdges, decode_chunk_edges, edges_file_name, edges_folder
from beam_ingest.inputs.reading import ChunkInputs, read_shards, unreadable
from beam_ingest.stages.coding import decode_key, encode_key
from beam_ingest.stages.payloads import address_payloads, unpack_payloads
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.verify.atomic import Output, VerifyChunks, report
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.verify_job import VerifyJob

PAYLOADS = "payloads"
Arrays = list[npt.NDArray[np.generic]]


class OpenShards(beam.DoFn):  # type: ignore[misc]
    """From the key of a block: the shard files of raw agglomeration that begin in it.

    The output PAYLOADS is (key of a block that needs it, packed payload).

    Args:
      job: the verification.
    """

    def __init__(self, job: VerifyJob) -> None:
        self._job = job

    def process(self, key: bytes) -> Output:
        """Open one block's files."""
        grid, source, findings = self._job.grid, self._job.dataset, Findings()
        folder = Folder(str(source.agglomeration))
        # Of a test, too, all chunks of the block: those around its chunks need the files beside theirs.
        chunks = as_coordinates(grid.children(BLOCK_LAYER, grid.chunk_coords(decode_key(key))))
        shards = shard_files(grid, chunks, partial=self._job.scope.test)
        payloads: list[Payload] = []
        for opened in read_shards(grid, folder, shards, source.data_version or 0):
            if opened.absent:
                findings.counts["absent files"] += opened.shard.expected
            payloads += opened.payloads
            if opened.fault:
                findings.differ_once("input", str(opened.fault.error))
        for block, packed in address_payloads(grid, payloads):
            yield beam.pvalue.TaggedOutput(PAYLOADS, (encode_key(block), packed))
        yield beam.pvalue.TaggedOutput(PAYLOADS, (key, b""))  # a block without payloads is verified too
        yield report(findings)


class VerifyRaw(VerifyChunks):
    """From (block key, packed payloads): its chunks, and the files that were written for servers.

    Args:
      job: the verification.
    """

    def process(self, group: tuple[bytes, Iterable[bytes]]) -> Output:
        """Verify one block."""
        key, values = group
        findings, payloads = Findings(), unpack_payloads(values)
        for coords in self._scope.chunks(self._grid.chunk_coords(decode_key(key))):
            try:
                listed, mapping = self._assembled(coords, payloads)
            except InputError as error:
                findings.differ_once("input", str(error))
                listed, mapping = ChunkEdges(), Mapping.empty()
            if self._scope.writes(self._grid.chunk_id(ATOMIC_LAYER, coords)):
                self._written_files(coords, _arrays(listed), [mapping.ids, mapping.components], findings)
            yield from self._atomic(coords, ChunkInputs(listed, mapping), findings)
        yield report(findings)

    def _assembled(self, coords: Coordinates, payloads: list[Payload]) -> tuple[ChunkEdges, Mapping]:
        source = self._job.dataset
        path = Folder(str(source.agglomeration)).path
        return assemble_chunk(
            self._grid, coords, payloads, source.data_version or 0, self._job.resolution, path
        )

    def _written_files(self, coords: Coordinates, edges: Arrays, mapping: Arrays, findings: Findings) -> None:
        """What a raw ingest wrote to EDGES and COMPONENTS is what the raw agglomeration says."""
        source, chunk = self._job.dataset, chunk_name(coords)

        def edges_in(content: bytes | None, file: str) -> Arrays:
            return _arrays(ChunkEdges() if content is None else decode_chunk_edges(content, file, chunk))

        def mapping_in(content: bytes | None, file: str) -> Arrays:
            found = Mapping.empty() if content is None else parse_components(content, file, chunk)
            return [found.ids, found.components]

        for url, folder_at, file_name, read, expected in (
            (source.edges, edges_folder, edges_file_name(coords), edges_in, edges),
            (source.components, Folder, components_file_name(coords), mapping_in, mapping),
        ):
            if url is None:
                continue
            folder = folder_at(url)
            file, (data,) = folder.path(file_name), folder.read_each([file_name])
            try:
                if isinstance(data, FileError):
                    raise unreadable(file, chunk, data)
                same = all(map(np.array_equal, read(data, file), expected))
            except InputError as error:
                findings.differ_once("written file", str(error))
                continue
            findings.counts["written files"] += data is not None
            if not same:
                findings.differ_once(
                    "written file", f"{file}: it is not what the raw agglomeration makes of chunk {chunk}"
                )


def _arrays(edges: ChunkEdges) -> Arrays:
    """All columns of a chunk's edges."""
    groups = (edges.in_chunk, edges.cross_chunk, edges.between_chunk)
    return [column for g in groups for column in (g.node_ids1, g.node_ids2, g.affinities, g.areas)]
