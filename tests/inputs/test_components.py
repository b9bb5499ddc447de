"""Components files: the quick ways of parsing them, against the general ones and protobuf's parser."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.errors import InputError
from beam_ingest.inputs.components import (
    _component_starts,
    _numbers,
    _parsed_numbers,
    _walked_starts,
    decode_components,
)
from beam_ingest.inputs.messages import ChunkComponentsMsg
from beam_ingest.inputs.varints import decode_varints, only_field

# Of every width that a varint can have.
NUMBERS = st.lists(st.integers(1, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)), max_size=60)
BYTES = st.one_of(st.binary(max_size=30), st.lists(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])).map(bytes))


def message(numbers: list[int]) -> bytes:
    return ChunkComponentsMsg(components=numbers).SerializeToString()


def outcome(function, *arguments):
    """What a function returns, as lists, or the error it raises."""
    try:
        found = function(*arguments, "file", "0_0_0")
    except InputError as error:
        return str(error)
    return [array.tolist() for array in found] if isinstance(found, tuple) else found.tolist()


@given(NUMBERS)
def test_numbers_are_those_of_the_message(numbers: list[int]) -> None:
    assert _numbers(message(numbers), "", "").tolist() == numbers
    packed = only_field(message(numbers), 0x0A)
    assert (packed is None) == (not numbers)
    if packed is not None:
        quick = decode_varints(packed)
        assert (quick is None) == (max(numbers) >= 2**63)
        assert quick is None or quick.tolist() == numbers


@given(BYTES, st.booleans())
def test_any_bytes_are_read_as_protobuf_reads_them(data: bytes, framed: bool) -> None:
    file = b"\x0a" + bytes([len(data)]) + data if framed and len(data) < 128 else data
    assert outcome(_numbers, file) == outcome(_parsed_numbers, file)


@given(NUMBERS, st.lists(st.integers(1, 6), max_size=8), st.booleans())
def test_starts_are_those_of_a_walk(numbers: list[int], sizes: list[int], sound: bool) -> None:
    if sound:
        some = iter(range(1 << 56, 1 << 57))
        numbers = [number for size in sizes for number in (size, *(next(some) for _ in range(size)))]
    array = np.array(numbers, np.uint64)
    assert outcome(_component_starts, array) == outcome(_walked_starts, array)


def test_ids_that_look_like_sizes_are_walked_over() -> None:
    mapping = decode_components(message([2, 5, 1, 1, 7]), "", "")
    assert (mapping.ids.tolist(), mapping.components.tolist()) == ([1, 5, 7], [0, 0, 1])
    with pytest.raises(InputError, match="a component of 5 ids, found 1 ids"):
        decode_components(message([1, 2, 5, 1]), "", "")
