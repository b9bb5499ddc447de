"""How raw payloads travel: packed together, compressed, and to every block that needs them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.agglomeration import BETWEEN, REMAP, Payload
from beam_ingest.stages.payloads import address_payloads, pack_payloads, unpack_payloads
from beam_ingest.stages.scope import BLOCK_LAYER

GRID = ChunkGrid((4, 4, 4))


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=20, unique=True))
def test_joined_pairs_reach_the_blocks_of_all_face_neighbours(places: list[tuple[int, int, int]]) -> None:
    payloads = [Payload(REMAP, f"{at}", (GRID.chunk_id(1, at),), bytes(32)) for at in places]
    expected: dict[int, set[str]] = defaultdict(set)
    for at in places:
        for axis, step in [(0, 0), *((axis, step) for axis in range(3) for step in (-1, 1))]:
            near = [n + step * (axis == i) for i, n in enumerate(at)]
            if all(0 <= n < 4 for n in near):
                x, y, z = (n // 2 for n in near)
                expected[GRID.chunk_id(BLOCK_LAYER, (x, y, z))].add(f"{at}")
    sent = list(address_payloads(GRID, payloads))
    assert len(sent) == len(expected)  # one element a block, not one a payload
    assert {block: {p.name for p in unpack_payloads([data])} for block, data in sent} == expected


def test_payloads_come_back_as_they_were() -> None:
    records = np.arange(4000, dtype="<u8").tobytes()
    payload = Payload(BETWEEN, "name", (GRID.chunk_id(1, (0, 0, 0)), GRID.chunk_id(1, (1, 0, 0))), records)
    packed = pack_payloads([payload, payload])
    assert len(packed) < len(records)
    found = unpack_payloads([b"", packed])
    assert [(p.kind, p.name, p.chunks, bytes(p.data)) for p in found] == [
        (payload.kind, payload.name, payload.chunks, records)
    ] * 2
