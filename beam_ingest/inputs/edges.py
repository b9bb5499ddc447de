"""Edges files: ``edges_x_y_z.proto.zst``, the edges of one chunk.

A file is one zstd frame around a ``ChunkEdgesMsg`` of three groups of edges:

* ``in_chunk``: both supervoxels in the chunk;
* ``between_chunk``: between supervoxels of two chunks; active when one agglomerated component holds both;
* ``cross_chunk``: between the halves of a supervoxel that the chunk's face cut; always active.

In the last two the first supervoxel is the chunk's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard
from google.protobuf.message import DecodeError

from beam_ingest.errors import InputError
from beam_ingest.files import Folder, resolve
from beam_ingest.format.grid import Coordinates, Ids, chunk_name
from beam_ingest.inputs.messages import ChunkEdgesMsg, has_unknown_fields

MAX_EDGES_BYTES = 1 << 30
"""The largest decompressed edges file that is read: 36 million edges in one chunk."""
_LEVEL = 3
_SLICE = 1 << 14
GROUPS = ("in_chunk", "cross_chunk", "between_chunk")
"""The groups of edges of a chunk, in order of the file."""
_COLUMNS: dict[str, np.dtype[Any]] = {
    "node_ids1": np.dtype("<u8"),
    "node_ids2": np.dtype("<u8"),
    "affinities": np.dtype("<f4"),
    "areas": np.dtype("<u8"),
}


def edges_folder(url: str) -> Folder:
    """The folder of edges files at `url`: PyChunkedGraph reads them as they are stored."""
    return Folder(url, as_stored=True)


def _ids() -> Ids:
    return np.empty(0, np.uint64)


@dataclass(frozen=True)
class Edges:
    """n edges between supervoxels.

    Attributes:
      node_ids1: supervoxel ids, shape (n,), uint64; the chunk's own in edges that leave it.
      node_ids2: their partners, shape (n,), uint64.
      affinities: shape (n,), float32; the higher, the more likely both are one object. Infinite in
        cross-chunk edges.
      areas: faces of voxels at which they touch, shape (n,), uint64.
    """

    node_ids1: Ids = field(default_factory=_ids)
    node_ids2: Ids = field(default_factory=_ids)
    affinities: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    areas: npt.NDArray[np.uint64] = field(default_factory=_ids)

    def __len__(self) -> int:
        return int(self.node_ids1.size)


@dataclass(frozen=True)
class ChunkEdges:
    """The three groups of edges of one chunk.

    Attributes:
      in_chunk: edges with both supervoxels in the chunk.
      cross_chunk: edges between the two parts of a supervoxel that the chunk's face cut; always active.
      between_chunk: edges between other supervoxels on either side of the chunk's faces.
    """

    in_chunk: Edges = field(default_factory=Edges)
    cross_chunk: Edges = field(default_factory=Edges)
    between_chunk: Edges = field(default_factory=Edges)

    def __len__(self) -> int:
        return len(self.in_chunk) + len(self.cross_chunk) + len(self.between_chunk)


def edges_file_name(coords: Coordinates) -> str:
    """Name of the edges file of the chunk at `coords`, below ``data_source.EDGES``."""
    x, y, z = coords
    return f"edges_{x}_{y}_{z}.proto.zst"


def encode_chunk_edges(edges: ChunkEdges) -> bytes:
    """The content of an edges file."""
    message: Any = ChunkEdgesMsg()
    for group in GROUPS:
        for column, dtype in _COLUMNS.items():
            values = getattr(getattr(edges, group), column)
            setattr(getattr(message, group), column, values.astype(dtype, copy=False).tobytes())
    return zstandard.ZstdCompressor(level=_LEVEL).compress(message.SerializeToString())


def decode_chunk_edges(data: bytes, file: str, chunk: str) -> ChunkEdges:
    """Parse the content of an edges file.

    Args:
      data: the file's bytes.
      file: its path, for messages.
      chunk: ``x_y_z``, for messages.

    Raises:
      InputError: when the zstd frame, the protobuf message or the length of a column is wrong.
    """
    if not data:  # PyChunkedGraph takes a file of no bytes as one without edges
        return ChunkEdges()
    message: Any = ChunkEdgesMsg()
    try:
        message.ParseFromString(_decompress(data, file, chunk))
    except DecodeError as error:
        raise InputError(file, chunk, "a ChunkEdgesMsg protobuf", f"broken bytes ({error})") from None
    if any(map(has_unknown_fields, (message, *(getattr(message, name) for name in GROUPS)))):
        raise InputError(file, chunk, "a ChunkEdgesMsg protobuf", "one with fields of something else")
    groups = {name: _edges(getattr(message, name), name, file, chunk) for name in GROUPS}
    return ChunkEdges(**groups)


def _edges(message: Any, group: str, file: str, chunk: str) -> Edges:
    columns: dict[str, Any] = {}
    for name, dtype in _COLUMNS.items():
        data = getattr(message, name)
        if len(data) % dtype.itemsize:
            raise InputError(
                file, chunk, f"{group}.{name} in items of {dtype.itemsize} bytes", f"{len(data)} bytes"
            )
        columns[name] = np.frombuffer(data, dtype)
    sizes = {name: int(column.size) for name, column in columns.items()}
    # Affinities and areas matter to servers, not to the graph: some writers leave them out.
    count = sizes["node_ids1"]
    wrong = [f"{n} of {s}" for n, s in sizes.items() if s != count and (s or n == "node_ids2")]
    if wrong:
        raise InputError(file, chunk, f"{group} columns of {count} edges (as node_ids1)", ", ".join(wrong))
    return Edges(**columns)


def _decompress(data: bytes, file: str, chunk: str) -> bytes:
    """Undo the zstd frame, never making much more than MAX_EDGES_BYTES of it."""
    stream = zstandard.ZstdDecompressor().decompressobj()
    pieces: list[bytes] = []
    size = 0
    try:
        declared = zstandard.frame_content_size(data)  # -1 when the frame does not say
        if declared > MAX_EDGES_BYTES:
            raise InputError(file, chunk, f"at most {MAX_EDGES_BYTES} bytes of edges", f"{declared}")
        # In slices, since a slice of one damaged or hostile frame can grow 30,000-fold.
        for start in range(0, len(data), _SLICE):
            pieces.append(stream.decompress(data[start : start + _SLICE]))
            size += len(pieces[-1])
            if size > MAX_EDGES_BYTES:
                raise InputError(file, chunk, f"at most {MAX_EDGES_BYTES} bytes of edges", "more")
            if stream.eof:
                break
    except zstandard.ZstdError as error:
        raise InputError(file, chunk, "a zstd frame", f"{len(data)} damaged bytes ({error})") from None
    if not stream.eof:
        raise InputError(file, chunk, "a whole zstd frame", f"{len(data)} bytes of a longer one")
    if stream.unused_data or start + _SLICE < len(data):
        raise InputError(file, chunk, "one zstd frame", "more bytes after its end")
    return b"".join(pieces)


def write_edges(folder: str | Path, coords: Coordinates, edges: ChunkEdges) -> None:
    """Write the edges file of a chunk.

    Args:
      folder: ``data_source.EDGES``: a path, or a URL that cloud-files knows.
      coords: the chunk's coordinates.
      edges: its edges, with the chunk's own supervoxel first in those that leave it.

    Raises:
      FileError: when it cannot be written.
    """
    edges_folder(resolve(str(folder))).write({edges_file_name(coords): encode_chunk_edges(edges)})


def read_edges(folder: str | Path, coords: Coordinates) -> ChunkEdges | None:
    """The edges of a chunk as its file lists them; None when there is no file.

    Args:
      folder: ``data_source.EDGES``: a path, or a URL that cloud-files knows.
      coords: the chunk's coordinates.

    Raises:
      FileError: when the file cannot be read.
      InputError: when it is damaged.
    """
    place, name = edges_folder(resolve(str(folder))), edges_file_name(coords)
    (content,) = place.read([name])
    return None if content is None else decode_chunk_edges(content, place.path(name), chunk_name(coords))
