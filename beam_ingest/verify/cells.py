"""From the cells of a range of keys to arrays; what is no cell of a node there is a difference."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt
import zstandard

from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, ChunkGrid, Ids
from beam_ingest.format.table import ColumnName
from beam_ingest.stores import StoredCell
from beam_ingest.verify.findings import Findings

MAX_ARRAY_BYTES = 1 << 30
"""The longest array of ids that is unpacked: Bigtable takes less."""
_KEY_BYTES = 20
_LAYERED = re.compile(rb"(?:atomic_)?cross_edges_([1-9][0-9]?)")
_OF_THE_GRAPH = (table.PARENT, table.CHILDREN, table.COUNTER)
"""With those of edges, the columns that are counted, as ``graph`` counts them: not the program's own rows."""

Offsets = npt.NDArray[np.int64]
Columns = dict[ColumnName, tuple[list[bytes], list[bytes]]]
"""Row keys and values of the cells of each column."""
_NodeColumns = dict[ColumnName, tuple[Ids, list[bytes]]]


def _ids() -> Ids:
    return np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of n cells that hold some, one after another.

    Attributes:
      node: the row of each, shape (p,), uint64.
      layer: the cross layer in the name of the column, shape (p,), uint64.
      own: first id, shape (p,), uint64.
      partner: second id, shape (p,), uint64.
    """

    node: Ids
    layer: Ids
    own: Ids
    partner: Ids


@dataclass(frozen=True, eq=False)
class NodeRows:
    """The rows of one chunk's nodes, or of its supervoxels.

    Attributes:
      ids: nodes, shape (n,), uint64, ascending.
      parents: parent of each, shape (n,), uint64; 0 where there is none to read.
      children: children of all, one after another, shape (c,), uint64.
      child_offsets: where each node's children begin, and the end, shape (n + 1,), int64.
      atomic: pairs of supervoxels (``atomic_cross_edges_k``).
      cross: pairs of nodes (``cross_edges_k``).
    """

    ids: Ids
    parents: Ids
    children: Ids
    child_offsets: Offsets
    atomic: Pairs
    cross: Pairs


@dataclass(frozen=True)
class Reader:
    """Makes arrays of the cells of one graph.

    Attributes:
      grid: the chunk grid.
      timestamp: what every cell must have.
      graph_version: 2 or 3; says which columns there are.
      top: the highest layer that is written.
    """

    grid: ChunkGrid
    timestamp: int
    graph_version: int
    top: int

    def columns(self, cells: Iterable[StoredCell], findings: Findings) -> Columns:
        """Row keys and values of each column; several versions, and other timestamps, are differences."""
        found: dict[tuple[str, bytes], list[StoredCell]] = defaultdict(list)
        for cell in cells:
            found[cell[1], cell[2]].append(cell)
        return {ColumnName(*name): self._newest(ColumnName(*name), found[name], findings) for name in found}

    def _newest(
        self, name: ColumnName, cells: list[StoredCell], findings: Findings
    ) -> tuple[list[bytes], list[bytes]]:
        keys, _, _, stamps, values = (list(column) for column in zip(*cells, strict=True))
        if name in _OF_THE_GRAPH or _LAYERED.fullmatch(name.qualifier):
            findings.counts["cells"] += len(cells)
        findings.differ(
            "timestamp",
            np.flatnonzero(np.array(stamps) != self.timestamp),
            lambda i: f"row {text(keys[i])}: {shown(name)} has timestamp {stamps[i]}, not {self.timestamp}",
        )
        again = np.flatnonzero([a == b for a, b in zip(keys, keys[1:], strict=False)]) + 1
        findings.differ(
            "versions", again, lambda i: f"row {text(keys[i])}: {shown(name)} has more than one version"
        )
        for i in again[::-1].tolist():
            del keys[i], values[i]
        return keys, values

    def nodes(self, first: int, end: int, cells: Iterable[StoredCell], findings: Findings) -> NodeRows:
        """The rows of the nodes first <= id < end, all of one layer.

        Cells of other rows, and of columns that such rows do not have, are differences.
        """
        columns = {}
        layer = self.grid.layer_of(first)
        for name, (keys, values) in self.columns(cells, findings).items():
            ids, good = _node_ids(keys, first, end)
            _differ_strays(name, keys, ~good, "names no node of the grid", findings)
            if not self._belongs(layer, name):
                _differ_strays(name, keys, good, "has an unexpected cell", findings)
            else:
                columns[name] = ids[good], list(compress(values, good.tolist()))
        rows = np.unique(np.concatenate([_ids(), *(ids for ids, _ in columns.values())]))
        findings.counts["rows"] += rows.size
        children_of, children = _arrays(table.CHILDREN, columns, 1, findings)
        _check_ascending(table.CHILDREN, children_of, (children,), findings)
        return NodeRows(
            ids=rows,
            parents=_parents(rows, columns, findings),
            children=children,
            child_offsets=np.append(np.searchsorted(children_of, rows), children_of.size),
            atomic=_pairs("3", columns, findings),
            cross=_pairs("4", columns, findings),
        )

    def _belongs(self, layer: int, name: ColumnName) -> bool:
        """Whether rows of nodes at `layer` have a column."""
        root = self.grid.root_layer
        if name == table.PARENT:
            return layer < self.top
        if name == table.CHILDREN:
            return layer > SUPERVOXEL_LAYER
        found = _LAYERED.fullmatch(name.qualifier)
        if not found:
            return False
        k = int(found[1])
        if name == table.atomic_cross_edges(k):
            return layer == ATOMIC_LAYER <= k < root
        has_cross = self.graph_version == 3 and ATOMIC_LAYER <= layer < self.top
        return name == table.cross_edges(k) and has_cross and layer <= k < root


def _parents(rows: Ids, columns: _NodeColumns, findings: Findings) -> Ids:
    ids, values = columns.get(table.PARENT, (_ids(), []))
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    findings.differ(
        "value",
        np.flatnonzero(sizes != 8),
        lambda i: f"row {ids[i]:020d}: {shown(table.PARENT)} has {sizes[i]} bytes, not 8",
    )
    whole = [value if len(value) == 8 else bytes(8) for value in values]
    parents = np.zeros(rows.size, np.uint64)
    parents[np.searchsorted(rows, ids)] = np.frombuffer(b"".join(whole), "<u8")
    return parents


def _pairs(family: str, columns: _NodeColumns, findings: Findings) -> Pairs:
    parts = [(_ids(), _ids(), _ids(), _ids())]
    for name in columns:
        found = _LAYERED.fullmatch(name.qualifier)
        if name.family != family or not found:
            continue
        node, flat = _arrays(name, columns, 2, findings)
        own, partner = flat[::2], flat[1::2]
        _check_ascending(name, node, (own, partner), findings)
        parts.append((node, np.full(own.size, int(found[1]), np.uint64), own, partner))
    return Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _arrays(name: ColumnName, columns: _NodeColumns, width: int, findings: Findings) -> tuple[Ids, Ids]:
    """The row of every item of a column, shape (items,), and the ids, shape (items * width,)."""
    ids, values = columns.get(name, (_ids(), []))
    contents, causes = _decompress(values, 8 * width)
    findings.differ(
        "value",
        np.array(sorted(causes), np.int64),
        lambda i: f"row {ids[i]:020d}: {shown(name)}: {causes[i]}",
    )
    sizes = np.fromiter(map(len, contents), np.int64, len(contents)) // (8 * width)
    flat = np.frombuffer(b"".join(contents), "<u8").astype(np.uint64, copy=False)
    return np.repeat(ids, sizes), flat


def _decompress(values: Sequence[bytes], item_bytes: int) -> tuple[list[bytes], dict[int, str]]:
    """What is in zstd frames; what is wrong with the frames, by their number, which then count as empty."""
    decompressor = zstandard.ZstdDecompressor()
    contents: list[bytes] = []
    causes: dict[int, str] = {}
    for i, value in enumerate(values):
        try:
            if zstandard.frame_content_size(value) > MAX_ARRAY_BYTES:
                raise zstandard.ZstdError(f"more than {MAX_ARRAY_BYTES} bytes")
            content = decompressor.decompress(value, max_output_size=MAX_ARRAY_BYTES, allow_extra_data=False)
            if not content or len(content) % item_bytes:
                causes[i] = f"{len(content)} bytes of ids, not a multiple of {item_bytes} above 0"
                content = b""
        except zstandard.ZstdError as error:
            causes[i] = f"not a zstd frame of {len(value)} bytes ({error})"
            content = b""
        contents.append(content)
    return contents, causes


def _node_ids(keys: list[bytes], first: int, end: int) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Ids of row keys, shape (n,), and which of them are keys of nodes first <= id < end."""
    whole = np.fromiter(map(len, keys), np.int64, len(keys)) == _KEY_BYTES
    padded = (
        keys if whole.all() else [key if w else bytes(_KEY_BYTES) for key, w in zip(keys, whole, strict=True)]
    )
    digits = np.frombuffer(b"".join(padded), np.uint8).reshape(-1, _KEY_BYTES) - np.uint8(48)
    good = whole & (digits < 10).all(axis=1)
    ids = np.zeros(len(keys), np.uint64)
    for column in digits.T:  # 20 turns, whatever the number of keys
        ids = ids * np.uint64(10) + column
    return ids, good & (ids >= np.uint64(first)) & (ids < np.uint64(end))


def _check_ascending(name: ColumnName, node: Ids, columns: tuple[Ids, ...], findings: Findings) -> None:
    """Items of one cell must ascend, and so be there once; `columns` hold (n,) items, of rows `node`."""
    same = node[1:] == node[:-1]
    *equal, last = columns
    rising = last[1:] > last[:-1]
    for column in equal:
        rising = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & rising)
    findings.differ(
        "order",
        np.flatnonzero(same & ~rising) + 1,
        lambda i: f"row {node[i]:020d}: {shown(name)} does not ascend at {columns[-1][i]}",
    )


def take(columns: Columns, key: bytes, name: ColumnName) -> bytes | None:
    """Take the cell `name` of row `key` out of `columns`; None when it is not there."""
    keys, values = columns.get(name, ([], []))
    if key not in keys:
        return None
    at = keys.index(key)
    del keys[at]
    return values.pop(at)


def note_strays(columns: Columns, findings: Findings) -> None:
    """All cells that are left in `columns` belong to nothing."""
    for name, (keys, _) in columns.items():
        _differ_strays(name, keys, np.ones(len(keys), bool), "is not expected", findings)


def _differ_strays(
    name: ColumnName, keys: list[bytes], which: npt.NDArray[np.bool_], why: str, findings: Findings
) -> None:
    findings.differ("stray", np.flatnonzero(which), lambda i: f"row {text(keys[i])} {why}: {shown(name)}")


def text(key: bytes) -> str:
    """A row key for messages."""
    return key.decode("ascii", "backslashreplace")


def shown(name: ColumnName) -> str:
    """A column for messages."""
    return f"{name.family}:{text(name.qualifier)}"
