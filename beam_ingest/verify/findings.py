"""What a verification found: counts of what was checked, and the differences with some examples of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import ChunkGrid, Ids
from beam_ingest.verify.key_space import layers_of

EXAMPLES = 10
"""Differences of one kind that are shown; all are counted."""


@dataclass(frozen=True)
class Shard:
    """What is known of one root counter.

    Attributes:
      roots: roots that are there.
      highest: the highest k among them.
      counter: what the counter's row says; -1 without one.
    """

    roots: int = 0
    highest: int = 0
    counter: int = -1

    def merged(self, other: Shard) -> Shard:
        """What two parts of the table say together."""
        return Shard(
            self.roots + other.roots, max(self.highest, other.highest), max(self.counter, other.counter)
        )


@dataclass(eq=False)
class Findings:
    """Counts and differences; those of parts of a table are merged to those of the whole.

    Attributes:
      counts: what was checked, by name.
      differences: how many there are of each kind.
      examples: up to EXAMPLES of each kind, in order.
      shards: the root counters, by number.
      claims: what progress rows say of the whole graph, by the names that `counts` has.
    """

    counts: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    shards: dict[int, Shard] = field(default_factory=dict)
    claims: Counter[str] = field(default_factory=Counter)

    def differ(self, kind: str, at: npt.NDArray[np.integer[Any]], describe: Callable[[int], str]) -> None:
        """Note a difference for each of the positions `at`, shape (n,); `describe` makes a line of one."""
        if at.size:
            self.differences[kind] += int(at.size)
            self._show(kind, [describe(int(i)) for i in at[:EXAMPLES]])

    def differ_once(self, kind: str, line: str) -> None:
        """Note one difference."""
        self.differences[kind] += 1
        self._show(kind, [line])

    @property
    def total(self) -> int:
        """Number of all differences."""
        return self.differences.total()

    def merge(self, other: Findings) -> None:
        """Add what another part of the table gave."""
        self.counts.update(other.counts)
        self.differences.update(other.differences)
        self.claims.update(other.claims)
        for kind, lines in other.examples.items():
            self._show(kind, lines)
        for number, shard in other.shards.items():
            self.shards[number] = self.shards.get(number, Shard()).merged(shard)

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        kinds = {
            kind: {"count": count, "examples": self.examples[kind]}
            for kind, count in sorted(self.differences.items())
        }
        return {"counts": dict(sorted(self.counts.items())), "differences": kinds}

    def encode(self) -> bytes:
        """All of it as JSON; equal findings are equal bytes."""
        shards = {str(n): (s.roots, s.highest, s.counter) for n, s in sorted(self.shards.items())}
        return json.dumps(
            self.as_dict() | {"shards": shards, "claims": dict(sorted(self.claims.items()))}
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Findings:
        """The findings that `encode` took."""
        content = json.loads(data)
        kinds = content["differences"]
        return cls(
            Counter(content["counts"]),
            Counter({kind: found["count"] for kind, found in kinds.items()}),
            {kind: found["examples"] for kind, found in kinds.items()},
            {int(n): Shard(*shard) for n, shard in content["shards"].items()},
            Counter(content["claims"]),
        )

    def _show(self, kind: str, lines: list[str]) -> None:
        # The lowest ones, whatever the order in which parts are merged.
        self.examples[kind] = sorted([*self.examples.get(kind, []), *lines])[:EXAMPLES]


def merge_encoded(parts: Iterable[bytes]) -> bytes:
    """Encoded findings of several parts as those of the whole."""
    whole = Findings()
    for part in parts:
        whole.merge(Findings.decode(part))
    return whole.encode()


def name(grid: ChunkGrid, node: int) -> str:
    """A node or supervoxel in a line for people: its id, layer and chunk."""
    layer = int(layers_of(grid, np.array([node], np.uint64))[0])
    kind = "supervoxel" if layer == 1 else "node"
    chunk = "_".join(map(str, grid.coords(np.array([node], np.uint64), layer)[0].tolist()))
    return f"{kind} {node} (layer {layer}, chunk {chunk})"


def names(grid: ChunkGrid, nodes: Ids) -> Callable[[int], str]:
    """A function that names the node at a position of `nodes`."""
    return lambda i: name(grid, int(nodes[i]))
