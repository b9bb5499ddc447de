"""One chunk, built here and now from its inputs, to see what becomes of them; nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from beam_ingest.files import Content, Folder
from beam_ingest.format.grid import (
    ATOMIC_LAYER,
    SUPERVOXEL_LAYER,
    ChunkGrid,
    Coordinates,
    Coords,
    as_coordinates,
)
from beam_ingest.ingest.build import Builder, BuiltChunk
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.agglomeration import Payload, assemble_chunk
from beam_ingest.inputs.components import encode_components
from beam_ingest.inputs.edges import encode_chunk_edges
from beam_ingest.inputs.needed_shards import shard_files_of
from beam_ingest.inputs.reading import read_shards

Contents = list[tuple[Coordinates, Content, Content]]
"""Layer-2 chunks, each with its edges and components files."""


def chunks_below(grid: ChunkGrid, layer: int, coords: Coordinates) -> dict[int, list[Coordinates]]:
    """The chunks of each layer that a chunk is built from: its children, and who touches them.

    Args:
      grid: the chunk grid.
      layer: the chunk's layer, 2 or above.
      coords: its coordinates.

    Returns:
      The layers from `layer` down to 2, and the coordinates of their chunks.
    """
    found = {layer: [coords]}
    for below in range(layer - 1, ATOMIC_LAYER - 1, -1):
        around = np.concatenate([_with_neighbours(grid, below, chunk) for chunk in found[below + 1]])
        found[below] = as_coordinates(np.unique(around, axis=0))
    return found


def read_inputs(job: IngestJob, chunks: list[Coordinates]) -> Contents:
    """The files of layer-2 chunks; with raw input, what would become of them.

    Raises:
      InputError: when a file of raw agglomeration says what cannot be true.
      FileError: when a file cannot be read.
    """
    if job.raw:
        return list(_assembled(job, chunks))
    contents = Builder(job).read(chunks)
    return list(zip(chunks, contents[::2], contents[1::2], strict=True))


def build_chunk(job: IngestJob, layer: int, coords: Coordinates, contents: Contents) -> BuiltChunk:
    """Build one chunk from the files of the layer-2 chunks in `chunks_below`.

    Raises:
      InputError: as the run of the graph raised it; of this chunk or of one below it.
    """
    grid, builder = job.grid, Builder(job)
    wanted = chunks_below(grid, layer, coords)
    built = {c: builder.atomic(c, edges, components) for c, edges, components in contents}
    for above in range(ATOMIC_LAYER + 1, layer + 1):
        messages: dict[int, list[bytes]] = defaultdict(list)
        for chunk in built.values():
            for target, data in chunk.messages:
                messages[target].append(data)
        built = {c: builder.parent(i, messages[i]) for c in wanted[above] for i in [grid.chunk_id(above, c)]}
    return built[coords]


def _with_neighbours(grid: ChunkGrid, layer: int, parent: Coordinates) -> Coords:
    """The children at `layer` of a chunk, and the chunks around them: those whose messages reach it."""
    axes = [
        np.arange(max(2 * at - 1, 0), min(2 * at + 3, n))
        for at, n in zip(parent, grid.bounds(layer), strict=True)
    ]
    coords: Coords = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return coords


def _assembled(
    job: IngestJob, chunks: list[Coordinates]
) -> Iterator[tuple[Coordinates, bytes | None, bytes | None]]:
    source, grid = job.dataset, job.grid
    assert source.agglomeration is not None
    assert source.data_version is not None
    folder = Folder(source.agglomeration)
    of_chunk: dict[int, list[Payload]] = defaultdict(list)
    for payload in _payloads(job, folder, source.data_version, chunks):
        for chunk in payload.chunks:
            of_chunk[chunk].append(payload)
    for coords in chunks:
        chunk = grid.chunk_id(SUPERVOXEL_LAYER, coords)
        # A payload of two chunks is in the lists of both.
        near = {id(p): p for each in (chunk, *grid.face_neighbours(chunk)) for p in of_chunk[each]}
        edges, mapping = assemble_chunk(
            grid, coords, list(near.values()), source.data_version, job.resolution, folder.path
        )
        yield (
            coords,
            encode_chunk_edges(edges) if len(edges) else None,
            encode_components(mapping) if mapping.ids.size else None,
        )


def _payloads(job: IngestJob, folder: Folder, data_version: int, chunks: list[Coordinates]) -> list[Payload]:
    """Everything in the files that hold something of the chunks, or pairs that were joined next to them."""
    payloads: list[Payload] = []
    shards = shard_files_of(job.grid, chunks)
    for opened in read_shards(job.grid, folder, shards, data_version, required=job.require_files):
        if opened.fault:
            raise opened.fault.error
        payloads += opened.payloads
    return payloads
