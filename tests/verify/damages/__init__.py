"""Damage to a good table: each function plants one, and tells what must be found."""

from __future__ import annotations

from collections.abc import Callable

from tests.verify import Table

Names = list[int | bytes]
DAMAGES: dict[str, tuple[str, Callable[[Table], Names]]] = {}


def damage(kind: str) -> Callable[[Callable[[Table], Names]], Callable[[Table], Names]]:
    """A function that damages a table and says which ids must be named, and the kind of difference."""

    def add(function: Callable[[Table], Names]) -> Callable[[Table], Names]:
        assert function.__name__ not in DAMAGES
        DAMAGES[function.__name__] = (kind, function)
        return function

    return add


def some(nodes: list[int]) -> int:
    """One of some nodes, always the same."""
    assert nodes
    return nodes[len(nodes) // 2]


def joined(table: Table, layer: int) -> int:
    """A node of a layer with three children or more."""
    return some([n for n in table.nodes(layer) if len(table.children[n]) > 2])


def lone(table: Table) -> list[int]:
    """Roots with one child."""
    return [r for r in table.nodes(table.grid.root_layer) if len(table.children[r]) == 1]


def chunk_of(table: Table, node: int) -> int:
    return table.grid.chunk_of(node)


def last_of_chunk(table: Table, layer: int) -> list[int]:
    """The last node of each chunk of a layer that has two or more."""
    nodes = table.nodes(layer)
    return [n for n in nodes if n + 1 not in nodes and table.grid.segment_of(n) > 1]
