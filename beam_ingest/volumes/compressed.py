"""Encoding labels as compressed_segmentation, from small numbers that stand for them. No files.

The format: https://github.com/google/neuroglancer/blob/master/src/sliceview/compressed_segmentation/README.md
"""

from __future__ import annotations

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.volumes.contacts import Labels

CELL = (8, 8, 8)
"""Voxels that are packed together."""
_VOXELS = 512


def encode_labels(numbers: Labels, labels: Ids) -> bytes:
    """One channel of uint64 labels.

    The encoder takes a third less time for 32 bits. So it is given the numbers, and then the tables of labels
    in what it made are widened: byte for byte what it makes of the labels themselves, as these ascend.

    Args:
      numbers: of the label at each voxel, below 2^32, shape (x, y, z).
      labels: by number, shape (n,), uint64, ascending.
    """
    import compressed_segmentation

    small = numbers.astype(np.uint32, order="F")[..., None]
    words = np.frombuffer(compressed_segmentation.compress(small, CELL, order="F"), "<u4")[1:]
    count = int(np.prod([-(-n // c) for n, c in zip(numbers.shape, CELL, strict=True)]))
    heads = words[: 2 * count].reshape(count, 2)
    bits = (heads[:, 0] >> 24).astype(np.int64)
    table_at, values_at = (heads[:, 0] & 0xFFFFFF).astype(np.int64), heads[:, 1].astype(np.int64)
    # All words behind the heads are packed values, whose length is known, or tables.
    edges = np.zeros(words.size + 1, np.int8)
    packed = bits > 0
    edges[values_at[packed]] += 1
    edges[values_at[packed] + bits[packed] * _VOXELS // 32] -= 1
    is_table = np.cumsum(edges[:-1], dtype=np.int8) == 0
    is_table[: 2 * count] = False
    moved = np.arange(words.size + 1)
    moved[1:] += np.cumsum(is_table)
    wide = np.empty(1 + moved[-1], "<u4")
    wide[0] = 1  # where the one channel begins
    body = wide[1:]
    body[moved[:-1][~is_table]] = words[~is_table]
    ids = labels[words[is_table]]
    body[moved[:-1][is_table]] = ids & np.uint64(0xFFFFFFFF)
    body[moved[:-1][is_table] + 1] = ids >> np.uint64(32)
    body[: 2 * count : 2] = moved[table_at] | bits << 24
    body[1 : 2 * count : 2] = moved[values_at]
    return wide.tobytes()
