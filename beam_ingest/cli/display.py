"""What people see: progress while a job runs, status lines, and the summary."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext, suppress
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from beam_ingest.errors import StoreError
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.stages import progress
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.stores import Store

_SECONDS_OF_BARS, _SECONDS_OF_LINES = 0.5, 2.0
_STORES = logging.getLogger("beam_ingest.stores")
"""What is said here is for people: what a store waits for."""


def make_bars(console: Console) -> Progress:
    """Bars of layers, with the time that they will still take; none where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
        disable=not console.is_terminal,
        redirect_stderr=False,  # others have a log
    )


class _Rate(ProgressColumn):
    """Chunks a second."""

    def render(self, task: Task) -> Text:
        """The rate of a bar, empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


class ProgressDisplay:
    """One bar per layer with the time it will still take; on no terminal, a line per finished layer.

    Args:
      store: the graph's store, which the numbers come from.
      job: the job.
    """

    def __init__(self, store: Store, job: StageJob) -> None:
        self._store = store
        self._grid = job.grid
        self._console = Console(file=sys.stderr)
        self._handler = logging.StreamHandler(self._console.file)
        self._step = job.step
        self._layers = list(range(job.bottom, (job.top or job.grid.root_layer) + 1))
        self._built: list[LayerStatus] = []
        self._progress = make_bars(self._console)
        self._bars = {
            layer: self._progress.add_task(job.step(layer), total=job.grid.chunk_count(layer), start=False)
            for layer in self._layers
        }

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        _STORES.addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StoreError) if kind else nullcontext():
            self.update()  # after a failure, too: it shows how far it came
        self._progress.stop()
        _STORES.removeHandler(self._handler)

    @property
    def interval(self) -> float:
        """Seconds after which it is worth an update: reading the store takes time from the job."""
        return _SECONDS_OF_BARS if self._console.is_terminal else _SECONDS_OF_LINES

    def layers(self) -> list[LayerStatus]:
        """Every layer: those that are built as they were when that was seen, the others read now."""
        found = self._built + [self._read(layer) for layer in self._layers]
        return sorted(found, key=lambda status: status.layer)

    def update(self) -> None:
        """Show how far the job is: how far the layer is that is being built, since those below are done."""
        for layer in list(self._layers):
            bar, status = self._bars[layer], self._read(layer)
            # A layer's clock starts when the layer below is done, or its rate would count the wait.
            if not self._progress.tasks[bar].started:
                self._progress.start_task(bar)
            self._progress.update(bar, completed=status.done)
            if status.done < status.total:
                if layer < ATOMIC_LAYER:
                    continue  # chunks that fail do not keep others from the next step
                return
            self._layers.remove(layer)
            self._built.append(status)
            if not self._console.is_terminal:
                print(f"{self._step(status.layer)} is built", file=self._console.file, flush=True)

    def _read(self, layer: int) -> LayerStatus:
        return progress.read_layer(self._store, self._grid, layer)
