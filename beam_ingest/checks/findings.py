"""What a check found: counts of what was looked at, what is wrong, what is odd, what was not checked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from beam_ingest.errors import InputError

EXAMPLES = 5
"""Cases of one kind that are shown; all are counted."""
CONFIGURATION = "configuration"
"""The kind of what is wrong in the dataset file itself."""


@dataclass(frozen=True, order=True)
class Case:
    """One case of something, as a line for people and, of a file, in parts for programs.

    Attributes:
      line: all of it.
      file: path or URL of the file.
      chunk: its chunk, ``x_y_z``.
      expected: what should be there.
      found: what is.
      advice: what to do.
    """

    line: str
    file: str = ""
    chunk: str = ""
    expected: str = ""
    found: str = ""
    advice: str = ""

    @classmethod
    def of(cls, error: InputError) -> Case:
        """An error in an input file."""
        return cls(str(error), error.file, error.chunk, error.expected, error.found, error.advice)


@dataclass(eq=False)
class Tally:
    """How often something was found, and the first EXAMPLES cases in order of their lines."""

    count: int = 0
    examples: list[Case] = field(default_factory=list)

    def add(self, count: int, cases: Iterable[Case]) -> None:
        """Count more of them."""
        self.count += count
        self.examples = sorted({*self.examples, *cases})[:EXAMPLES]


@dataclass(eq=False)
class Findings:
    """Findings of some of the chunks and folders; those of parts are merged to those of the whole.

    Attributes:
      counts: what was looked at, by name.
      problems: what is wrong, by kind.
      notes: what is allowed but worth knowing, by kind.
      unchecked: what was not checked, and why.
      extents: of each kind of files, how many chunks along x, y and z their names go up to.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: dict[str, Tally] = field(default_factory=dict)
    notes: dict[str, Tally] = field(default_factory=dict)
    unchecked: set[str] = field(default_factory=set)
    extents: dict[str, list[int]] = field(default_factory=dict)

    def problem(self, kind: str, *cases: Case, count: int = 1) -> None:
        """Something is wrong `count` times; `cases` are some of them."""
        if count:
            self.problems.setdefault(kind, Tally()).add(count, cases)

    def note(self, kind: str, *cases: Case, count: int = 1) -> None:
        """Something is odd `count` times; `cases` are some of them."""
        if count:
            self.notes.setdefault(kind, Tally()).add(count, cases)

    def reach(self, kind: str, extent: list[int]) -> None:
        """Files of `kind` go up to `extent` chunks along x, y and z."""
        before = self.extents.get(kind, [0, 0, 0])
        self.extents[kind] = [max(pair) for pair in zip(before, extent, strict=True)]

    @property
    def total(self) -> int:
        """How often something is wrong."""
        return sum(tally.count for tally in self.problems.values())

    def merge(self, other: Findings) -> None:
        """Add what was found elsewhere."""
        self.counts.update(other.counts)
        for mine, theirs in ((self.problems, other.problems), (self.notes, other.notes)):
            for kind, tally in theirs.items():
                mine.setdefault(kind, Tally()).add(tally.count, tally.examples)
        self.unchecked |= other.unchecked
        for kind, extent in other.extents.items():
            self.reach(kind, extent)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "problems": {kind: asdict(tally) for kind, tally in sorted(self.problems.items())},
            "notes": {kind: asdict(tally) for kind, tally in sorted(self.notes.items())},
            "not_checked": sorted(self.unchecked),
        }

    def encode(self) -> bytes:
        """All of it as JSON; equal findings are equal bytes."""
        return json.dumps(self.as_dict() | {"extents": dict(sorted(self.extents.items()))}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Findings:
        """The findings that `encode` took."""
        content = json.loads(data)
        return cls(
            Counter(content["counts"]),
            _tallies(content["problems"]),
            _tallies(content["notes"]),
            set(content["not_checked"]),
            content["extents"],
        )


def merge_encoded(parts: Iterable[bytes]) -> bytes:
    """Encoded findings of several parts as those of the whole."""
    whole = Findings()
    for part in parts:
        whole.merge(Findings.decode(part))
    return whole.encode()


def _tallies(content: dict[str, Any]) -> dict[str, Tally]:
    return {
        kind: Tally(tally["count"], [Case(**case) for case in tally["examples"]])
        for kind, tally in content.items()
    }
