"""Rows and cells that are lacking, or too many, or late."""

from __future__ import annotations

from tests.oracle.cells import counter_key, ids_bytes
from tests.verify import Table, pack
from tests.verify.damages import Names, chunk_of, damage, joined, last_of_chunk, lone, some


@damage("child not listed")
def supervoxel_under_another_node(table: Table) -> Names:
    supervoxel = some(table.nodes(1))
    other = next(n for n in table.nodes(2) if chunk_of(table, n) == chunk_of(table, table.parents[supervoxel])
                 and n != table.parents[supervoxel])  # fmt: skip
    table.put_parent(supervoxel, other)
    return [supervoxel, other]


@damage("parent")
def parent_of_another_chunk(table: Table) -> Names:
    node = some(table.nodes(2))
    other = next(n for n in table.nodes(2) if chunk_of(table, n) != chunk_of(table, node))
    supervoxel = table.children[node][0]
    table.put_parent(supervoxel, other)
    return [supervoxel, other]


@damage("parent")
def parent_is_itself(table: Table) -> Names:
    node = some([n for n in table.nodes(3) if n in table.parents])
    table.put_parent(node, node)
    return [node]


@damage("parent")
def parent_of_layer_zero(table: Table) -> Names:
    supervoxel = some(table.nodes(1))
    table.put_parent(supervoxel, 5)
    return [supervoxel]


@damage("parent")
def parent_above_the_roots(table: Table) -> Names:
    node = some(table.nodes(4))
    table.put_parent(node, (table.grid.root_layer + 1) << 56 | 1)
    return [node]


@damage("child not listed")
def parent_is_a_root_that_is_not_there(table: Table) -> Names:
    node = table.children[some(lone(table))][0]
    table.put_parent(node, table.parents[node] + (1 << 20))
    return [node, table.parents[node] + (1 << 20)]


@damage("stray")
def root_with_a_parent(table: Table) -> Names:
    root = some(lone(table))
    table.put_parent(root, root + 1)
    return [root]


@damage("supervoxel missing")
def supervoxel_row_dropped(table: Table) -> Names:
    supervoxel = some(table.nodes(1))
    table.drop(supervoxel)
    return [supervoxel, table.parents[supervoxel]]


@damage("supervoxel missing")
def last_supervoxel_lost_altogether(table: Table) -> Names:
    """Its row, its parent's child, and the counter that counts it."""
    node = joined(table, 2)
    *rest, last = table.children[node]
    table.drop(last)
    table.put_children(node, rest)
    return [last]


@damage("child not listed")
def node_row_dropped(table: Table) -> Names:
    node = joined(table, 2)
    table.drop(node)
    return [node, *table.children[node][:3]]


@damage("child not listed")
def root_row_dropped(table: Table) -> Names:
    root = some(lone(table))
    table.drop(root)
    return [root, *table.children[root]]


@damage("segment")
def lone_root_dropped_with_its_child(table: Table) -> Names:
    """A node without a root, and a root fewer: the counter knows."""
    root = some(lone(table))
    table.drop(root)
    table.drop(table.children[root][0], b"parents")
    return [counter_key(chunk_of(table, root), table.grid.segment_of(root) % 256), table.children[root][0]]


@damage("supervoxel extra")
def supervoxel_that_is_no_input(table: Table) -> Names:
    """With everything that belongs to it, consistently."""
    node = joined(table, 2)
    coords = table.grid.coords_of(node)
    new = table.grid.node_id(1, coords, 2**20)
    table.put_parent(new, node)
    table.put_children(node, [*table.children[node], new])
    table.put_counter(counter_key(table.grid.chunk_id(1, coords)), 2**20)
    return [new, node]


@damage("segment")
def node_row_added(table: Table) -> Names:
    node = last_of_chunk(table, 2)[3] + 5
    table.put_children(node, [table.nodes(1)[0]])
    return [node]


@damage("no children")
def node_without_children(table: Table) -> Names:
    node = last_of_chunk(table, 3)[0] + 1
    table.put_parent(node, table.parents[last_of_chunk(table, 3)[0]])
    return [node]


@damage("stray")
def cell_of_another_layer(table: Table) -> Names:
    supervoxel = some(table.nodes(1))
    table.put_children(supervoxel, [1])
    return [supervoxel]


@damage("stray")
def cell_of_no_known_column(table: Table) -> Names:
    node = some(table.nodes(3))
    table.put(node, b"colour", b"blue")
    return [node]


@damage("stray")
def cell_of_another_family(table: Table) -> Names:
    node = some(table.nodes(2))
    table.put(node, b"children", table.value(node, b"children"), "5")
    return [node]


@damage("stray")
def cross_edges_in_the_wrong_family(table: Table) -> Names:
    (node, k), pairs = next(iter(table.pairs("4").items()))
    table.put(node, b"cross_edges_%d" % k, pack(ids_bytes(sum(pairs, ()))), "3")
    return [node]


@damage("stray")
def lock_left_by_an_edit(table: Table) -> Names:
    root = some(lone(table))
    table.put(root, b"lock", b"\0" * 8)
    return [root]


@damage("timestamp")
def one_late_cell(table: Table) -> Names:
    node = some(table.nodes(4))
    table.age(node, b"parents")
    return [node]


@damage("versions")
def two_versions_of_a_cell(table: Table) -> Names:
    node = some(table.nodes(2))
    table.put(node, b"children", table.value(node, b"children"), at=table.timestamp - 1_000_000)
    return [node]
