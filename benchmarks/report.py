"""The figures of a case from its runs, and the table of all cases."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from benchmarks.cases import Case
from benchmarks.floor import Floor
from benchmarks.process import Cost


@dataclass
class Result:
    """What was measured of one case at one size.

    Attributes:
      chunks: how many.
      case: what was built and how.
      floors: of the same rounds as `costs`.
      costs: of the whole command.
      store_cpu: CPU seconds of the emulator in each round.
      status: of `beam-ingest status`, asked of the finished graph.
      staged_cpu: CPU seconds of the run with clocks.
      stages: CPU seconds of its stages.
    """

    chunks: int
    case: Case
    floors: list[Floor] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    store_cpu: list[float] = field(default_factory=list)
    status: list[Cost] = field(default_factory=list)
    staged_cpu: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """The columns of the table; docs/performance.md says what each means."""
        floors = [f.kernels + (f.store if self.case.store == "bigtable" else 0.0) for f in self.floors]
        walls = [cost.wall for cost in self.costs]
        wall = statistics.median(walls)
        ratios = [w / f for w, f in zip(walls, floors, strict=True)]
        store_cpu = statistics.median(self.store_cpu)
        busy = statistics.median(
            cost.busy - (cost.cpu + cpu) / cost.wall
            for cost, cpu in zip(self.costs, self.store_cpu, strict=True)
        )
        return {
            "chunks": self.chunks,
            "case": self.case.name,
            "seconds": wall,
            "fastest": min(walls),
            "slowest": max(walls),
            "floor": statistics.median(floors),
            "ratio": statistics.median(ratios),
            "supervoxels_per_second": self.floors[0].supervoxels / wall,
            "rows_per_second": self.floors[0].rows / wall,
            **{f"{stage}_cpu": seconds for stage, seconds in self.stages.items()},
            "beam_cpu": self.staged_cpu - sum(self.stages.values()),
            "store_cpu": store_cpu,
            "status_seconds": statistics.median(cost.wall for cost in self.status),
            "peak_bytes": max(cost.peak_bytes for cost in self.costs),
            "largest_bytes": max(cost.largest_bytes for cost in self.costs),
            "others": max(busy, 0.0),
        }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    with open("/proc/cpuinfo") as info:
        model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    libraries = ("apache-beam", "numpy", "zstandard", "grpcio", "protobuf")
    return {
        "processor": model or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
        "sqlite": sqlite3.sqlite_version,
    }


_COLUMNS = (
    ("chunks", "{chunks:,}"),
    ("input, version, store, runner", "{case}"),
    ("s", "{seconds:.2f}"),
    ("fastest", "{fastest:.2f}"),
    ("slowest", "{slowest:.2f}"),
    ("floor s", "{floor:.2f}"),
    ("x floor", "{ratio:.2f}"),
    ("supervoxels/s", "{supervoxels_per_second:,.0f}"),
    ("rows/s", "{rows_per_second:,.0f}"),
    ("start", "{start_cpu:.2f}"),
    ("read", "{read_cpu:.2f}"),
    ("kernels", "{kernels_cpu:.2f}"),
    ("Beam", "{beam_cpu:.2f}"),
    ("sink", "{sink_cpu:.2f}"),
    ("store", "{store_cpu:.2f}"),
    ("status s", "{status_seconds:.2f}"),
    ("peak MB", "{peak_mb:,.0f}"),
    ("largest MB", "{largest_mb:,.0f}"),
    ("others", "{others:.1f}"),
)


def table(figures: list[dict[str, Any]]) -> str:
    """The figures of all cases as a Markdown table."""
    rows = [[title for title, _ in _COLUMNS]]
    for case in figures:
        values = case | {f"{name}_mb": case[f"{name}_bytes"] / 1e6 for name in ("peak", "largest")}
        rows.append([form.format(**values) for _, form in _COLUMNS])
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    left = (0, 1)  # the others are numbers

    def line(row: list[str]) -> str:
        cells = [
            c.ljust(w) if at in left else c.rjust(w)
            for at, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rules = ["-" * w if at in left else "-" * (w - 1) + ":" for at, w in enumerate(widths)]
    return "\n".join([line(rows[0]), line(rules), *(line(row) for row in rows[1:])])


def record(results: list[Result], helps: list[float]) -> dict[str, Any]:
    """Everything that was measured, for programs; `helps` are seconds of ``beam-ingest --help``."""
    return {
        "machine": machine(),
        "help_seconds": statistics.median(helps),
        "results": [{"figures": result.figures(), "runs": asdict(result)} for result in results],
    }
