"""Cross edges that the inputs do not have, or have elsewhere."""

from __future__ import annotations

from tests.verify import Table
from tests.verify.damages import Names, damage


@damage("atomic cross edge wrong")
def atomic_cross_edge_changed(table: Table) -> Names:
    (node, k), [(own, partner), *rest] = next(iter(table.pairs("3").items()))
    table.put_pairs("3", node, k, [(own, partner + 1), *rest])
    return [node, own, partner, partner + 1]


@damage("atomic cross edge missing")
def atomic_cross_edge_dropped(table: Table) -> Names:
    (node, k), [first, *rest] = next((key, p) for key, p in table.pairs("3").items() if len(p) > 1)
    table.put_pairs("3", node, k, rest)
    return [node, *first]


@damage("atomic cross edge wrong")
def atomic_cross_edges_at_another_layer(table: Table) -> Names:
    pairs = table.pairs("3")
    (node, _), edges = next((key, p) for key, p in pairs.items() if key[1] == 2 and (key[0], 3) not in pairs)
    table.drop(node, b"atomic_cross_edges_2")
    table.put_pairs("3", node, 3, edges)
    return [node, *edges[0]]


@damage("atomic cross edge wrong")
def atomic_cross_edge_at_another_node(table: Table) -> Names:
    (node, k), edges = next(iter(table.pairs("3").items()))
    other = next(n for n in table.nodes(2) if (n, k) not in table.pairs("3"))
    table.drop(node, b"atomic_cross_edges_%d" % k)
    table.put_pairs("3", other, k, edges)
    return [node, other]


@damage("cross edge wrong")
def cross_edge_to_a_supervoxel(table: Table) -> Names:
    """As if the partner's name at the layer were never learnt."""
    (node, k), [(own, partner), *rest] = next(iter(table.pairs("4").items()))
    below = table.children[partner][0]
    table.put_pairs("4", node, k, [(own, below), *rest])
    return [node, below, partner]


@damage("cross edge missing")
def cross_edge_dropped_on_one_side(table: Table) -> Names:
    """The mirror stays."""
    (node, k), [first, *rest] = next((key, p) for key, p in table.pairs("4").items() if len(p) > 1)
    table.put_pairs("4", node, k, rest)
    return [node, *first]


@damage("cross edge missing")
def cross_edge_dropped_on_both_sides(table: Table) -> Names:
    pairs = table.pairs("4")
    (node, k), [(own, partner)] = next(
        (key, p) for key, p in pairs.items() if len(p) == 1 and table.grid.layer_of(key[0]) == 3
        and (p[0][1], key[1]) in pairs)  # fmt: skip
    table.put_pairs("4", node, k, [])
    table.put_pairs("4", partner, k, [pair for pair in pairs[partner, k] if pair[1] != own])
    return [node, partner]


@damage("cross edge wrong")
def cross_edge_added_on_both_sides(table: Table) -> Names:
    pairs = table.pairs("4")
    (node, k), old = next((key, p) for key, p in pairs.items() if table.grid.layer_of(key[0]) == 3)
    other = next(n for n, layer in pairs if layer == k and n not in (node, *(p for _, p in old))
                 and table.grid.layer_of(n) == 3)  # fmt: skip
    table.put_pairs("4", node, k, [*old, (node, other)])
    table.put_pairs("4", other, k, [*pairs[other, k], (other, node)])
    return [node, other]


@damage("cross edge wrong")
def cross_edges_at_another_layer(table: Table) -> Names:
    pairs = table.pairs("4")
    (node, _), edges = next((key, p) for key, p in pairs.items() if key[1] == 3 and (key[0], 4) not in pairs)
    table.drop(node, b"cross_edges_3")
    table.put_pairs("4", node, 4, edges)
    return [node, edges[0][1]]


@damage("cross edge missing")
def cross_edges_of_the_highest_layer_dropped(table: Table) -> Names:
    pairs = table.pairs("4")
    (node, k), edges = next((key, p) for key, p in pairs.items() if table.grid.layer_of(key[0]) == 4)
    table.put_pairs("4", node, k, [])
    return [node, edges[0][1]]


@damage("cross edge wrong")
def cross_edge_of_another_node(table: Table) -> Names:
    (node, k), [(own, partner), *rest] = next(iter(table.pairs("4").items()))
    table.put_pairs("4", node, k, [(own + 1, partner), *rest])
    return [node, own + 1]


@damage("order")
def cross_edge_listed_twice(table: Table) -> Names:
    (node, k), edges = next(iter(table.pairs("4").items()))
    table.put_pairs("4", node, k, [*edges, edges[0]])
    return [node]
