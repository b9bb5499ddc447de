"""Damage planted in a good table: each kind is found, and what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify import Graph, lines, verify_plainly
from tests.verify.damages import DAMAGES, edges, rows, tree, values, whole

FILES = (rows, values, edges, tree, whole)


def test_damages_are_dozens() -> None:
    assert len(DAMAGES) >= 80
    assert {function.__module__ for _, function in DAMAGES.values()} == {file.__name__ for file in FILES}


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(name: str, good: Graph, tmp_path: Path) -> None:
    kind, plant = DAMAGES[name]
    table = good.copy(tmp_path)
    names = plant(table)
    found = verify_plainly(good.dataset, table.path)
    assert found.differences[kind] > 0, found.as_dict()
    shown = lines(found)
    for each in names:
        assert (each.decode() if isinstance(each, bytes) else str(each)) in shown, (each, found.as_dict())
