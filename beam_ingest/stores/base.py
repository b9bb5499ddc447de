"""What every store does. Stores know cells and row keys, and nothing of layers or chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from beam_ingest.format.table import Cells, ColumnName

if TYPE_CHECKING:
    from typing_extensions import Self


class Cell(NamedTuple):
    """The newest version of a cell."""

    value: bytes
    timestamp: int
    """Microseconds since 1970, a whole number of milliseconds."""


StoredCell: TypeAlias = tuple[bytes, str, bytes, int, bytes]
"""Row key, family, qualifier, timestamp and value of one version of a cell."""

Row: TypeAlias = Mapping[ColumnName, Cell]


@dataclass
class WriteReport:
    """What it took to write cells; stores without a network have nothing to say.

    Attributes:
      requests: requests sent.
      latencies_ms: how long each took.
      retries: entries sent again, by the name of the cause.
      throttled_ms: time spent waiting because the server asked for it.
    """

    requests: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    throttled_ms: float = 0.0


class Store(ABC):
    """One graph's table.

    Methods raise `beam_ingest.errors.StoreError` when the store cannot be opened, read or written.
    """

    shared = False
    """Whether others may be using the table: it is not removed without asking."""

    def __enter__(self) -> Self:
        """The store itself, for ``with``: at the end it is closed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the table is, for messages."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether the table is there."""

    @abstractmethod
    def create(self, splits: Sequence[bytes] = ()) -> None:
        """Make the table, empty. It must not exist.

        Args:
          splits: row keys at which a store of many servers may divide it from the start.
        """

    @property
    @abstractmethod
    def removal_command(self) -> str:
        """What people type to remove the table themselves."""

    @abstractmethod
    def check_removable(self) -> None:
        """Raise when the table is protected, or when things that no graph has would go with it."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the table and all it holds, if it is there; raises as `check_removable` does."""

    @abstractmethod
    def write(self, cells: Cells, timestamp: int) -> WriteReport:
        """Write cells under one timestamp (microseconds) and return when they are there for good.

        Writing the same cells again changes nothing.
        """

    @abstractmethod
    def read_rows(
        self, keys: Sequence[bytes], columns: Sequence[ColumnName] | None = None
    ) -> dict[bytes, Row]:
        """The rows of `keys` that are there, with all columns or with some of `columns`."""

    @abstractmethod
    def existing(self, keys: Sequence[bytes]) -> set[bytes]:
        """Those of `keys` that have a row; no values are read."""

    @abstractmethod
    def keys(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Keys of the rows with start <= key < end, ascending; no values are read."""

    @abstractmethod
    def read_range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        """Rows with start <= key < end, in order of their keys."""

    @abstractmethod
    def read_values(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
        """Keys of the rows with start <= key < end, in order, and the newest value of each of their cells.

        Without names of columns, in their order: cheap where there are millions of small cells.
        """

    @abstractmethod
    def scan(self, start: bytes, end: bytes) -> Iterator[StoredCell]:
        """Every version of every cell with start <= key < end, in order of the keys.

        An `end` of b"" is the end of the table.
        """

    @abstractmethod
    def delete_rows(self, keys: Iterable[bytes]) -> None:
        """Remove whole rows."""

    @abstractmethod
    def delete_range(self, start: bytes, end: bytes) -> None:
        """Remove all rows with start <= key < end."""

    @abstractmethod
    def finish(self) -> None:
        """Tidy up, once, after the last write of a job."""

    @abstractmethod
    def close(self) -> None:
        """Release connections; the store opens again when it is used again."""

    def give_up(self) -> None:  # noqa: B027 - most stores do not try again for long
        """Let a write under way in another thread end soon, with an error. Lasts until `close`."""
