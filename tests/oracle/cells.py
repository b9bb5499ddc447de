"""Cells of a graph table: their keys and values, and ways to compare two sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import zstandard

Key: TypeAlias = tuple[bytes, str, bytes]
"""(row key, column family, qualifier)."""
Cells: TypeAlias = dict[Key, bytes]
"""The value of each cell, decompressed."""

_ATOMIC = b"atomic_cross_edges_"
_CROSS = b"cross_edges_"


def row_key(node: int) -> bytes:
    """The row key of a node."""
    return b"%020d" % node


def counter_key(chunk: int, shard: int | None = None) -> bytes:
    """The row key of a counter: of a chunk, or of one shard of the root chunk."""
    return b"i%020d" % chunk if shard is None else b"i%020d_%d" % (chunk, shard)


def ids_bytes(ids: Iterable[int]) -> bytes:
    """Ids as uint64 little endian."""
    return b"".join(node.to_bytes(8, "little") for node in ids)


def pairs_bytes(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Pairs of ids, sorted, as an (n, 2) array of uint64 little endian."""
    return b"".join(ids_bytes(pair) for pair in sorted(pairs))


def counter_bytes(count: int) -> bytes:
    """A counter as int64 big endian."""
    return count.to_bytes(8, "big", signed=True)


def ids_from(value: bytes) -> list[int]:
    """The ids in a value; raises ValueError when it is not whole ids."""
    if len(value) % 8:
        raise ValueError(f"{len(value)} bytes are not an array of uint64")
    return [int.from_bytes(value[i : i + 8], "little") for i in range(0, len(value), 8)]


def pairs_from(value: bytes) -> list[tuple[int, int]]:
    """The pairs of ids in a value."""
    ids = ids_from(value)
    return list(zip(ids[0::2], ids[1::2], strict=True))


def count_from(value: bytes) -> int:
    """The count in a counter's value."""
    return int.from_bytes(value, "big", signed=True)


def is_compressed(family: str, qualifier: bytes) -> bool:
    """Whether a table holds this column as zstd frames."""
    return family in ("3", "4") or (family, qualifier) == ("0", b"children")


def decompress(cells: Mapping[Key, bytes]) -> Cells:
    """A table's node and counter cells as the oracle gives them: decompressed, and without other rows."""
    plain: Cells = {}
    for (row, family, qualifier), value in cells.items():
        if row.isdigit() or row[:1] == b"i":
            frame = zstandard.ZstdDecompressor().decompressobj()
            plain[row, family, qualifier] = (
                frame.decompress(value) if is_compressed(family, qualifier) else value
            )
    return plain


def names(cells: Mapping[Key, bytes], layer_id_bits: int = 8) -> dict[str, list[tuple[int, ...]]]:
    """A cell set without its numbering: each node becomes (layer, lowest supervoxel below it).

    Returns:
      Sorted rows, in the columns of golden.npz:
      ``parents``: child layer, child's lowest supervoxel, parent layer, parent's lowest supervoxel;
      ``atomic_cross_edges``: layer (2), node's lowest supervoxel, k, own supervoxel, partner supervoxel;
      ``cross_edges``: node layer, node's lowest supervoxel, k, partner layer, partner's lowest supervoxel.
    """
    parent_of = {
        int(row): ids_from(value)[0] for (row, _, column), value in cells.items() if column == b"parents"
    }
    lowest: dict[int, int] = {}
    for supervoxel in sorted(parent_of.keys() - set(parent_of.values())):
        node = supervoxel
        while node not in lowest:  # ascending: whoever comes first is the lowest
            lowest[node] = supervoxel
            node = parent_of.get(node, node)

    def name(node: int) -> tuple[int, int]:
        return (node >> (64 - layer_id_bits), lowest[node])

    parents = [(*name(child), *name(parent)) for child, parent in parent_of.items()]
    atomic: list[tuple[int, ...]] = []
    cross: list[tuple[int, ...]] = []
    for (row, _, column), value in cells.items():
        if column.startswith(_ATOMIC):
            k = int(column.removeprefix(_ATOMIC))
            atomic.extend((*name(int(row)), k, own, partner) for own, partner in pairs_from(value))
        elif column.startswith(_CROSS):
            k = int(column.removeprefix(_CROSS))
            cross.extend((*name(own), k, *name(partner)) for own, partner in pairs_from(value))
    return {"parents": sorted(parents), "atomic_cross_edges": sorted(atomic), "cross_edges": sorted(cross)}


def differences(expected: Mapping[Key, bytes], actual: Mapping[Key, bytes], limit: int = 20) -> list[str]:
    """What is wrong with `actual`, one readable line per cell, at most `limit` of them."""
    lines = []
    for key in sorted(expected.keys() | actual.keys()):
        if expected.get(key) != actual.get(key):
            row, family, qualifier = key
            want, got = (_readable(cells, key) for cells in (expected, actual))
            lines.append(f"{row.decode()} {family}:{qualifier.decode()} is {got}, not {want}")
    return lines[:limit] + ([f"… and {len(lines) - limit} more"] if len(lines) > limit else [])


def _readable(cells: Mapping[Key, bytes], key: Key) -> str:
    if key not in cells:
        return "absent"
    value = cells[key]
    if key[2] == b"counter":
        return str(count_from(value))
    if key[1] in ("3", "4") and len(value) % 16 == 0:
        return str(pairs_from(value))
    return str(ids_from(value)) if len(value) % 8 == 0 else value.hex()
