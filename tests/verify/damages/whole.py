"""Counters, and rows about the whole graph."""

from __future__ import annotations

import json

from tests.oracle.cells import counter_key, ids_bytes
from tests.verify import Table
from tests.verify.damages import Names, chunk_of, damage, last_of_chunk, lone, some


@damage("counter")
def counter_one_too_high(table: Table) -> Names:
    node = last_of_chunk(table, 3)[0]
    table.put_counter(counter_key(chunk_of(table, node)), table.grid.segment_of(node) + 1)
    return [counter_key(chunk_of(table, node))]


@damage("counter")
def counter_missing(table: Table) -> Names:
    key = counter_key(chunk_of(table, last_of_chunk(table, 2)[0]))
    table.drop(key)
    return [key]


@damage("counter")
def supervoxel_counter_wrong(table: Table) -> Names:
    key = counter_key(chunk_of(table, table.nodes(1)[0]))
    table.put_counter(key, 1)
    return [key]


@damage("counter")
def counter_in_the_other_byte_order(table: Table) -> Names:
    node = last_of_chunk(table, 2)[0]
    key = counter_key(chunk_of(table, node))
    table.put(key, b"counter", ids_bytes([table.grid.segment_of(node)]), "1")
    return [key]


@damage("counter")
def root_counter_one_too_low(table: Table) -> Names:
    root = max(lone(table), key=lambda r: table.grid.segment_of(r) // 256)
    key = counter_key(chunk_of(table, root), table.grid.segment_of(root) % 256)
    table.put_counter(key, table.grid.segment_of(root) // 256 - 1)
    return [key]


@damage("counter")
def root_counter_enormous(table: Table) -> Names:
    root = some(lone(table))
    key = counter_key(chunk_of(table, root), table.grid.segment_of(root) % 256)
    table.put_counter(key, 1 << 60)
    return [key]


@damage("counter")
def root_counter_missing(table: Table) -> Names:
    root = some(lone(table))
    key = counter_key(chunk_of(table, root), table.grid.segment_of(root) % 256)
    table.drop(key)
    return [key]


@damage("counter")
def root_counter_of_no_root(table: Table) -> Names:
    shards = {table.grid.segment_of(r) % 256 for r in table.nodes(table.grid.root_layer)}
    key = counter_key(chunk_of(table, lone(table)[0]), next(n for n in range(256) if n not in shards))
    table.put_counter(key, 3)
    return [key]


@damage("stray")
def root_counter_beyond_the_last(table: Table) -> Names:
    key = counter_key(chunk_of(table, lone(table)[0]), 256)
    table.put_counter(key, 3)
    return [key]


@damage("stray")
def counter_of_the_root_chunk(table: Table) -> Names:
    key = counter_key(chunk_of(table, lone(table)[0]))
    table.put_counter(key, 3)
    return [key]


# Rows of the whole


@damage("own row")
def version_of_another_program(table: Table) -> Names:
    table.put(b"version", b"version", b"1.0")
    return [b"version"]


@damage("own row")
def meta_that_is_no_pickle(table: Table) -> Names:
    table.put(b"meta", b"meta", b"nothing of the kind")
    return [b"meta"]


@damage("own row")
def meta_of_another_graph(table: Table) -> Names:
    table.put(b"meta", b"meta", table.value(b"meta", b"meta").replace(b"\x05graph", b"\x05grape"))
    return [b"meta"]


@damage("own row")
def meta_missing(table: Table) -> Names:
    table.drop(b"meta")
    return [b"meta"]


@damage("own row")
def manifest_with_another_dataset(table: Table) -> Names:
    manifest = json.loads(table.value(b"beam_ingest", b"manifest"))
    manifest["dataset"] += "\n"
    table.put(b"beam_ingest", b"manifest", json.dumps(manifest).encode())
    return [b"beam_ingest"]


@damage("progress")
def progress_row_missing(table: Table) -> Names:
    key = b"beam_ingest/%020d" % chunk_of(table, table.nodes(3)[0])
    table.drop(key)
    return [key]


@damage("progress")
def progress_of_roots_missing(table: Table) -> Names:
    root = next(r for r in lone(table) if table.grid.layer_of(table.children[r][0]) == 2)
    key = b"beam_ingest/roots/%020d" % chunk_of(table, table.children[root][0])
    table.drop(key)
    return [key]


@damage("stray")
def failure_left(table: Table) -> Names:
    key = b"beam_ingest/failed/%020d" % chunk_of(table, table.nodes(2)[0])
    table.put(key, b"failure_x", b"{}")
    return [key]
