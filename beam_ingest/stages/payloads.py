"""How payloads of raw agglomeration travel from their shard files to the blocks that need them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.agglomeration import REMAP, Payload
from beam_ingest.stages.coding import compress, decompress, pack_blobs, unpack_blobs
from beam_ingest.stages.scope import BLOCK_LAYER

PIECE_BYTES = 4 << 20
"""Payloads for one block are packed together up to about this size."""
_BLOBS = 4


def address_payloads(grid: ChunkGrid, payloads: Sequence[Payload]) -> Iterator[tuple[int, bytes]]:
    """Payloads, several packed together, with the id of the block whose chunks need them.

    Edges go to the blocks of their chunks; joined pairs go to those of the face neighbours as well.
    """
    needed_by = [
        [*p.chunks, *(grid.face_neighbours(p.chunks[0]) if p.kind == REMAP else [])] for p in payloads
    ]
    every_chunk = np.array([chunk for chunks in needed_by for chunk in chunks], np.uint64)
    blocks = iter(grid.ancestors(every_chunk, BLOCK_LAYER).tolist())
    waiting: dict[int, list[Payload]] = defaultdict(list)
    sizes: Counter[int] = Counter()
    for payload, chunks in zip(payloads, needed_by, strict=True):
        for block in set(islice(blocks, len(chunks))):
            waiting[block].append(payload)
            sizes[block] += len(payload.data)
            if sizes[block] >= PIECE_BYTES:
                yield block, pack_payloads(waiting.pop(block))
                del sizes[block]
    for block, some in waiting.items():
        yield block, pack_payloads(some)


def pack_payloads(payloads: Sequence[Payload]) -> bytes:
    """Payloads as one compressed value."""
    blobs: list[bytes] = []
    for payload in payloads:
        ids = np.array(payload.chunks, "<u8").tobytes()
        blobs += [payload.kind.encode(), payload.name.encode(), ids, bytes(payload.data)]
    return compress(pack_blobs(blobs))


def unpack_payloads(values: Iterable[bytes]) -> list[Payload]:
    """The payloads of several values of `pack_payloads`; empty values hold none."""
    payloads = []
    for value in filter(None, values):
        blobs = [blob or b"" for blob in unpack_blobs(decompress(value))]
        columns = [blobs[at::_BLOBS] for at in range(_BLOBS)]
        for kind, name, ids, records in zip(*columns, strict=True):
            chunks = tuple(np.frombuffer(ids, "<u8").tolist())
            payloads.append(Payload(kind.decode(), name.decode(), chunks, records))
    return payloads
