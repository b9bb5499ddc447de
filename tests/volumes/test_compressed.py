"""The encoder of labels gives the bytes that compressed_segmentation gives for the labels themselves."""

from __future__ import annotations

from typing import Literal

import compressed_segmentation
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.volumes.compressed import encode_labels


def assert_same_bytes(numbers: np.ndarray, ids: np.ndarray) -> None:
    labels = ids[numbers].copy("F")[..., None]
    found = encode_labels(numbers, ids)
    assert found == bytes(compressed_segmentation.compress(labels, (8, 8, 8), order="F"))
    read = compressed_segmentation.decompress(found, labels.shape, np.uint64, (8, 8, 8), order="F")
    assert np.array_equal(read, labels)


@given(
    st.tuples(*[st.integers(1, 20)] * 3),
    st.sampled_from([1, 2, 17, 256, 5000]),
    st.integers(1, 5),
    st.sampled_from(["C", "F"]),
    st.integers(0),
)
def test_bytes_are_those_of_the_labels(
    shape: tuple[int, int, int], labels: int, brick: int, order: Literal["C", "F"], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, labels, [-(-n // brick) for n in shape])
    for axis in range(3):
        numbers = numbers.repeat(brick, axis)
    numbers = numbers[: shape[0], : shape[1], : shape[2]].astype(np.uint16)
    ids = np.append(np.uint64(0), np.sort(rng.integers(1, 1 << 63, labels, np.uint64)))
    assert_same_bytes(np.asarray(numbers, order=order), ids)


@pytest.mark.parametrize("labels", [40, 200_000])
def test_cells_that_are_not_looked_at_together_share_tables(labels: int) -> None:
    numbers = np.zeros((48, 64, 100), np.uint32, order="F")  # of more than 256 cells
    numbers[20:, 5:, 3:] = labels
    numbers[:, 40:, ::9] = 7
    assert_same_bytes(numbers, np.arange(labels + 1, dtype=np.uint64) << np.uint64(33))


def test_voxels_of_which_hardly_two_are_alike() -> None:
    # Too many labels in a cell, and too many in cells that are looked at together.
    numbers = np.arange(8 * 8 * 5).reshape(8, 8, 5)
    assert_same_bytes(numbers, np.arange(numbers.size, dtype=np.uint64))
    numbers = np.arange(20**3).reshape((20,) * 3).repeat(2, 0).repeat(2, 1)
    assert_same_bytes(numbers, np.arange(numbers.size, dtype=np.uint64))
