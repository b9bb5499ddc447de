"""The encoder of labels gives the bytes that compressed_segmentation gives for the labels themselves."""

from __future__ import annotations

import compressed_segmentation
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.volumes.compressed import encode_labels


@given(
    st.tuples(*[st.integers(1, 20)] * 3), st.sampled_from([1, 2, 17, 300]), st.integers(1, 5), st.integers(0)
)
def test_bytes_are_those_of_the_labels(
    shape: tuple[int, int, int], labels: int, brick: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, labels, [-(-n // brick) for n in shape])
    for axis in range(3):
        numbers = numbers.repeat(brick, axis)
    numbers = numbers[: shape[0], : shape[1], : shape[2]].astype(np.uint16)
    ids = np.append(np.uint64(0), np.sort(rng.integers(1, 1 << 63, labels, np.uint64)))
    expected = compressed_segmentation.compress(ids[numbers].copy("F")[..., None], (8, 8, 8), order="F")
    found = encode_labels(numbers, ids)
    assert found == bytes(expected)
    read = compressed_segmentation.decompress(found, (*shape, 1), np.uint64, (8, 8, 8), order="F")
    assert np.array_equal(read[..., 0], ids[numbers])
