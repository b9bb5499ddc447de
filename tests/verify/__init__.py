"""Tests of ``beam-ingest verify``. Here: a graph's table laid open to damage, and verifying without Beam."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import zstandard

from beam_ingest.dataset import Dataset
from beam_ingest.stages.coding import encode_key
from beam_ingest.stages.scope import BLOCK_LAYER
from beam_ingest.verify.atomic import REPORTS, VerifyChunks, VerifyFiles, tag_of
from beam_ingest.verify.findings import Findings
from beam_ingest.verify.key_space import piece_at
from beam_ingest.verify.messages import EMPTY
from beam_ingest.verify.rest import conclude, verify_rest
from beam_ingest.verify.verify_graph import _VerifyParents
from beam_ingest.verify.verify_job import make_verify_job
from tests.oracle.cells import counter_bytes, ids_bytes, ids_from, pairs_bytes, pairs_from
from tests.oracle.datasets import Grid

Cell = tuple[bytes, str, bytes, int, bytes]
_PACKED = (b"children", b"cross_edges")


def is_packed(qualifier: bytes) -> bool:
    """Whether the values of a column are zstd frames."""
    return any(word in qualifier for word in _PACKED)


def pack(content: bytes) -> bytes:
    """A zstd frame."""
    return zstandard.ZstdCompressor().compress(content)


def unpack(value: bytes) -> bytes:
    """What is in a zstd frame."""
    return zstandard.ZstdDecompressor().decompress(value)


class Table:
    """An SQLite graph, to be read and damaged cell by cell.

    Args:
      path: the file.
      grid: its chunk grid.
    """

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path = path
        self.grid = grid
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")

    def close(self) -> None:
        self._connection.close()

    def cells(self) -> list[Cell]:
        """All cells, in order."""
        found = self._connection.execute("SELECT * FROM cells ORDER BY row_key, family, qualifier")
        return [(bytes(key), family, bytes(name), at, value) for key, family, name, at, value in found]

    @cached_property
    def timestamp(self) -> int:
        ((timestamp,),) = self._connection.execute("SELECT DISTINCT timestamp FROM cells")
        return timestamp

    @cached_property
    def parents(self) -> dict[int, int]:
        """The parent of every node, as it was when first asked for."""
        return {int(c[0]): ids_from(c[4])[0] for c in self.cells() if c[2] == b"parents"}

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """The children of every node, as they were when first asked for."""
        return {int(c[0]): ids_from(unpack(c[4])) for c in self.cells() if c[2] == b"children"}

    def nodes(self, layer: int) -> list[int]:
        """Nodes, or supervoxels, of a layer."""
        return [n for n in sorted({*self.parents, *self.children}) if self.grid.layer_of(n) == layer]

    def pairs(self, family: str) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """The pairs of every node's cells of family 3 or 4, by node and cross layer."""
        return {
            (int(c[0]), int(c[2].rpartition(b"_")[2])): pairs_from(unpack(c[4]))
            for c in self.cells()
            if c[1] == family
        }

    # Damage

    def put(
        self, key: bytes | int, qualifier: bytes, value: bytes, family: str = "0", at: int | None = None
    ) -> None:
        """Write a cell, with the timestamp `at` or the one that all have."""
        row = (_key(key), family, qualifier, at or self.timestamp, value)
        self._connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?)", row)

    def drop(self, key: bytes | int, qualifier: bytes | None = None) -> None:
        """Remove a row, or one cell of it."""
        where, values = "row_key = ?", [_key(key)]
        if qualifier is not None:
            where, values = f"{where} AND qualifier = ?", [*values, qualifier]
        removed = self._connection.execute(f"DELETE FROM cells WHERE {where}", values).rowcount
        assert removed, f"no {qualifier!r} in row {key!r} to remove"

    def value(self, key: bytes | int, qualifier: bytes) -> bytes:
        query = "SELECT value FROM cells WHERE row_key = ? AND qualifier = ?"
        ((value,),) = self._connection.execute(query, (_key(key), qualifier))
        return value

    def put_parent(self, node: int, parent: int) -> None:
        self.put(node, b"parents", ids_bytes([parent]))

    def put_children(self, node: int, children: list[int]) -> None:
        self.put(node, b"children", pack(ids_bytes(children)))

    def put_pairs(self, family: str, node: int, layer: int, pairs: list[tuple[int, int]]) -> None:
        name = b"atomic_cross_edges_%d" if family == "3" else b"cross_edges_%d"
        if pairs:
            self.put(node, name % layer, pack(pairs_bytes(pairs)), family)
        else:
            self.drop(node, name % layer)

    def put_counter(self, key: bytes, count: int) -> None:
        self.put(key, b"counter", counter_bytes(count), "1")

    def age(self, key: bytes | int, qualifier: bytes, seconds: int = 1) -> None:
        """Give a cell another timestamp."""
        self._connection.execute(
            "UPDATE cells SET timestamp = timestamp + ? WHERE row_key = ? AND qualifier = ?",
            (seconds * 1_000_000, _key(key), qualifier),
        )


def _key(key: bytes | int) -> bytes:
    return b"%020d" % key if isinstance(key, int) else key


@dataclass(frozen=True)
class Graph:
    """A dataset with its graph.

    Attributes:
      dataset: the dataset file.
      store: the SQLite file.
      grid: the chunk grid.
    """

    dataset: Path
    store: Path
    grid: Grid

    def copy(self, folder: Path) -> Table:
        """A copy of the table, to damage."""
        return Table(Path(shutil.copy(self.store, folder / "damaged.sqlite")), self.grid)


def lines(findings: Findings) -> str:
    """All examples of differences."""
    return "\n".join(line for tally in findings.problems.values() for line in tally.examples)


def verify_plainly(dataset: Path, store: Path, graph_id: str = "graph", seed: int | None = None) -> Findings:
    """Verify as the pipeline does, in this process, and without Beam; `seed` shuffles messages."""
    job = make_verify_job(graph_id, Dataset.from_file(dataset), f"sqlite:{store}", "file:///nowhere")
    findings = Findings()
    opened = job.open_store()
    verify_rest(job, opened, findings)
    opened.close()
    came: dict[str, dict[bytes, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    blocks = job.scope.blocks(0, job.scope.block_count)
    _run(VerifyFiles(job), map(encode_key, job.grid.chunk_ids(BLOCK_LAYER, blocks).tolist()), came, findings)
    root_chunk = job.grid.chunk_id(job.grid.root_layer, (0, 0, 0))
    for number in range(job.pieces):
        came[tag_of(job.grid.root_layer)][encode_key(piece_at(root_chunk, number))].append(EMPTY)
    for layer in range(BLOCK_LAYER, job.top + 1):
        groups = list(came[tag_of(layer)].items())
        if seed is not None:
            for _, messages in groups:
                random.Random(seed).shuffle(messages)
        _run(_VerifyParents(job), iter(groups), came, findings)
    conclude(job, findings)
    return findings


def _run(
    stage: VerifyChunks,
    elements: Iterator[object],
    came: dict[str, dict[bytes, list[bytes]]],
    findings: Findings,
) -> None:
    stage.setup()
    for element in elements:
        for output in stage.process(element):
            if output.tag == REPORTS:
                findings.merge(Findings.decode(output.value))
            else:
                key, data = output.value
                came[output.tag][key].append(data)
    stage.teardown()
