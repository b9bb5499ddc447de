"""Beam's own transforms with a coder for all that goes through them: left alone, they pickle.

Pickled values differ between versions of Python, and an error in one names no stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.transforms.core import CallableWrapperCombineFn
from apache_beam.utils.timestamp import Timestamp

from beam_ingest.stages.coding import KEYED_BYTES

_T = TypeVar("_T")

# `beam.Reshuffle` sends the timestamp of each element, for which Beam names no coder.
beam.coders.registry.register_coder(Timestamp, beam.coders.TimestampCoder)


def merging(merge: Callable[[Iterable[_T]], _T], kind: type[_T]) -> beam.PTransform:
    """All elements merged to one; none if there are none.

    Args:
      merge: several elements to one, in any order; some may be merged already.
      kind: their type, which has a coder.
    """
    merged = _Merging(merge, kind).with_input_types(kind).with_output_types(kind)
    return beam.CombineGlobally(merged).without_defaults()


class _Merging(CallableWrapperCombineFn):  # type: ignore[misc]
    def __init__(self, merge: Callable[[Iterable[_T]], _T], kind: type[_T]) -> None:
        super().__init__(merge)
        self._kind = kind

    def get_accumulator_coder(self) -> beam.coders.Coder:
        """Elements that wait to be merged are a list."""
        return beam.coders.ListCoder(beam.coders.registry.get_coder(self._kind))


class Once(beam.PTransform):  # type: ignore[misc]
    """Each of some byte strings once."""

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Apply the transform to bytes."""
        return (
            elements
            | "Pair" >> beam.Map(lambda element: (element, b"")).with_output_types(KEYED_BYTES)
            | "Group" >> beam.GroupByKey()
            | "Unpair" >> beam.Map(lambda group: group[0]).with_output_types(bytes)
        )


def typed(outputs: beam.pvalue.DoOutputsTuple, kinds: Mapping[str, Any]) -> beam.pvalue.DoOutputsTuple:
    """Outputs of several tags with their types; nothing goes to the output without a tag."""
    for tag, kind in kinds.items():
        outputs[tag].element_type = kind
    outputs[None].element_type = bytes
    return outputs
