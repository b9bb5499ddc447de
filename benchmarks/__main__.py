"""Whole builds of samples, from shell to exit, beside the least they could cost.

    python -m benchmarks [--chunks N ...] [--runs N] [--only TEXT ...] [--list]

Every round measures the floor and then each case, so that a ratio compares neighbours in time. One
more run of each case has clocks at its stages. docs/performance.md explains the table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks import process, report
from benchmarks.cases import CASES, Case, missing, runners
from benchmarks.datasets import CHUNK_SIZE, FOLDER, program, sample, warm
from benchmarks.floor import Floor
from benchmarks.process import Cost
from benchmarks.stages import read_stages
from testing.emulator import Emulator

Environment = dict[str, str]


def main() -> int:
    """Measure, print the table, and write everything to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[64, 512, 4096], help="8, 64, 512 or 4096")
    parser.add_argument("--chunk-size", type=int, default=CHUNK_SIZE, help="voxels along each axis")
    parser.add_argument("--runs", type=int, default=3, help="rounds")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="TEXT", help="cases with one of these in the name"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for datasets and figures")
    parser.add_argument("--list", action="store_true", help="list the cases")
    arguments = parser.parse_args()
    cases = [case for case in CASES if any(text in case.name for text in arguments.only)]
    if arguments.list or not cases:
        print(*(case.name for case in CASES), sep="\n")
        return 0 if arguments.list else 2
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results = []
    with runners(cases) as options:
        for case, reason in list(missing(cases, options)):
            print(f"left out: {case.name}: {reason}", file=sys.stderr)
            cases.remove(case)
        helps = [process.run([program(), "--help"], os.environ).wall for _ in range(arguments.runs)]
        for chunks in arguments.chunks:
            dataset = sample(arguments.folder.absolute(), chunks, arguments.chunk_size)
            warm(dataset)
            results += measure(chunks, cases, dataset, options, arguments.runs)
            content = report.record(results, helps)
            # After each size, since the largest takes most of an hour and may not fit the machine.
            (arguments.folder / "results.json").write_text(json.dumps(content, indent=1))
    print(", ".join(f"{name} {value}" for name, value in content["machine"].items()), end="\n\n")
    print(report.table([result["figures"] for result in content["results"]]))
    print(f"\nbeam-ingest --help: {content['help_seconds']:.2f} s")
    return 0


def measure(
    chunks: int, cases: list[Case], dataset: Path, options: dict[str, list[str]], rounds: int
) -> list[report.Result]:
    """All cases at one size."""
    results = [report.Result(chunks, case) for case in cases]
    for turn in range(rounds):
        floors: dict[int, Floor] = {}
        for result in results:
            case = result.case
            if case.version not in floors:
                say(f"{chunks} chunks, round {turn + 1}: floor of version {case.version}")
                rows = any(c.store == "bigtable" for c in cases)
                floors[case.version] = measure_floor(dataset, case.version, rows)
            say(f"{chunks} chunks, round {turn + 1}: {case.name}")
            result.floors.append(floors[case.version])
            cost, store_cpu, status = build(case, dataset, options[case.runner])
            result.costs.append(cost)
            result.store_cpu.append(store_cpu)
            result.status.append(status)
    for result in results:
        say(f"{chunks} chunks, stages: {result.case.name}")
        with tempfile.TemporaryDirectory() as folder:
            cost, _, _ = build(result.case, dataset, options[result.case.runner], stages=Path(folder))
            result.staged_cpu, result.stages = cost.cpu, read_stages(Path(folder))
    return results


def measure_floor(dataset: Path, version: int, rows: bool) -> Floor:
    """The floor, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.floor", str(dataset), str(version)]
    said = subprocess.run([*command, *(["--rows"] if rows else [])], check=True, stdout=subprocess.PIPE)
    content: dict[str, Any] = json.loads(said.stdout)
    return Floor(**content)


def build(
    case: Case, dataset: Path, options: list[str], stages: Path | None = None
) -> tuple[Cost, float, Cost]:
    """Build a graph with an empty store; with `stages`, under clocks that keep their files there.

    Returns:
      What the command cost, the CPU seconds of the emulator, its start and end included, and what
      `status` cost of the finished graph.
    """
    command = [program()] if stages is None else [sys.executable, "-m", "benchmarks.stages", str(stages)]
    bigtable = case.store == "bigtable"
    with tempfile.TemporaryDirectory() as name:
        folder, cpu = Path(name), process.cpu_of_children()
        with Emulator() if bigtable else nullcontext() as emulator:
            environment: Environment = dict(os.environ)
            if emulator is not None:
                environment["BIGTABLE_EMULATOR_HOST"] = emulator.address
            cost = process.run([*command, *case.build(dataset, folder, options)], environment)
            status = process.run([program(), *case.status(dataset, folder)], environment)
        store_cpu = process.cpu_of_children() - cpu - cost.cpu - status.cpu
        return cost, store_cpu if bigtable else 0.0, status


def say(what: str) -> None:
    """Tell whoever waits."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
