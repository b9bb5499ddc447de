"""Planning: the elements that a stage begins with, made on the workers and spread over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam

from beam_ingest.stages.coding import encode_key
from beam_ingest.stages.scope import BLOCK_LAYER, Scope
from beam_ingest.stages.typed import Once

PER_SLAB = 512
"""Numbers whose elements one call makes."""


class Plan(beam.PTransform):  # type: ignore[misc]
    """Elements for the numbers 0..count-1, in an order that spreads them over the grid and the workers.

    Args:
      count: how many numbers there are.
      elements: gives the elements of the numbers first..end-1, as ``elements(first, end)``.
      kind: the type of an element.
      once: drop elements that several slabs give; they must be bytes.
    """

    def __init__(
        self, count: int, elements: Callable[[int, int], Iterable[Any]], kind: Any, once: bool = False
    ) -> None:
        super().__init__()
        self._count = count
        self._elements = elements
        self._kind = kind
        self._once = once

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline."""
        count, elements, size = self._count, self._elements, PER_SLAB

        def slabs(_: bytes) -> Iterator[int]:
            yield from range(0, count, size)

        def made(first: int) -> Iterable[Any]:
            return elements(first, min(first + size, count))

        plan = begin | "Start" >> beam.Impulse() | "Slabs" >> beam.FlatMap(slabs).with_output_types(int)
        if count > size:
            plan = plan | "Spread slabs" >> beam.Reshuffle()
        plan = plan | "Elements" >> beam.FlatMap(made).with_output_types(self._kind)
        if self._once:
            plan = plan | "Once" >> Once()
        return plan | "Spread" >> beam.Reshuffle()


class PlanBlocks(beam.PTransform):  # type: ignore[misc]
    """Keys of the blocks that a job reads.

    Args:
      scope: the chunks of the job.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline."""
        return begin | Plan(self._scope.block_count, partial(_block_keys, self._scope), bytes)


def _block_keys(scope: Scope, first: int, end: int) -> Iterator[bytes]:
    return map(encode_key, scope.grid.chunk_ids(BLOCK_LAYER, scope.blocks(first, end)).tolist())
