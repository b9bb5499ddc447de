"""What a verification found: counts of what was checked, and the differences with some examples of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import ChunkGrid, Ids, as_coordinates, chunk_name
from beam_ingest.stages import findings
from beam_ingest.verify.key_space import layers_of

if TYPE_CHECKING:
    from typing_extensions import Self


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
class Findings(findings.Findings[str]):
    """Differences between a graph and its inputs, in some of the rows of its table.

    Attributes:
      shards: the root counters, by number.
      claims: what progress rows say of the whole graph, by the names that `counts` has.
    """

    problems_key: ClassVar[str] = "differences"
    most: ClassVar[int] = 10

    shards: dict[int, Shard] = field(default_factory=dict)
    claims: Counter[str] = field(default_factory=Counter)

    def differ(self, kind: str, at: npt.NDArray[np.integer[Any]], describe: Callable[[int], str]) -> None:
        """Note a difference for each of the positions `at`, shape (n,); `describe` makes a line of one."""
        self.problems.add(kind, int(at.size), [describe(int(i)) for i in at[: self.most]], self.most)

    def differ_once(self, kind: str, line: str) -> None:
        """Note one difference."""
        self.problems.add(kind, 1, [line], self.most)

    @property
    def differences(self) -> Counter[str]:
        """How many differences there are of each kind."""
        return Counter({kind: tally.count for kind, tally in self.problems.items()})

    def merge(self, other: Self) -> None:
        """Add what was found elsewhere."""
        super().merge(other)
        self.claims.update(other.claims)
        for number, shard in other.shards.items():
            self.shards[number] = self.shards.get(number, Shard()).merged(shard)

    def _unprinted(self) -> dict[str, Any]:
        shards = {str(n): (s.roots, s.highest, s.counter) for n, s in sorted(self.shards.items())}
        return {"shards": shards, "claims": dict(sorted(self.claims.items()))}

    @classmethod
    def _others(cls, content: dict[str, Any]) -> dict[str, Any]:
        shards = {int(n): Shard(*shard) for n, shard in content["shards"].items()}
        return {"shards": shards, "claims": Counter(content["claims"])}


def name(grid: ChunkGrid, node: int) -> str:
    """A node or supervoxel for messages: its id, layer and chunk."""
    layer = int(layers_of(grid, np.array([node], np.uint64))[0])
    kind = "supervoxel" if layer == 1 else "node"
    (coords,) = as_coordinates(grid.coords(np.array([node], np.uint64), layer))
    return f"{kind} {node} (layer {layer}, chunk {chunk_name(coords)})"


def names(grid: ChunkGrid, nodes: Ids) -> Callable[[int], str]:
    """A function that names the node at a position of `nodes`."""
    return lambda i: name(grid, int(nodes[i]))
