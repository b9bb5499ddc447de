"""Rows that belong to nothing, wherever their keys lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.cells import counter_key, row_key
from tests.verify import Graph, lines, verify_plainly
from tests.verify.conftest import SAMPLE

STRAY_KEYS = [
    b"",
    b"\0",
    b"0",
    row_key(1),
    row_key(SAMPLE.node_id(1, (7, 3, 0), 9)),
    row_key(SAMPLE.node_id(1, (1023, 1023, 1023), 2**26 - 1)),
    row_key(SAMPLE.node_id(2, (0, 0, 1), 1))[:-1],
    row_key(SAMPLE.node_id(2, (0, 0, 1), 1)) + b"0",
    row_key(SAMPLE.node_id(2, (0, 0, 1), 1)).replace(b"1", b"x", 1),
    row_key(SAMPLE.node_id(2, (8, 0, 0), 1)),
    row_key(SAMPLE.chunk_id(3, (1, 1, 0))),
    row_key(SAMPLE.node_id(3, (0, 2, 0), 1)),
    row_key(SAMPLE.chunk_id(5, (0, 0, 0))),
    row_key(SAMPLE.node_id(5, (0, 0, 0), 2**40)),
    row_key(SAMPLE.node_id(5, (1, 0, 0), 256)),
    row_key(6 << 56 | 1),
    row_key(2**64 - 1),
    b"99999999999999999999",
    b":",
    b"beam",
    b"beam_ingest!",
    b"beam_ingest/",
    b"beam_ingest/1",
    b"beam_ingest/" + row_key(SAMPLE.chunk_id(1, (0, 0, 0))),
    b"beam_ingest/" + row_key(SAMPLE.node_id(2, (0, 0, 0), 1)),
    b"beam_ingest/" + row_key(SAMPLE.chunk_id(2, (7, 3, 0))),
    b"beam_ingest/" + row_key(SAMPLE.chunk_id(5, (1, 0, 0))),
    b"beam_ingest/failed/" + row_key(SAMPLE.chunk_id(2, (0, 0, 0))),
    b"beam_ingest/roots/" + row_key(SAMPLE.node_id(4, (0, 0, 0), 1)),
    b"beam_ingest/roots/elsewhere",
    b"beam_ingest/verified",
    b"c",
    b"i",
    b"i1",
    counter_key(SAMPLE.node_id(2, (0, 0, 1), 1)),
    counter_key(SAMPLE.chunk_id(2, (0, 0, 1)), 0),
    counter_key(SAMPLE.chunk_id(5, (0, 0, 0))) + b"_",
    counter_key(SAMPLE.chunk_id(5, (0, 0, 0))) + b"_01",
    counter_key(SAMPLE.chunk_id(5, (1, 0, 0)), 0),
    b"ioperations",
    b"meta2",
    b"version/",
    b"\xff" * 300,
]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("column", [("0", b"parents"), ("0", b"counts"), ("1", b"counter"), ("7", b"x")])
def test_stray_rows_are_found_wherever_they_are(
    column: tuple[str, bytes], good: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_ingest.verify.findings.Findings.most", 1000)
    table = good.copy(tmp_path)
    taken = {cell[0] for cell in table.cells()}
    assert not taken & set(STRAY_KEYS)
    for key in STRAY_KEYS:
        table.put(key, column[1], b"12345678", column[0])
    found = verify_plainly(good.dataset, table.path)
    assert found.differences.keys() == {"stray"}
    assert found.differences["stray"] == len(STRAY_KEYS)
    for key in STRAY_KEYS:
        assert f"row {key.decode('ascii', 'backslashreplace')} " in lines(found), key
