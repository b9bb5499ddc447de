"""What a check of many chunks finds: counts, and kinds of problems with examples; parts merge to a whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

Example = TypeVar("Example")
"""A line, or something else that is ordered and can be written as JSON."""


@dataclass(eq=False)
class Tally(Generic[Example]):
    """How often something was found.

    Attributes:
      count: how often.
      examples: the lowest few of the cases, in order, whatever the order in which they came.
    """

    count: int = 0
    examples: list[Example] = field(default_factory=list)


class Tallies(dict[str, Tally[Example]]):
    """Tallies by kind."""

    def add(self, kind: str, count: int, cases: Iterable[Example], most: int) -> None:
        """Count `count` more of a kind; of `cases`, which are some of them, `most` are kept."""
        if count:
            tally = self.setdefault(kind, Tally())
            tally.count += count
            tally.examples = sorted({*tally.examples, *cases})[:most]  # type: ignore[type-var]

    def merge(self, other: Mapping[str, Tally[Example]], most: int) -> None:
        """Add what was counted elsewhere."""
        for kind, tally in other.items():
            self.add(kind, tally.count, tally.examples, most)

    @property
    def total(self) -> int:
        """How many there are of all kinds."""
        return sum(tally.count for tally in self.values())

    def as_dict(self, show: Callable[[Example], Any]) -> dict[str, Any]:
        """For JSON, in order of the kinds; `show` makes it of an example."""
        return {
            kind: {"count": tally.count, "examples": [show(case) for case in tally.examples]}
            for kind, tally in sorted(self.items())
        }

    @classmethod
    def of(cls, content: Mapping[str, Any], read: Callable[[Any], Example]) -> Tallies[Example]:
        """The tallies that `as_dict` took; `read` makes an example of what `show` made of it."""
        return cls(
            {
                kind: Tally(found["count"], [read(case) for case in found["examples"]])
                for kind, found in content.items()
            }
        )


@dataclass(eq=False)
class Findings(Generic[Example]):
    """What was found in some of the chunks; subclasses add what is theirs to each method.

    Attributes:
      counts: what was looked at, by name.
      problems: what is wrong, by kind.
    """

    problems_key: ClassVar[str] = "problems"
    """What the problems are called in JSON."""
    most: ClassVar[int] = 5
    """Examples of one kind that are kept; all are counted."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: Tallies[Example] = field(default_factory=Tallies)

    @property
    def total(self) -> int:
        """Number of all problems."""
        return self.problems.total

    def merge(self, other: Self) -> None:
        """Add what was found elsewhere."""
        self.counts.update(other.counts)
        self.problems.merge(other.problems, self.most)

    def as_dict(self) -> dict[str, Any]:
        """What commands print as JSON."""
        return {
            "counts": dict(sorted(self.counts.items())),
            self.problems_key: self.problems.as_dict(self._show),
        }

    def encode(self) -> bytes:
        """All of it as JSON; equal findings are equal bytes."""
        return json.dumps(self.as_dict() | self._unprinted()).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The findings that `encode` took."""
        content = json.loads(data)
        problems = Tallies.of(content[cls.problems_key], cls._read)
        return cls(Counter(content["counts"]), problems, **cls._others(content))

    @staticmethod
    def _show(example: Example) -> Any:
        """An example for JSON."""
        return example

    @staticmethod
    def _read(content: Any) -> Example:
        """The example that `_show` took."""
        example: Example = content
        return example

    def _unprinted(self) -> dict[str, Any]:
        """What `encode` takes besides what is printed."""
        return {}

    @classmethod
    def _others(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Further fields, out of the JSON of `encode`."""
        return {}
