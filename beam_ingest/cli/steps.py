"""Progress of `check` and `verify`, as far as the chunks of each layer are done."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console

from beam_ingest.cli.display import make_bars
from beam_ingest.stages.ticks import count_done

_SECONDS_OF_LINES = 10.0


class StepsDisplay:
    """One bar per layer with the time it will still take; on no terminal, a line every ten seconds.

    Args:
      folder: URL of the report's folder, beside which chunks are noted (`beam_ingest.stages.ticks`).
      totals: chunks of each layer; None if that is not known.
    """

    def __init__(self, folder: str, totals: Mapping[int, int | None]) -> None:
        self._folder = folder
        self._totals = totals
        self._console = Console(file=sys.stderr)
        self._bars = make_bars(self._console)
        self._tasks = {
            layer: self._bars.add_task(f"layer {layer}", total=total, start=False)
            for layer, total in totals.items()
        }
        self._told = time.monotonic()

    def __enter__(self) -> StepsDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.update()  # after a failure, too: it shows how far it came
        self._bars.stop()

    def update(self) -> None:
        """Show how far each layer is."""
        line = ""
        for layer, total in self._totals.items():
            done = count_done(self._folder, layer)
            if done and not self._bars.tasks[self._tasks[layer]].started:
                self._bars.start_task(self._tasks[layer])
            self._bars.update(self._tasks[layer], completed=done)
            if done:
                line = f"layer {layer}: {done:,}{'' if total is None else f' / {total:,}'} chunks"
        if not self._console.is_terminal and time.monotonic() - self._told >= _SECONDS_OF_LINES:
            self._told = time.monotonic()
            print(line or "no chunks are done yet", file=self._console.file, flush=True)
