"""The tree changed consistently: parents and children agree, and every row has what it needs."""

from __future__ import annotations

from tests.oracle.cells import counter_key
from tests.verify import Table
from tests.verify.damages import Names, chunk_of, damage, joined, last_of_chunk, lone, some


def move(table: Table, child: int, old: int, new: int) -> None:
    table.put_parent(child, new)
    table.put_children(old, [c for c in table.children[old] if c != child])
    table.put_children(new, sorted([*table.children[new], child]))


@damage("not connected")
def roots_merged(table: Table) -> Names:
    """A root takes over another's children; the other's row goes, and its counter steps back if it can."""
    kept, gone = lone(table)[:2]
    table.drop(gone)
    for child in table.children[gone]:
        table.put_parent(child, kept)
    table.put_children(kept, sorted(table.children[kept] + table.children[gone]))
    return [kept]


@damage("not connected")
def large_roots_merged(table: Table) -> Names:
    large = [r for r in table.nodes(table.grid.root_layer) if len(table.children[r]) > 1]
    kept, gone = large[0], large[-1]
    table.drop(gone)
    for child in table.children[gone]:
        table.put_parent(child, kept)
    table.put_children(kept, sorted(table.children[kept] + table.children[gone]))
    return [kept]


@damage("one-sided edge")
def root_split(table: Table) -> Names:
    """One child of a root gets a new root, numbered and counted as it should be, far from the other."""
    root = joined(table, table.grid.root_layer)
    *rest, child = table.children[root]
    chunk, shard = chunk_of(table, root), 0
    new = chunk + 256 * 1000 + shard
    table.put_children(root, rest)
    table.put_parent(child, new)
    table.put_children(new, [child])
    return [child, rest[0]]


@damage("not joined")
def root_split_near(table: Table) -> Names:
    root = joined(table, table.grid.root_layer)
    *rest, child = table.children[root]
    chunk = chunk_of(table, root)
    shards = {table.grid.segment_of(r) % 256 for r in table.nodes(table.grid.root_layer)}
    shard = next(n for n in range(256) if n not in shards)
    new = chunk + 256 + shard
    table.put_children(root, rest)
    table.put_parent(child, new)
    table.put_children(new, [child])
    table.put_counter(counter_key(chunk, shard), 1)
    return [child]


@damage("not connected")
def nodes_merged(table: Table) -> Names:
    """The last node of a chunk becomes part of another; nothing else of it is left."""
    node = next(n for n in last_of_chunk(table, 2) if (n, 2) not in table.pairs("3"))
    kept = node - 1
    for child in table.children[node]:
        table.put_parent(child, kept)
    table.put_children(kept, sorted(table.children[kept] + table.children[node]))
    table.drop(node)
    table.put_counter(counter_key(chunk_of(table, node)), table.grid.segment_of(kept))
    return [kept]


@damage("not joined")
def node_split(table: Table) -> Names:
    """One supervoxel of a node becomes a node of its own, under the same parent."""
    node = next(n for n in table.nodes(2) if len(table.children[n]) > 1)
    new = max(n for n in table.nodes(2) if chunk_of(table, n) == chunk_of(table, node)) + 1
    last = table.children[node][-1]
    table.put_parent(last, new)
    table.put_children(node, table.children[node][:-1])
    table.put_children(new, [last])
    table.put_parent(new, table.parents[node])
    table.put_children(table.parents[node], sorted([*table.children[table.parents[node]], new]))
    table.put_counter(counter_key(chunk_of(table, new)), table.grid.segment_of(new))
    return [last]


@damage("not connected")
def supervoxel_moved_to_another_node(table: Table) -> Names:
    first = joined(table, 2)
    second = next(n for n in table.nodes(2) if chunk_of(table, n) == chunk_of(table, first) and n != first)
    child = table.children[first][1]
    move(table, child, first, second)
    return [child, second]


@damage("not connected")
def node_moved_to_another_parent(table: Table) -> Names:
    """At a layer above, within one chunk, so that ids and coordinates stay right."""
    first = joined(table, 3)
    second = next(n for n in table.nodes(3) if chunk_of(table, n) == chunk_of(table, first) and n != first)
    child = table.children[first][1]
    move(table, child, first, second)
    return [child, second]


@damage("parent layer")
def parent_at_a_lower_layer_than_it_should(table: Table) -> Names:
    """Between a node and the parent that it skips layers to, another is put."""
    node = next(n for n in table.nodes(2) if table.grid.layer_of(table.parents.get(n, 0)) == 4)
    coords = table.grid.coords_at(table.children[node][0], 3)
    number = sum(table.grid.coords_of(n) == coords for n in table.nodes(3)) + 1
    new = table.grid.node_id(3, coords, number)
    table.put_parent(node, new)
    table.put_children(new, [node])
    table.put_parent(new, table.parents[node])
    table.put_children(
        table.parents[node], [c for c in table.children[table.parents[node]] if c != node] + [new]
    )
    table.put_counter(counter_key(chunk_of(table, new)), number)
    return [node, new]


@damage("parent layer")
def parent_at_a_higher_layer_than_it_should(table: Table) -> Names:
    """A node with one child is taken out: the child goes to its parent at once."""
    node = next(n for n in table.nodes(4) if len(table.children[n]) == 1 and n in table.parents)
    (child,), root = table.children[node], table.parents[node]
    table.drop(node)
    table.put_parent(child, root)
    table.put_children(root, sorted([c for c in table.children[root] if c != node] + [child]))
    return [child, root]


@damage("segment")
def nodes_in_another_order(table: Table) -> Names:
    """Two nodes of a chunk that nothing else knows exchange their ids, all over."""
    pairs = table.pairs("3")
    alone = {n for n in table.nodes(2) if not any((n, k) in pairs for k in (2, 3, 4))}
    first, second = next((n, n + 1) for n in sorted(alone) if n + 1 in alone)
    for node, other in ((first, second), (second, first)):
        table.put_children(node, table.children[other])
        for child in table.children[other]:
            table.put_parent(child, node)
    return [second]


@damage("segment")
def gap_among_the_segments(table: Table) -> Names:
    """The last node of a chunk, known to nothing else but its root, gets a higher segment."""
    pairs = table.pairs("3")
    node = next(n for n in last_of_chunk(table, 2) if not any((n, k) in pairs for k in (2, 3, 4)))
    new, root = node + 1, table.parents[node]
    table.put_children(new, table.children[node])
    table.put_parent(new, root)
    for child in table.children[node]:
        table.put_parent(child, new)
    table.put_children(root, [new])
    table.drop(node)
    table.put_counter(counter_key(chunk_of(table, node)), table.grid.segment_of(new))
    return [new]


@damage("segment")
def gap_among_the_roots(table: Table) -> Names:
    root = max(lone(table), key=lambda r: table.grid.segment_of(r) // 256)
    new, (child,) = root + 256, table.children[root]
    table.drop(root)
    table.put_children(new, [child])
    table.put_parent(child, new)
    key = counter_key(chunk_of(table, root), table.grid.segment_of(root) % 256)
    table.put_counter(key, table.grid.segment_of(new) // 256)
    return [key]


@damage("segment")
def root_below_the_first(table: Table) -> Names:
    root = some(lone(table))
    new, (child,) = chunk_of(table, root) + 7, table.children[root]
    table.drop(root)
    table.put_children(new, [child])
    table.put_parent(child, new)
    return [new]


@damage("parent not named")
def unreachable_node(table: Table) -> Names:
    """A node whose parent does not list it, and whose children name another."""
    node = last_of_chunk(table, 3)[1]
    new = node + 1
    table.put_parent(new, table.parents[node])
    table.put_children(new, table.children[node])
    table.put_counter(counter_key(chunk_of(table, new)), table.grid.segment_of(new))
    return [new]
