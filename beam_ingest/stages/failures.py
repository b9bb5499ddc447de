"""Chunks that could not be built: rows ``beam_ingest/failed/%020d``, a cell for each file at fault."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass

from beam_ingest.format.grid import Coordinates
from beam_ingest.format.table import Cells, ColumnName, single
from beam_ingest.redact import redacted
from beam_ingest.stages.progress import AFTER_DIGITS, damaged_row
from beam_ingest.stores.base import Row, Store

SHOWN = 5
"""How many failures are shown where there may be millions,"""
MOST_READ = 10_000
"""and how many are read to say what they have in common: a second's work."""
_PREFIX = b"beam_ingest/failed/"
_END_OF_TIME = 1 << 32
"""Seconds since 1970 that no clock shows."""


@dataclass(frozen=True)
class Failure:
    """A file because of which a chunk could not be built.

    Attributes:
      layer: the chunk's layer.
      chunk: its coordinates, ``x_y_z``.
      file: the file at fault.
      cause: one line that says what was expected and found, and what to do.
      when: seconds since 1970.
    """

    layer: int
    chunk: str
    file: str
    cause: str
    when: float

    @classmethod
    def now(cls, layer: int, chunk: str, file: str, cause: str) -> Failure:
        """A failure of this moment."""
        return cls(layer, chunk, redacted(file), redacted(cause), round(time.time(), 3))

    def cells(self, chunk_id: int, number: int = 0) -> Cells:
        """The cell that keeps it, in the chunk's row.

        Args:
          chunk_id: the chunk.
          number: how many failures of the chunk come before it.
        """
        key = _PREFIX + b"%020d" % chunk_id
        name = ColumnName("0", b"failure_%04d_%s" % (number, self.file.rpartition("/")[2].encode()))
        return [single(name, key, json.dumps(asdict(self)).encode())]

    @classmethod
    def decode(cls, value: bytes) -> Failure:
        """The failure that a cell of `cells` keeps.

        Raises:
          ValueError: when it is none.
        """
        try:
            failure = cls(**json.loads(value))
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        kinds = {"layer": int, "chunk": str, "file": str, "cause": str, "when": float}
        if not all(type(getattr(failure, name)) is kind for name, kind in kinds.items()):
            raise ValueError("values of other types than a failure has")
        if not 0 <= failure.when < _END_OF_TIME or not re.fullmatch(r"(\d{1,10}_){2}\d{1,10}", failure.chunk):
            raise ValueError("values that no failure has")
        return failure

    @property
    def coords(self) -> Coordinates:
        """The chunk's coordinates as numbers."""
        x, y, z = map(int, self.chunk.split("_"))
        return (x, y, z)

    @property
    def kind(self) -> str:
        """The cause without what differs from chunk to chunk: names of files and numbers."""
        return re.sub(r"[\d.,]+", "#", self.cause.replace(self.file, ""))


def read_failures(store: Store, first_chunk: int = 0) -> Generator[Failure]:
    """Why chunks could not be built, in order of layer, chunk id and file.

    Args:
      store: the graph's store.
      first_chunk: the id of a chunk; those of lower ids are left out.

    Raises:
      StoreError: when a row is damaged, or cannot be read.
    """
    for key, row in store.read_range(_PREFIX + b"%020d" % first_chunk, _PREFIX + AFTER_DIGITS):
        yield from _decoded(store, key, row)


def _decoded(store: Store, key: bytes, row: Row) -> list[Failure]:
    try:
        return [Failure.decode(cell.value) for cell in row.values()]
    except ValueError:
        raise damaged_row(store, key, "failures as JSON", "something else") from None


def clear_failures(store: Store) -> None:
    """Forget the failures of an earlier attempt, if there are any: a finished graph may be read-only."""
    failed = _PREFIX + b"0", _PREFIX + AFTER_DIGITS
    if next(iter(store.keys(*failed)), None) is not None:
        store.delete_range(*failed)


@dataclass(frozen=True)
class Summary:
    """What there is to say of failures, be they millions: of the first `MOST_READ`.

    Attributes:
      chunks: chunks that failed, among those read.
      layer: the lowest layer of them, which `chunks` are of.
      above: chunks of the next layer in which files disagree, among those read.
      causes: the first few different causes.
      more: different causes besides.
      alike: whether all causes are of one kind.
      whole: whether all failures were read.
    """

    chunks: int
    layer: int
    above: int
    causes: list[str]
    more: int
    alike: bool
    whole: bool = True

    @property
    def count(self) -> str:
        """How many chunks failed, as text."""
        return f"{'' if self.whole else 'more than '}{self.chunks}"

    def lines(self, where: str, total: int, failed: int | None = None) -> list[str]:
        """The message: causes, how many chunks of `total` failed, and the commands that follow.

        Args:
          where: arguments by which commands find the table (`beam_ingest.stages.job.StageJob.where`).
          total: chunks of the layer.
          failed: how many chunks failed, if that is known from elsewhere.
        """
        lines = list(self.causes)
        if self.more or not self.whole:
            lines.append(f"... and {'' if self.whole else 'at least '}{self.more} more")
        who = "all" if self.whole else f"the first {self.chunks}"
        alike = f", {who} in the same way" if self.alike and self.chunks > 1 else ""
        listed = f"beam-ingest failures {where}"
        count = self.count if failed is None else failed
        more = f" and {self.above} at layer {self.layer + 1}" if self.above else ""
        lines.append(
            f"{count} of {total} chunks failed at layer {self.layer}{more}{alike}; `{listed}` lists them; "
            "fix the input and run the same command with --resume, without --overwrite"
        )
        return lines


def summarise(store: Store) -> Summary | None:
    """Read the first failures, keeping few of them; None if there is none."""
    chunks, layer, above, last = 0, 0, 0, (0, "")
    causes: list[str] = []
    seen: set[int] = set()
    kinds: set[str] = set()
    number, whole = 0, True
    with closing(read_failures(store)) as failures:
        for failure in failures:
            layer = layer or failure.layer
            if number == MOST_READ:
                whole = False
                break
            number += 1
            this = (failure.layer, failure.chunk)
            chunks += this != last and failure.layer == layer  # they come chunk by chunk
            above += this != last and failure.layer != layer
            last = this
            if len(kinds) < 2:
                kinds.add(failure.kind)
            mark = hash(failure.cause)
            if mark not in seen and len(causes) < SHOWN:  # two chunks may fail for one cause
                causes.append(failure.cause)
            seen.add(mark)
    if not chunks:
        return None
    return Summary(chunks, layer, above, causes, len(seen) - len(causes), len(kinds) == 1, whole)
