"""The files of a chunk, its row in the job's table, and what it counts for. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates
from beam_ingest.format.table import Cells
from beam_ingest.inputs.components import encode_components
from beam_ingest.inputs.edges import encode_chunk_edges
from beam_ingest.stages import progress
from beam_ingest.stages.progress import Counts
from beam_ingest.volumes.assemble import assemble_components, assemble_edges
from beam_ingest.volumes.coherence import chunk_labels
from beam_ingest.volumes.cut import CutChunk
from beam_ingest.volumes.faces import Crossings
from beam_ingest.volumes.job import PrepareJob
from beam_ingest.volumes.totals import Totals


class ChunkFiles(NamedTuple):
    """What is written of a chunk, besides its part of the watershed.

    Attributes:
      edges: content of its edges file.
      components: content of its components file.
      cells: of the job's table.
      counts: what it counts for.
    """

    edges: bytes
    components: bytes
    cells: Cells
    counts: Counts


def chunk_files(
    job: PrepareJob, coords: Coordinates, chunk: CutChunk, across: Sequence[Crossings]
) -> ChunkFiles:
    """The files of a chunk.

    Args:
      job: the job.
      coords: the chunk.
      chunk: its pieces, and contacts between them.
      across: their contacts with each of its neighbours.
    """
    edges, alone = assemble_edges(chunk.ids, chunk.inside, across)
    mapping = assemble_components(chunk.ids, chunk.agglomerated, across)
    contents = encode_chunk_edges(edges), encode_components(mapping)
    nbytes = sum(map(len, contents)) + chunk.nbytes
    totals = Totals.of(edges, chunk.agglomerated, alone=alone, mixed=chunk.mixed, nbytes=nbytes)
    joined = chunk.agglomerated if job.joins else None
    labels = chunk_labels(chunk.ids, chunk.sources, joined, edges.in_chunk, across)
    cells = totals.cells(job.grid.chunk_id(ATOMIC_LAYER, coords), labels, crc32(b"".join(contents)))
    # That it was cut is written with it, too, or a run that is killed between the two would lack it.
    cut = progress.chunk_key(job.grid.chunk_id(SUPERVOXEL_LAYER, coords))
    cells += progress.done_cells(cut, Counts(), 0, 0)[:1]
    counts = Counts(
        supervoxels=int(chunk.ids.size),
        edges=len(edges),
        rows=1,
        cells=len(cells),
        nbytes=nbytes,
        mapped=int(mapping.ids.size),
        between=len(edges.between_chunk),
    )
    return ChunkFiles(*contents, cells, counts)
