"""Dataset folders: reading and writing the protobuf input files, with the wire format spelled out by hand.

ChunkEdgesMsg: 1 in_chunk, 2 cross_chunk, 3 between_chunk (each an EdgesMsg)
EdgesMsg: 1 node_ids1, 2 node_ids2 (uint64 LE), 3 affinities (float32 LE), 4 areas (uint64 LE), all bytes
ChunkComponentsMsg: 1 packed repeated uint64: size, ids…, size, ids…
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import zstandard

from .model import Chunk, Coords, Edge, Grid, OracleDataset

_BYTES = 2
"""The wire type of length-delimited fields, which are all that these messages have."""


def load(path: str | Path, grid: Grid) -> OracleDataset:
    """Reads ``edges/`` and ``components/`` of a dataset folder; missing files are taken as empty."""
    chunks: dict[Coords, Chunk] = {}
    for coords in OracleDataset(grid).all_coords():
        edges_file = Path(path) / "edges" / _edges_name(coords)
        components_file = Path(path) / "components" / _components_name(coords)
        message = b""
        if edges_file.exists():
            message = zstandard.ZstdDecompressor().decompressobj().decompress(edges_file.read_bytes())
        groups = {number: _parse_edges(value) for number, value in _fields(message)}
        components = _parse_components(components_file.read_bytes()) if components_file.exists() else ()
        chunk = Chunk(groups.get(1, ()), groups.get(2, ()), groups.get(3, ()), components)
        if chunk:
            chunks[coords] = chunk
    return OracleDataset(grid, chunks)


def edge_fields(data: bytes) -> dict[int, dict[int, bytes]]:
    """The bytes of each field of an edges file, by group and number, read as PyChunkedGraph reads them."""
    message = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return {number: dict(_fields(value)) for number, value in _fields(message)}


def write(
    dataset: OracleDataset,
    directory: str | Path,
    *,
    offset: Coords = (0, 0, 0),
    size: Coords | None = None,
    chunk_size: Coords = (64, 64, 64),
    empty_files: bool = False,
    ingest_config: Sequence[str] = (),
) -> Path:
    """Writes a dataset folder: dataset.yml, ws/info (no voxels), edges/ and components/.

    Args:
      dataset: what to write.
      directory: where; made when it does not exist.
      offset: voxel offset of the volume.
      size: voxels of the volume; whole chunks by default.
      chunk_size: voxels of a chunk.
      empty_files: write the files of empty chunks too, instead of leaving them out.
      ingest_config: lines for that section of dataset.yml, such as ``"MISSING: empty"``.

    Returns:
      The path of dataset.yml.
    """
    grid, folder = dataset.grid, Path(directory)
    if size is None:
        x, y, z = (n * voxels for n, voxels in zip(grid.chunks, chunk_size, strict=True))
        size = (x, y, z)
    if tuple(math.ceil(a / b) for a, b in zip(size, chunk_size, strict=True)) != grid.chunks:
        raise ValueError(f"{size} voxels in chunks of {chunk_size} are not {grid.chunks} chunks")
    for name in ("ws", "edges", "components"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "ws" / "info").write_text(json.dumps(_watershed_info(size, offset, chunk_size), indent=2))
    for coords in dataset.all_coords():
        chunk = dataset.chunks.get(coords, Chunk())
        if chunk or empty_files:
            frame = zstandard.ZstdCompressor().compress(_edges_message(chunk))
            (folder / "edges" / _edges_name(coords)).write_bytes(frame)
            # No component is no file: an empty one beside edges is one that was cut short.
            components_file = folder / "components" / _components_name(coords)
            if chunk.components or not chunk:
                components_file.write_bytes(_components_message(chunk))
            else:
                components_file.unlink(missing_ok=True)
    config = folder / "dataset.yml"
    config.write_text(_dataset_yml(grid, chunk_size, ingest_config))
    return config


def _edges_name(coords: Coords) -> str:
    return "edges_{}_{}_{}.proto.zst".format(*coords)


def _components_name(coords: Coords) -> str:
    return "components_{}_{}_{}.proto".format(*coords)


def _dataset_yml(grid: Grid, chunk_size: Coords, ingest_config: Sequence[str]) -> str:
    lines = [
        "data_source:",
        "  EDGES: ./edges",
        "  COMPONENTS: ./components",
        "  WATERSHED: ./ws",
        "  DATA_VERSION: 4",
        "graph_config:",
        f"  CHUNK_SIZE: {list(chunk_size)}",
        "  FANOUT: 2",
        f"  SPATIAL_BITS: {grid.spatial_bits}",
        f"  LAYER_ID_BITS: {grid.layer_id_bits}",
        "backend_client:",
        "  TYPE: sqlite",
        "  CONFIG:",
        "    PATH: ./graph.sqlite",
    ]
    if ingest_config:
        lines += ["ingest_config:", *(f"  {line}" for line in ingest_config)]
    return "\n".join(lines) + "\n"


def _watershed_info(size: Coords, offset: Coords, chunk_size: Coords) -> dict[str, object]:
    scale = {
        "key": "8_8_40",
        "resolution": [8, 8, 40],
        "size": list(size),
        "voxel_offset": list(offset),
        "chunk_sizes": [list(chunk_size)],
        "encoding": "raw",
    }
    return {"type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [scale]}


def _varint(number: int) -> bytes:
    """Seven bits per byte, lowest first; the high bit says that more follow."""
    out = bytearray()
    while number > 127:
        out.append(number % 128 + 128)
        number //= 128
    return bytes([*out, number])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and where the next thing starts."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes; left out when empty, as proto3 does."""
    return _varint(number * 8 + _BYTES) + _varint(len(value)) + value if value else b""


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Number and value of each field of bytes."""
    fields, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire_type = divmod(tag, 8)
        if wire_type != _BYTES:
            raise ValueError(f"field {number} has wire type {wire_type}, where bytes are expected")
        length, at = _read_varint(data, at)
        fields.append((number, data[at : at + length]))
        at += length
    return fields


def _edges_message(chunk: Chunk) -> bytes:
    groups = (chunk.in_chunk, 0.5), (chunk.cross, math.inf), (chunk.between, 0.25)
    return b"".join(
        _field(number, _edges_group(edges, affinity))
        for number, (edges, affinity) in enumerate(groups, start=1)
    )


def _edges_group(edges: Sequence[Edge], affinity: float) -> bytes:
    n = len(edges)
    return (
        _field(1, struct.pack(f"<{n}Q", *(a for a, _ in edges)))
        + _field(2, struct.pack(f"<{n}Q", *(b for _, b in edges)))
        + _field(3, struct.pack(f"<{n}f", *([affinity] * n)))
        + _field(4, struct.pack(f"<{n}Q", *([1] * n)))
    )


def _parse_edges(message: bytes) -> tuple[Edge, ...]:
    columns = {number: struct.unpack(f"<{len(v) // 8}Q", v) for number, v in _fields(message) if number <= 2}
    return tuple(zip(columns.get(1, ()), columns.get(2, ()), strict=True))


def _components_message(chunk: Chunk) -> bytes:
    numbers = [number for component in chunk.components for number in (len(component), *component)]
    return _field(1, b"".join(map(_varint, numbers)))


def _parse_components(message: bytes) -> tuple[tuple[int, ...], ...]:
    numbers: list[int] = []
    for _, value in _fields(message):
        at = 0
        while at < len(value):
            number, at = _read_varint(value, at)
            numbers.append(number)
    components, at = [], 0
    while at < len(numbers):
        end = at + 1 + numbers[at]
        if end > len(numbers):
            raise ValueError(f"a component of {numbers[at]} ids has only {len(numbers) - at - 1}")
        components.append(tuple(numbers[at + 1 : end]))
        at = end
    return tuple(components)
