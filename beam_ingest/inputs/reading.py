"""Reading what a chunk is built from: its two files, or shard files of raw agglomeration.

Build, check and verify all read here, so that each fault has one name and one text wherever it is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from beam_ingest.errors import InputError
from beam_ingest.files import Content, FileError, Folder
from beam_ingest.format.grid import ChunkGrid, Coordinates, chunk_name
from beam_ingest.inputs.agglomeration import Payload, ShardFile, read_shard
from beam_ingest.inputs.check import ChunkChecker
from beam_ingest.inputs.components import Mapping, components_file_name, decode_components
from beam_ingest.inputs.edges import GROUPS, ChunkEdges, Edges, decode_chunk_edges, edges_file_name

EDGES, COMPONENTS = "edges", "components"
"""The two kinds of files of a chunk; those of raw agglomeration are in `beam_ingest.inputs.agglomeration`."""

MappingDecoder = Callable[[bytes, str, str], Mapping]
"""Decodes a components file: its content, its path, and the chunk's name for messages."""


class FaultKind(Enum):
    """What can be wrong with an input file."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    DAMAGED = "damaged"
    IMPOSSIBLE_IDS = "impossible ids"


class Fault(NamedTuple):
    """Something wrong with an input file.

    Attributes:
      kind: what is wrong.
      source: the kind of file: EDGES, COMPONENTS, or that of a shard file.
      error: the error, with file, chunk and advice.
    """

    kind: FaultKind
    source: str
    error: InputError


@dataclass(frozen=True, eq=False)
class ChunkInputs:
    """What the two files of a chunk say.

    Attributes:
      edges: its edges, swapped pairs put right; None when they are unknown because of a fault.
      mapping: its components; None when they are unknown because of a fault.
      faults: everything that is wrong, in order of files and groups.
    """

    edges: ChunkEdges | None
    mapping: Mapping | None
    faults: list[Fault] = field(default_factory=list)

    def sound(self) -> tuple[ChunkEdges, Mapping]:
        """Edges and mapping when nothing is wrong.

        Raises:
          InputError: with the first fault of each file.
        """
        if self.edges is None or self.mapping is None:
            first_of_file = {fault.source: fault.error for fault in reversed(self.faults)}
            raise InputError.several([first_of_file[s] for s in (EDGES, COMPONENTS) if s in first_of_file])
        return self.edges, self.mapping


def read_files(edges: Folder, components: Folder, chunks: Sequence[Coordinates]) -> list[Content]:
    """The contents of the files of `chunks`: edges, components, edges, components, …

    Args:
      edges: the folder of edges files.
      components: the folder of components files.
      chunks: coordinates of layer-2 chunks.

    Raises:
      FileError: when a file cannot be read for a reason that may pass.
    """
    calls = [
        (edges, [edges_file_name(coords) for coords in chunks]),
        (components, [components_file_name(coords) for coords in chunks]),
    ]
    if edges.is_local and components.is_local:
        found = [folder.read_each(names) for folder, names in calls]
    else:
        with ThreadPoolExecutor(len(calls)) as pool:
            found = list(pool.map(lambda call: call[0].read_each(call[1]), calls))
    return [content for pair in zip(*found, strict=True) for content in pair]


def read_chunk(
    grid: ChunkGrid,
    coords: Coordinates,
    edges: Content,
    components: Content,
    files: tuple[str, str],
    *,
    required: bool = False,
    decode_mapping: MappingDecoder = decode_components,
) -> ChunkInputs:
    """Decode and check the files of the layer-2 chunk at `coords`. Both are read even if one is bad.

    Args:
      grid: the chunk grid.
      coords: the chunk's coordinates.
      edges: content of its edges file; an absent one has no edges.
      components: content of its components file; an absent one joins nothing.
      files: paths of both, for messages.
      required: whether an absent file is a fault.
      decode_mapping: decodes components.
    """
    chunk, check = chunk_name(coords), ChunkChecker(grid, coords)
    faults: list[Fault] = []
    listed = _read_edges(check, edges, files[0], chunk, required, faults)
    mapping: Mapping | None = None
    file_fault = _file_fault(components, COMPONENTS, files[1], chunk, required)
    if file_fault:
        faults.append(file_fault)
    elif not isinstance(components, bytes):
        mapping = Mapping.empty()
    else:
        with _noted(FaultKind.EMPTY, COMPONENTS, faults) as empty:
            check.not_empty(components, 0 if listed is None else len(listed), files[1])
        decoded: Mapping | None = None
        if not empty:
            with _noted(FaultKind.DAMAGED, COMPONENTS, faults):
                decoded = decode_mapping(components, files[1], chunk)
        if decoded is not None:
            with _noted(FaultKind.IMPOSSIBLE_IDS, COMPONENTS, faults):
                mapping = check.mapping(decoded, files[1])
    return ChunkInputs(listed, mapping, faults)


def _read_edges(
    check: ChunkChecker, content: Content, file: str, chunk: str, required: bool, faults: list[Fault]
) -> ChunkEdges | None:
    """The edges of a chunk; None, with faults, if they are unknown. Each group at fault is one fault."""
    file_fault = _file_fault(content, EDGES, file, chunk, required)
    if file_fault:
        faults.append(file_fault)
        return None
    if not isinstance(content, bytes):
        return ChunkEdges()
    decoded: ChunkEdges | None = None
    with _noted(FaultKind.DAMAGED, EDGES, faults):
        decoded = decode_chunk_edges(content, file, chunk)
    if decoded is None:
        return None
    checked: dict[str, Edges] = {}
    for group in GROUPS:
        with _noted(FaultKind.IMPOSSIBLE_IDS, EDGES, faults):
            checked[group] = check.group(group, getattr(decoded, group), file)
    return ChunkEdges(**checked) if len(checked) == len(GROUPS) else None


class OpenedShard(NamedTuple):
    """A shard file that was looked for.

    Attributes:
      shard: which file.
      absent: whether there is no such file.
      payloads: what is in it; none when it is absent or at fault.
      fault: what is wrong with it.
    """

    shard: ShardFile
    absent: bool
    payloads: list[Payload]
    fault: Fault | None


def read_shards(
    grid: ChunkGrid,
    folder: Folder,
    shards: Sequence[ShardFile],
    data_version: int,
    *,
    required: bool = False,
) -> Iterator[OpenedShard]:
    """Read and check shard files.

    Args:
      grid: the chunk grid.
      folder: ``ingest_config.AGGLOMERATION``.
      shards: the files.
      data_version: layout of edge records.
      required: whether the absence of a file that writers make for every chunk is a fault.

    Raises:
      FileError: when a file cannot be read for a reason that may pass.
    """
    for shard, content in zip(shards, folder.read_each([shard.name for shard in shards]), strict=True):
        file, chunk = folder.path(shard.name), chunk_name(shard.first_chunk)
        faults: list[Fault] = []
        payloads: list[Payload] = []
        file_fault = _file_fault(content, shard.kind, file, chunk, required and shard.expected)
        if file_fault:
            faults.append(file_fault)
        elif isinstance(content, bytes):
            with _noted(FaultKind.DAMAGED, shard.kind, faults):
                payloads = read_shard(grid, shard, content, data_version, file)
        yield OpenedShard(shard, content is None, payloads, faults[0] if faults else None)


def unreadable(file: str, chunk: str, error: FileError) -> InputError:
    """The error of a file that exists but cannot be read."""
    advice = "make it readable for this program"
    return InputError(file, chunk, "a file that can be read", f"an error: {error.reason}", advice)


def _file_fault(content: Content, source: str, file: str, chunk: str, required: bool) -> Fault | None:
    """What is wrong with a file whatever is in it."""
    if isinstance(content, FileError):
        return Fault(FaultKind.UNREADABLE, source, unreadable(file, chunk, content))
    if content is None and required:
        error = InputError(file, chunk, "the file", "none", "--require-files asks for every one")
        return Fault(FaultKind.ABSENT, source, error)
    return None


@contextmanager
def _noted(kind: FaultKind, source: str, faults: list[Fault]) -> Iterator[list[Fault]]:
    """Turn an `InputError` of the block into a fault; gives the faults of this block alone."""
    noted: list[Fault] = []
    try:
        yield noted
    except InputError as error:
        noted.append(Fault(kind, source, error))
        faults += noted
