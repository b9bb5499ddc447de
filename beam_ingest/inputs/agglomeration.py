"""Raw agglomeration: the files below ``ingest_config.AGGLOMERATION``, and a chunk's edges from them.

``chunked_rg/in_chunk_0_x_y_z.data``, ``chunked_rg/between_chunks_0_x_y_z.data`` and
``chunked_rg/fake_0_x_y_z.data`` hold edge records in chunks, between chunks, and across cut
supervoxels; ``remap/done_{mip}_x_y_z.data`` hold the supervoxel pairs that were joined in the
2^mip chunks per axis around it. Source: pychunkedgraph/ingest/ran_agglomeration.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import components, pair_starts
from beam_ingest.errors import InputError
from beam_ingest.format.grid import (
    SUPERVOXEL_LAYER,
    ChunkGrid,
    Coordinates,
    Ids,
    as_coordinates,
    chunk_name,
)
from beam_ingest.inputs.check import ChunkChecker, are_supervoxels
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges, Edges
from beam_ingest.inputs.shards import decode_shard

Records = npt.NDArray[np.void]

IN_CHUNK, BETWEEN, FAKE, REMAP = "in_chunk", "between_chunks", "fake", "done"
EDGE_KINDS = (IN_CHUNK, BETWEEN, FAKE)
_IDS = [("sv1", "<u8"), ("sv2", "<u8")]


def edge_dtype(data_version: int) -> np.dtype[np.void]:
    """The layout of one edge record for ``data_source.DATA_VERSION`` 2, 3 or 4."""
    if data_version == 2:
        return np.dtype([*_IDS, ("aff", "<f4"), ("area", "<u8")])
    aff = "<f8" if data_version == 3 else "<f4"
    return np.dtype(
        [
            *_IDS,
            *((f"{name}_{axis}", kind) for axis in "xyz" for name, kind in (("aff", aff), ("area", "<u8"))),
        ]
    )


def pair_dtype() -> np.dtype[np.void]:
    """The layout of one record of a remap file: two joined supervoxels."""
    return np.dtype(_IDS)


def edge_file_name(kind: str, coords: Coordinates) -> str:
    """Name of a file of edge records, `kind` being in_chunk, between_chunks or fake."""
    x, y, z = coords
    return f"chunked_rg/{kind}_0_{x}_{y}_{z}.data"


def remap_file_name(mip: int, coords: Coordinates) -> str:
    """Name of a file of joined pairs; `coords` count blocks of 2^mip chunks per axis."""
    x, y, z = coords
    return f"remap/done_{mip}_{x}_{y}_{z}.data"


@dataclass(frozen=True)
class ShardFile:
    """One file of raw agglomeration.

    Attributes:
      kind: in_chunk, between_chunks, fake or done.
      mip: of a done file; 0 for the others.
      coords: the coordinates in its name.
    """

    kind: str
    mip: int
    coords: Coordinates

    @property
    def name(self) -> str:
        """Its name below ``ingest_config.AGGLOMERATION``."""
        if self.kind == REMAP:
            return remap_file_name(self.mip, self.coords)
        return edge_file_name(self.kind, self.coords)

    @property
    def first_chunk(self) -> Coordinates:
        """The lowest layer-2 chunk of those it may hold."""
        x, y, z = self.coords
        return (x << self.mip, y << self.mip, z << self.mip)

    @property
    def expected(self) -> bool:
        """Whether writers make it for every chunk; higher mips are there only where something was joined."""
        return self.mip == 0


def shard_files(grid: ChunkGrid, chunks: Sequence[Coordinates], partial: bool) -> list[ShardFile]:
    """The files to open for `chunks`.

    Args:
      grid: the chunk grid.
      chunks: layer-2 chunks.
      partial: whether not all chunks of the grid are asked for. If they are, every file there can
        be is given once, for the lowest chunk of its block. If not, that chunk may never come, so
        done files are given for every chunk: the same pairs again join nothing more.
    """
    files: dict[ShardFile, None] = {}  # a set that keeps its order
    for coords in chunks:
        files.update({ShardFile(kind, 0, coords): None for kind in EDGE_KINDS})
        for mip in range(grid.layer_count - 1):
            x, y, z = coords
            if partial or (x | y | z) & ((1 << mip) - 1) == 0:
                files[ShardFile(REMAP, mip, (x >> mip, y >> mip, z >> mip))] = None
    return list(files)


@dataclass(frozen=True, eq=False)
class Payload:
    """Records of one file for one chunk, or for a pair of chunks.

    Attributes:
      kind: kind of the file.
      name: its name, which gives records of several files an order.
      chunks: layer-1 chunk ids: one, or two for between_chunks and fake.
      data: the records.
    """

    kind: str
    name: str
    chunks: tuple[int, ...]
    data: memoryview | bytes


def read_shard(grid: ChunkGrid, shard: ShardFile, data: bytes, data_version: int, file: str) -> list[Payload]:
    """The payloads of a shard file that hold any record.

    Args:
      grid: the chunk grid.
      shard: which file it is.
      data: its bytes.
      data_version: layout of edge records.
      file: its path, for messages.

    Raises:
      InputError: when the file is damaged, or holds records of chunks that do not belong in it.
    """
    pair = shard.kind in (BETWEEN, FAKE)
    dtype = pair_dtype() if shard.kind == REMAP else edge_dtype(data_version)

    def names(chunks: Sequence[int]) -> str:
        coords = as_coordinates(grid.coords(np.array(chunks, np.uint64), SUPERVOXEL_LAYER))
        return " and ".join(map(chunk_name, coords or [shard.first_chunk]))

    found = decode_shard(data, 2 if pair else 1, dtype.itemsize, file, names)
    payloads = [Payload(shard.kind, shard.name, chunks, part) for chunks, part in found if len(part)]
    if not payloads:
        return []
    _check_places(grid, shard, payloads, file, names)
    records = [np.frombuffer(payload.data, dtype) for payload in payloads]
    first, second = (np.concatenate([part[name] for part in records]) for name in ("sv1", "sv2"))
    ends = np.cumsum([part.size for part in records])
    chunks = np.repeat([payload.chunks for payload in payloads], np.diff(ends, prepend=0), axis=0)
    values = [part[name] for name in dtype.names or () if name.startswith("aff") for part in records]
    finite = shard.kind in (FAKE, REMAP) or all(np.isfinite(part).all() for part in values)
    if not (finite and _are_sound(grid, shard.kind, chunks, first, second)):
        # Which record it is, and what is wrong with it, is worth looking at one payload after the other.
        for payload, begin, end in zip(payloads, [0, *ends[:-1]], ends, strict=True):
            _check_records(grid, payload, first[begin:end], second[begin:end], file)
        for payload, part in zip(payloads, records, strict=True):
            _check_affinities(payload, part, file, names)
    return payloads


def _check_places(
    grid: ChunkGrid,
    shard: ShardFile,
    payloads: Sequence[Payload],
    file: str,
    names: Callable[[Sequence[int]], str],
) -> None:
    """A file holds chunks at its own coordinates or one up (done: of its block), pairs that touch."""
    ids = np.array([payload.chunks for payload in payloads], np.uint64)
    coords = grid.coords(ids.reshape(-1), SUPERVOXEL_LAYER)
    right = ids.reshape(-1) == grid.chunk_ids(SUPERVOXEL_LAYER, coords)
    right &= grid.contains(coords)
    if shard.kind == REMAP:
        right &= (coords >> shard.mip == shard.coords).all(axis=1)
        expected = "pairs of chunks of the file's block"
    else:
        away = coords - np.array(shard.coords)
        right &= ((away >= 0) & (away <= 1)).all(axis=1)
        expected = "edges of chunks at the file's coordinates or one above"
    right = right.reshape(ids.shape).all(axis=1)
    if ids.shape[1] == 2:
        right &= np.abs(coords[::2] - coords[1::2]).sum(axis=1) == 1
        expected += ", in pairs that share a face"
    if not right.all():
        chunks = payloads[int(np.argmin(right))].chunks
        raise InputError(file, names(chunks), expected, f"chunk id {' and '.join(map(str, chunks))}")


def _are_sound(grid: ChunkGrid, kind: str, chunks: Ids, first: Ids, second: Ids) -> bool:
    """Whether `_check_records` would find nothing wrong in records of the payloads of one file.

    Args:
      grid: the chunk grid.
      kind: kind of the file.
      chunks: the chunks of each record's payload, in the grid, shape (n, 1) or (n, 2).
      first: one end of each record, shape (n,).
      second: the other end, shape (n,).
    """
    if kind == REMAP:
        return are_supervoxels(grid, first) and are_supervoxels(grid, second)
    segments = np.uint64((1 << grid.segment_bits(SUPERVOXEL_LAYER)) - 1)
    one, other = chunks[:, 0], chunks[:, -1]
    first_chunk, second_chunk = first & ~segments, second & ~segments
    right = (first_chunk == one) & (second_chunk == other)
    right |= (first_chunk == other) & (second_chunk == one)
    return bool(right.all())


def _check_records(grid: ChunkGrid, payload: Payload, first: Ids, second: Ids, file: str) -> None:
    """Supervoxels are of the grid, and those of edges are in the chunks that the records are for."""
    kind, chunks = payload.kind, payload.chunks
    edges = {IN_CHUNK: "in_chunk", BETWEEN: "between_chunk", FAKE: "cross_chunk"}
    for chunk in chunks:
        check = ChunkChecker(grid, grid.chunk_coords(chunk))
        if kind == REMAP:
            ids = np.unique([first, second])
            check.mapping(Mapping(ids, np.zeros(ids.size, np.int64)), file)
        else:
            try:
                check.group(edges[kind], Edges(first, second), file)
            except InputError as error:  # a shard file holds many chunks: no advice on misplaced files
                raise InputError(file, error.chunk, error.expected, error.found) from None


def _check_affinities(
    payload: Payload, records: Records, file: str, names: Callable[[Sequence[int]], str]
) -> None:
    """Affinities are numbers: servers cut a cell where their sum is smallest. Those of fake are not read."""
    if payload.kind in (FAKE, REMAP):
        return
    for name in [name for name in records.dtype.names or () if name.startswith("aff")]:
        wrong = np.flatnonzero(~np.isfinite(records[name]))
        if wrong.size:
            record = records[wrong[0]]
            found = f"{name} {record[name]} in the edge {record['sv1']} - {record['sv2']}"
            raise InputError(
                file, names(payload.chunks), f"affinities that are finite in {payload.kind}", found
            )


def assemble_chunk(
    grid: ChunkGrid,
    coords: Coordinates,
    payloads: Sequence[Payload],
    data_version: int,
    resolution: tuple[float, float, float],
    path: Callable[[str], str],
) -> tuple[ChunkEdges, Mapping]:
    """A layer-2 chunk's edges and mapping out of payloads among which are all of its own and its neighbours'.

    Args:
      grid: the chunk grid.
      coords: the chunk.
      payloads: in any order.
      data_version: layout of edge records.
      resolution: of `assemble_edges`.
      path: path of a file from its name, for messages.

    Raises:
      InputError: when the sums of an edge do not fit its columns.
    """
    chunk = grid.chunk_id(SUPERVOXEL_LAYER, coords)
    near = {chunk, *grid.face_neighbours(chunk)}
    own = [p for p in payloads if p.kind != REMAP and chunk in p.chunks]
    joined = [p for p in payloads if p.kind == REMAP and p.chunks[0] in near]
    own.sort(key=lambda p: (p.name, p.chunks))  # sums of floats depend on their order; components do not
    return assemble_edges(grid, chunk, own, data_version, resolution, path), assemble_mapping(joined)


def assemble_edges(
    grid: ChunkGrid,
    chunk: int,
    payloads: Sequence[Payload],
    data_version: int,
    resolution: tuple[float, float, float],
    path: Callable[[str], str],
) -> ChunkEdges:
    """A chunk's edges from all payloads that name it; one pair from several files is summed.

    Args:
      grid: the chunk grid.
      chunk: layer-1 chunk id.
      payloads: edge payloads, each of this chunk or of a pair with this chunk, in order of their files.
      data_version: layout of edge records.
      resolution: weights of the axes in areas and affinities, for data versions 3 and 4.
      path: path of a file from its name, for messages.

    Raises:
      InputError: when the sums of an edge do not fit its columns.
    """
    dtype = edge_dtype(data_version)
    names = dtype.names or ()
    swapped = np.dtype(
        [(new, dtype[old]) for new, old in zip(("sv2", "sv1", *names[2:]), names, strict=True)]
    )
    groups = {}
    for kind in EDGE_KINDS:
        own = [p for p in payloads if p.kind == kind]
        # Read with the names of the two columns exchanged, a pair seen from its second chunk turns round.
        records = [
            np.frombuffer(p.data, dtype if p.chunks[0] == chunk else swapped)[list(names)] for p in own
        ]
        every = np.concatenate(records) if records else np.empty(0, dtype)
        try:
            groups[kind] = _cut(every) if kind == FAKE else _sum(every, resolution)
        except _DoesNotFitError as error:
            at = [bool(((r["sv1"] == error.first) & (r["sv2"] == error.second)).any()) for r in records]
            name = chunk_name(grid.chunk_coords(chunk))
            raise InputError(path(own[at.index(True)].name), name, *error.said) from None
    return ChunkEdges(in_chunk=groups[IN_CHUNK], cross_chunk=groups[FAKE], between_chunk=groups[BETWEEN])


class _DoesNotFitError(Exception):
    """The sum of a column of one edge is more than the column of an edges file holds."""

    def __init__(self, first: int, second: int, column: str, kind: str, found: float) -> None:
        self.first, self.second = first, second
        self.said = (
            f"edges whose {column}, summed over records and axes, fits {kind}",
            f"the edge {first} - {second} with {found:g}",
        )


def _sum(records: Records, resolution: tuple[float, float, float]) -> Edges:
    """One edge per pair of supervoxels, areas and affinities summed over records and axes."""
    order = np.lexsort((records["sv2"], records["sv1"]))  # stable: sums in order of the files
    first, second = records["sv1"][order], records["sv2"][order]
    starts = pair_starts(first, second)
    if starts.size == 0:
        return Edges()
    names = records.dtype.names or ()
    axes = zip("xyz", resolution, strict=True) if "aff_x" in names else [("", 1)]
    affinity = np.zeros(starts.size)
    area = np.zeros(starts.size)
    first, second = first[starts], second[starts]
    with np.errstate(over="ignore", invalid="ignore"):
        for axis, weight in axes:
            suffix = f"_{axis}" if axis else ""
            affinity += np.add.reduceat(records[f"aff{suffix}"][order].astype(np.float64), starts) * weight
            area += np.add.reduceat(records[f"area{suffix}"][order].astype(np.float64), starts) * weight
        short = affinity.astype(np.float32)
    for column, kind, sums, fits in (
        ("affinity", "float32", affinity, np.isfinite(short)),
        ("area", "uint64", area, area < 2.0**64),
    ):
        if not fits.all():
            at = int(np.argmin(fits))
            raise _DoesNotFitError(int(first[at]), int(second[at]), column, kind, float(sums[at]))
    return Edges(first, second, short, area.astype(np.uint64))


def _cut(records: Records) -> Edges:
    """One edge per pair of supervoxels that a chunk face cut; always active, whatever was measured there."""
    order = np.lexsort((records["sv2"], records["sv1"]))
    first, second = records["sv1"][order], records["sv2"][order]
    starts = pair_starts(first, second)
    affinities, areas = np.full(starts.size, np.inf, np.float32), np.ones(starts.size, np.uint64)
    return Edges(first[starts], second[starts], affinities, areas)


def assemble_mapping(payloads: Sequence[Payload]) -> Mapping:
    """The components that the joined pairs of a chunk and its face neighbours make."""
    pairs = [np.frombuffer(p.data, pair_dtype()) for p in payloads]
    if not pairs:
        return Mapping.empty()
    first = np.concatenate([p["sv1"] for p in pairs])
    second = np.concatenate([p["sv2"] for p in pairs])
    ids, position = np.unique(np.concatenate([first, second]), return_inverse=True)
    left, right = position[: first.size], position[first.size :]
    return Mapping(ids, components(ids.size, left, right))
