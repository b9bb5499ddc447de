"""Values that are not what their column holds."""

from __future__ import annotations

from tests.verify import Table, pack
from tests.verify.damages import Names, damage, joined, some


@damage("order")
def children_swapped(table: Table) -> Names:
    node = joined(table, 2)
    first, second, *rest = table.children[node]
    table.put_children(node, [second, first, *rest])
    return [node]


@damage("order")
def child_listed_twice(table: Table) -> Names:
    node = joined(table, 3)
    table.put_children(node, [*table.children[node], table.children[node][-1]])
    return [node]


@damage("child not listed")
def child_left_out(table: Table) -> Names:
    root = joined(table, table.grid.root_layer)
    table.put_children(root, table.children[root][:-1])
    return [root, table.children[root][-1]]


@damage("parent not named")
def child_listed_by_two(table: Table) -> Names:
    first, second = table.nodes(2)[:2]
    stolen = table.children[first][0]
    table.put_children(second, sorted([stolen, *table.children[second]]))
    return [second, stolen]


@damage("parent not named")
def child_that_is_not_there(table: Table) -> Names:
    node = joined(table, 4)
    table.put_children(node, [*table.children[node], table.children[node][-1] + 1000])
    return [node, table.children[node][-1] + 1000]


@damage("value")
def truncated_frame(table: Table) -> Names:
    node = joined(table, 2)
    table.put(node, b"children", table.value(node, b"children")[:-3])
    return [node]


@damage("value")
def bytes_after_the_frame(table: Table) -> Names:
    node = joined(table, 2)
    table.put(node, b"children", table.value(node, b"children") + b"\0")
    return [node]


@damage("value")
def garbage_for_a_frame(table: Table) -> Names:
    node = some(table.nodes(3))
    table.put(node, b"children", b"garbage")
    return [node]


@damage("value")
def frame_that_claims_to_be_huge(table: Table) -> Names:
    node = some(table.nodes(3))
    table.put(node, b"children", b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\1\0\0")
    return [node]


@damage("value")
def empty_value(table: Table) -> Names:
    supervoxel = some(table.nodes(1))
    table.put(supervoxel, b"parents", b"")
    return [supervoxel]


@damage("value")
def children_of_nine_bytes(table: Table) -> Names:
    node = some(table.nodes(2))
    table.put(node, b"children", pack(b"123456789"))
    return [node]


@damage("value")
def no_children_in_the_frame(table: Table) -> Names:
    node = some(table.nodes(2))
    table.put(node, b"children", pack(b""))
    return [node]


@damage("value")
def half_a_pair(table: Table) -> Names:
    (node, k), _ = next(iter(table.pairs("3").items()))
    table.put(node, b"atomic_cross_edges_%d" % k, pack(bytes(24)), "3")
    return [node]
