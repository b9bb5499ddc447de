"""Shard files of meshes: one a chunk, of many minishards, in which a mesh is found by ranges of bytes.

A file begins with an index: begin and end of each minishard's own index, counted from the end of this one.
Data follow, minishard by minishard in order of node ids, and then the minishards' indices, compressed with
gzip, as columns: ids as differences, gaps between data, sizes.

Source of the format: Neuroglancer's ``neuroglancer_uint64_sharded_v1``; names of files: cloud-volume's
``GrapheneShardReader`` (12.15).
"""

from __future__ import annotations

import gzip
import io
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from beam_ingest.arrays import Ids, Indices
from beam_ingest.errors import BeamIngestError
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.surface import MeshError
from beam_ingest.redact import redacted

MOST_MINISHARD_BITS = 20
MOST_IN_MINISHARD = 1_000_000
"""Meshes of a minishard: who looks for one of them reads the index of all."""
_ENTRY = 16
_TRIPLE = 24
_GZIP = 16 + zlib.MAX_WBITS


class ShardError(BeamIngestError):
    """A shard file is absent or damaged.

    Args:
      file: URL (local files: path) of the file.
      found: what is there in place of a shard file.
    """

    def __init__(self, file: str, found: str) -> None:
        super().__init__(file, found)
        self.file = redacted(file)
        self.found = found

    def __str__(self) -> str:
        return f"{self.file}: expected a shard file of meshes, found {self.found}"


class Location(NamedTuple):
    """Where a mesh is.

    Attributes:
      layer: of its node.
      name: of the shard file, in the layer's folder.
      begin: of its bytes in the file.
      size: how many there are.
    """

    layer: int
    name: str
    begin: int
    size: int

    @property
    def fragment(self) -> str:
        """As manifests name it, without the tilde in front: ``layer/file:begin:size``."""
        return f"{self.layer}/{self.name}:{self.begin}:{self.size}"


def sharding(minishard_bits: int) -> dict[str, object]:
    """What the info file says of a layer's shards."""
    return {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 0,
        "hash": "murmurhash3_x86_128",
        "minishard_bits": minishard_bits,
        "shard_bits": 0,
        "minishard_index_encoding": "gzip",
        "data_encoding": "raw",
    }


def shard_name(grid: ChunkGrid, node_or_chunk: int) -> str:
    """The file of a chunk's meshes: its coordinates as one number, and the number of the only shard."""
    bits = grid.segment_bits(grid.layer_of(node_or_chunk))
    position = (node_or_chunk & ((1 << (64 - grid.layer_id_bits)) - 1)) >> bits
    return f"{position}-0.shard"


def minishards(nodes: Ids, bits: int) -> Indices:
    """The minishard of each node, shape (n,): the lowest bits of a hash of its id.

    The hash is MurmurHash3_x86_128 (Appleby, smhasher) of 8 bytes with seed 0.
    """
    mask = np.uint64(0xFFFFFFFF)

    def times(values: Ids, factor: int) -> Ids:
        return values * np.uint64(factor) & mask

    def rotated(values: Ids, bits: int) -> Ids:
        return (values << np.uint64(bits) | values >> np.uint64(32 - bits)) & mask

    def mixed(values: Ids) -> Ids:
        values = times(values ^ values >> np.uint64(16), 0x85EBCA6B)
        values = times(values ^ values >> np.uint64(13), 0xC2B2AE35)
        return values ^ values >> np.uint64(16)

    length = np.uint64(8)
    # Four words of state; 8 bytes, which are less than a block, reach the first and the second alone.
    first = times(rotated(times(nodes & mask, 0x239B961B), 15), 0xAB0E9789) ^ length
    second = times(rotated(times(nodes >> np.uint64(32), 0xAB0E9789), 16), 0x38B34AE5) ^ length
    third = fourth = np.full(nodes.shape, length)
    first = first + second + third + fourth & mask
    second, third, fourth = (each + first & mask for each in (second, third, fourth))
    first, second, third, fourth = (mixed(each) for each in (first, second, third, fourth))
    first = first + second + third + fourth & mask
    second = second + first & mask
    hashes = second << np.uint64(32) | first
    return (hashes & np.uint64((1 << bits) - 1)).astype(np.int64)


def shard_order(nodes: Ids, bits: int) -> Indices:
    """Positions, shape (n,), that put nodes into the order in which a shard file holds their meshes."""
    return np.lexsort((nodes, minishards(nodes, bits)))


@dataclass
class Written:
    """What a shard file holds.

    Attributes:
      meshes: how many.
      nbytes: size of the file.
    """

    meshes: int = 0
    nbytes: int = 0


def write_shard(file: BinaryIO, bits: int, meshes: Iterable[tuple[int, bytes]]) -> Written:
    """Write a shard file, holding no more than one mesh at a time.

    Args:
      file: empty; it can seek.
      bits: it has 2**bits minishards.
      meshes: nodes and their encoded meshes, in the order of `shard_order`.

    Raises:
      MeshError: when they are too many for one minishard.
    """
    header = _ENTRY << bits
    file.write(bytes(header))
    nodes, sizes = array("Q"), array("Q")
    for node, data in meshes:
        file.write(data)
        nodes.append(node)
        sizes.append(len(data))
    ids, lengths = np.array(nodes, np.uint64), np.array(sizes, np.uint64)
    del nodes, sizes
    number = minishards(ids, bits)
    begins = np.append(np.uint64(0), np.cumsum(lengths, dtype=np.uint64))
    at = int(begins[-1])
    index = np.zeros((1 << bits, 2), "<u8")
    for each in np.unique(number).tolist():
        first, last = np.searchsorted(number, [each, each + 1]).tolist()
        if last - first > MOST_IN_MINISHARD:
            raise MeshError(
                f"{last - first:,} meshes in one of {1 << bits} minishards, where {MOST_IN_MINISHARD:,} "
                "are the most"
            )
        gaps = np.zeros(last - first, np.uint64)
        gaps[0] = begins[first]
        entries = np.stack([np.diff(ids[first:last], prepend=np.uint64(0)), gaps, lengths[first:last]])
        packed = gzip.compress(entries.astype("<u8").tobytes(), mtime=0)
        file.write(packed)
        index[each] = at, at + len(packed)
        at += len(packed)
    file.seek(0)
    file.write(index.tobytes())
    file.seek(0, io.SEEK_END)
    return Written(ids.size, header + at)


def index_size(bits: int) -> int:
    """Bytes of the index that a file begins with."""
    return _ENTRY << bits


def decode_index(data: bytes, bits: int, file: str) -> Indices:
    """Begin and end in the file of each minishard's index, shape (2**bits, 2); equal where there is none.

    Args:
      data: what the file begins with.
      bits: it has 2**bits minishards.
      file: the file, for messages.

    Raises:
      ShardError: when it is none.
    """
    if len(data) != index_size(bits):
        raise ShardError(file, f"an index of {len(data)} bytes, where {index_size(bits)} belong")
    index = np.frombuffer(data, "<u8").reshape(-1, 2).astype(np.int64)
    if (index < 0).any() or (index[:, 0] > index[:, 1]).any():
        raise ShardError(file, "an index whose minishards end before they begin")
    if (np.diff(index, axis=1) > MOST_IN_MINISHARD * _TRIPLE).any():
        raise ShardError(file, "an index of a minishard larger than any that is written")
    return index + index_size(bits)


def decode_minishard(data: bytes, bits: int, file: str) -> tuple[Ids, Indices, Indices]:
    """The meshes of a minishard.

    Args:
      data: its index as it is in the file.
      bits: the file has 2**bits minishards.
      file: the file, for messages.

    Returns:
      Nodes, ascending, where their meshes begin in the file, and their sizes, all of shape (n,).

    Raises:
      ShardError: when it is none.
    """
    most = MOST_IN_MINISHARD * _TRIPLE
    unpacking = zlib.decompressobj(_GZIP)
    try:
        content = unpacking.decompress(data, most + 1)
    except zlib.error as error:
        raise ShardError(file, f"the index of a minishard that gzip cannot read: {error}") from None
    if not unpacking.eof:
        raise ShardError(file, "the index of a minishard that is cut off, or larger than any that is written")
    if len(content) % _TRIPLE:
        raise ShardError(file, f"the index of a minishard of {len(content):,} bytes")
    ids, gaps, sizes = np.frombuffer(content, "<u8").reshape(3, -1)
    nodes = np.cumsum(ids, dtype=np.uint64)
    begins = np.cumsum(gaps + np.append(np.uint64(0), sizes)[: sizes.size], dtype=np.uint64)
    if (nodes[1:] <= nodes[:-1]).any():
        raise ShardError(file, "the index of a minishard whose nodes do not ascend")
    return nodes, begins.astype(np.int64) + index_size(bits), sizes.astype(np.int64)
