"""Whichever single cell of a small graph is damaged, and however: verify finds it, and names its row."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from beam_ingest.verify.findings import Findings
from tests.examples import slow
from tests.graphs import ingest
from tests.verify import Cell, Graph, Table, is_packed, lines, pack, unpack, verify_plainly

PARTS = 6
"""Every sixth cell is damaged: each column of each layer has several among them."""
STATISTICS = {b"milliseconds", b"usage"}
"""Columns whose values say nothing about the graph."""
COUNTED = 16
"""Bytes of a progress row that say what is in the graph: supervoxels and nodes."""


def is_named(key: bytes, text: str) -> bool:
    """Whether a text names a row, by its key or by the id in it."""
    return key.decode() in text or (key.isdigit() and str(int(key)) in text)


def bit_flipped(cell: Cell, chance: random.Random) -> bytes:
    """The value with one bit changed: of what is packed in it, where it is packed."""
    key, _, qualifier, _, value = cell
    content = bytearray(unpack(value) if is_packed(qualifier) else value)
    at = chance.randrange(COUNTED if qualifier == b"counts" else len(content))
    content[at] ^= 1 << chance.randrange(8)
    if key == b"meta":  # of a pickle, only what it is and whose is looked at
        content = bytearray(value.replace(b"ChunkedGraphMeta", b"ChunkedGraphMetb"))
    return pack(bytes(content)) if is_packed(qualifier) else bytes(content)


def damaged(graph: Graph, folder: Path, part: int) -> list[Cell]:
    table = Table(graph.store, graph.grid)
    cells = table.cells()
    table.close()
    assert len(cells) > 250
    return [cell for cell in cells[part::PARTS] if cell[0] != b"beam_ingest"]


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, slow(3)])
def test_a_dropped_cell_is_found(small: Graph, tmp_path: Path, part: int) -> None:
    table = small.copy(tmp_path)
    for key, family, qualifier, _, value in damaged(small, tmp_path, part):
        table.drop(key, qualifier)
        found = verify_plainly(small.dataset, table.path)
        assert found.total, (key, qualifier)
        assert is_named(key, lines(found)), (key, qualifier, lines(found))
        table.put(key, qualifier, value, family)
    assert verify_plainly(small.dataset, table.path).total == 0


@pytest.mark.slow
@pytest.mark.parametrize("part", [1, slow(4)])
def test_a_flipped_bit_is_found(small: Graph, tmp_path: Path, part: int) -> None:
    table, chance = small.copy(tmp_path), random.Random(part)
    for cell in damaged(small, tmp_path, part):
        key, family, qualifier, _, value = cell
        if qualifier in STATISTICS:
            continue
        table.put(key, qualifier, bit_flipped(cell, chance), family)
        found = verify_plainly(small.dataset, table.path)
        assert found.total, (key, qualifier)
        assert is_named(key, lines(found)), (key, qualifier, lines(found))
        table.put(key, qualifier, value, family)
    assert verify_plainly(small.dataset, table.path).total == 0


def test_every_timestamp_and_every_version_is_looked_at(
    small: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Findings, "most", 10_000)
    table = small.copy(tmp_path)
    cells = [cell for cell in table.cells() if cell[0] != b"beam_ingest"]
    for (
        key,
        family,
        qualifier,
        at,
        value,
    ) in cells:  # an older version, which readers of the newest do not see
        table.put(key, qualifier, value, family, at=at - 1000)
    found = verify_plainly(small.dataset, table.path)
    assert found.differences == {"timestamp": len(cells), "versions": len(cells)}
    assert all(is_named(key, lines(found)) for key, *_ in cells)


def test_examples_are_bounded_and_all_are_counted(small: Graph, tmp_path: Path) -> None:
    table = small.copy(tmp_path)
    supervoxels = table.nodes(1)
    for supervoxel in supervoxels:
        table.age(supervoxel, b"parents")
    found = verify_plainly(small.dataset, table.path)
    assert found.differences == {"timestamp": len(supervoxels)}
    assert len(found.problems["timestamp"].examples) == Findings.most < len(supervoxels)
    assert json.loads(found.encode())["differences"]["timestamp"]["count"] == len(supervoxels)
    assert Findings.decode(found.encode()).encode() == found.encode()


def test_two_verifications_say_the_same(small: Graph, tmp_path: Path) -> None:
    table = small.copy(tmp_path)
    for node in table.nodes(2)[::3]:
        table.drop(node)
    first, second = (verify_plainly(small.dataset, table.path, seed=seed) for seed in (1, 2))
    assert first.total
    assert first.encode() == second.encode()


@pytest.mark.parametrize("version", [2, 3])
def test_a_column_of_the_other_version_is_found(small: Graph, tmp_path: Path, version: int) -> None:
    """A table of one version whose manifest says the other."""
    store = tmp_path / "graph.sqlite"
    assert ingest(small.dataset, store, "--graph-version", str(version)) == 0
    table = Table(store, small.grid)
    manifest = json.loads(table.value(b"beam_ingest", b"manifest"))
    manifest["options"]["graph_version"] = 5 - version
    table.put(b"beam_ingest", b"manifest", json.dumps(manifest).encode())
    found = verify_plainly(small.dataset, store)
    assert found.differences["own row"] == 1
    assert found.differences["counter"] >= 8
    if version == 3:
        assert found.differences["stray"] == sum(len(p) > 0 for p in table.pairs("4").values())
    else:
        assert found.differences["cross edge missing"] > 30
