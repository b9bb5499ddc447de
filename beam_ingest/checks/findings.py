"""What a check found: counts of what was looked at, what is wrong, what is odd, what was not checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from beam_ingest.errors import InputError
from beam_ingest.inputs.reading import Fault, FaultKind
from beam_ingest.stages import findings
from beam_ingest.stages.findings import Tallies

if TYPE_CHECKING:
    from typing_extensions import Self

UNREADABLE = "files that cannot be read"
_PROBLEMS = {
    FaultKind.ABSENT: "absent {} files",
    FaultKind.UNREADABLE: UNREADABLE,
    FaultKind.EMPTY: "empty {} files of chunks with edges",
    FaultKind.DAMAGED: "damaged {} files",
    FaultKind.IMPOSSIBLE_IDS: "{} files with ids that cannot be",
}
"""The kind of problem that each kind of fault is counted under, with the kind of file."""
CONFIGURATION = "configuration"
"""The kind of what is wrong in the dataset file itself."""


@dataclass(frozen=True, order=True)
class Case:
    """One case of something, as one line and, of a file, in parts.

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
class Findings(findings.Findings[Case]):
    """Findings of some of the chunks and folders.

    Attributes:
      notes: what is allowed but worth knowing, by kind.
      unchecked: what was not checked, and why.
      extents: of each kind of files, how many chunks along x, y and z their names go up to.
    """

    notes: Tallies[Case] = field(default_factory=Tallies)
    unchecked: set[str] = field(default_factory=set)
    extents: dict[str, list[int]] = field(default_factory=dict)

    def problem(self, kind: str, *cases: Case, count: int = 1) -> None:
        """Something is wrong `count` times; `cases` are some of them."""
        self.problems.add(kind, count, cases, self.most)

    def fault(self, fault: Fault) -> None:
        """An input file is at fault."""
        self.problem(_PROBLEMS[fault.kind].format(fault.source), Case.of(fault.error))

    def note(self, kind: str, *cases: Case, count: int = 1) -> None:
        """Something is odd `count` times; `cases` are some of them."""
        self.notes.add(kind, count, cases, self.most)

    def reach(self, kind: str, extent: list[int]) -> None:
        """Files of `kind` go up to `extent` chunks along x, y and z."""
        before = self.extents.get(kind, [0, 0, 0])
        self.extents[kind] = [max(pair) for pair in zip(before, extent, strict=True)]

    @staticmethod
    def _show(example: Case) -> dict[str, str]:
        return asdict(example)

    @staticmethod
    def _read(content: Any) -> Case:
        return Case(**content)

    def merge(self, other: Self) -> None:
        """Add what was found elsewhere."""
        super().merge(other)
        self.notes.merge(other.notes, self.most)
        self.unchecked |= other.unchecked
        for kind, extent in other.extents.items():
            self.reach(kind, extent)

    def as_dict(self) -> dict[str, Any]:
        """What the command prints as JSON."""
        notes = self.notes.as_dict(self._show)
        return super().as_dict() | {"notes": notes, "not_checked": sorted(self.unchecked)}

    def _unprinted(self) -> dict[str, Any]:
        return {"extents": dict(sorted(self.extents.items()))}

    @classmethod
    def _others(cls, content: dict[str, Any]) -> dict[str, Any]:
        return {
            "notes": Tallies.of(content["notes"], cls._read),
            "unchecked": set(content["not_checked"]),
            "extents": content["extents"],
        }
