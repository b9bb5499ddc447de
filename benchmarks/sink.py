"""What a row costs on its way into Bigtable: our store beside the other ways there are.

    python -m benchmarks.sink [--rows N] [--rounds N] [--chunks N]

Runs against the Bigtable emulator on this machine. Every way writes the same rows, in turn, several
times; the median of each is printed, and its ratio to ours. One-cell rows are parents cells; graph
rows are the cells of a sample's layer-2 chunks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.io.gcp.bigtableio import WriteToBigTable
from google.cloud import bigtable
from google.cloud.bigtable.row import DirectRow

from beam_ingest.format import table
from beam_ingest.format.table import FAMILIES, Cells
from beam_ingest.stores.bigtable import BigtableStore
from benchmarks.datasets import FOLDER, sample
from benchmarks.floor import plain_job
from testing.columns import listed
from testing.emulator import Emulator
from testing.plain import build_all

PROJECT, INSTANCE = "benchmark", "benchmark"
TIMESTAMP = 1_000_000


def one_cell_rows(count: int) -> Cells:
    """`count` rows of one 8-byte cell."""
    ids = np.random.default_rng(0).integers(0, 2**63, count, np.uint64)
    return [table.fixed(table.PARENT, table.node_keys(ids), ids)]


def graph_rows(folder: Path, chunks: int) -> Cells:
    """The cells of layer 2 of a sample's graph."""
    built = build_all(plain_job(sample(folder.absolute(), chunks)))
    return [column for chunk in built if chunk.counts.supervoxels for column in chunk.cells]


def ours(cells: Cells, name: str) -> None:
    """The store of this program."""
    store = BigtableStore(PROJECT, INSTANCE, name)
    store.write(cells, TIMESTAMP)
    store.close()


def direct_rows(cells: Cells) -> list[DirectRow]:
    """The same cells as the client's own row objects, one per cell."""
    rows = []
    for key, family, qualifier, value in listed(cells):
        row = DirectRow(key)
        row.set_cell(family, qualifier, value, timestamp=_when())
        rows.append(row)
    return rows


def _when() -> datetime:
    return datetime.fromtimestamp(TIMESTAMP / 1e6, timezone.utc)


def batcher(cells: Cells, name: str) -> None:
    """The official client's MutationsBatcher."""
    client = bigtable.Client(project=PROJECT, admin=True)
    with client.instance(INSTANCE).table(name).mutations_batcher(flush_count=10_000) as sink:
        sink.mutate_rows(direct_rows(cells))


def write_to_bigtable(cells: Cells, name: str) -> None:
    """Apache Beam's WriteToBigTable, in its in-process runner."""
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    with beam.Pipeline(runner) as pipeline:
        (
            pipeline
            | beam.Create([None])
            | beam.FlatMap(lambda _: direct_rows(cells))
            | WriteToBigTable(project_id=PROJECT, instance_id=INSTANCE, table_id=name)
        )


def measure(way: Callable[[Cells, str], None], cells: Cells, name: str) -> tuple[float, float]:
    """CPU and wall microseconds per cell of one write into an empty table."""
    admin = bigtable.Client(project=PROJECT, admin=True).instance(INSTANCE).table(name)
    admin.create(column_families={family.name: None for family in FAMILIES})
    count = sum(column.keys.size for column in cells)
    wall, cpu = time.perf_counter(), time.process_time()
    way(cells, name)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    admin.delete()
    return 1e6 * cpu / count, 1e6 * wall / count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="one-cell rows to write")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way writes them")
    parser.add_argument(
        "--chunks", type=int, default=64, help="of the sample for graph rows: 8, 64, 512 or 4096"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the sample is kept")
    arguments = parser.parse_args()
    ways = {"beam_ingest": ours, "MutationsBatcher": batcher, "WriteToBigTable": write_to_bigtable}
    with Emulator() as emulator:
        os.environ["BIGTABLE_EMULATOR_HOST"] = emulator.address
        print(f"{'rows':<10}{'way':<20}{'CPU µs':>8}{'wall µs':>9}{'CPU ratio':>11}{'wall ratio':>12}")
        for kind, cells in {
            "one cell": one_cell_rows(arguments.rows),
            "graph": graph_rows(arguments.folder, arguments.chunks),
        }.items():
            figures: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            for turn in range(arguments.rounds):
                for number, (way, write) in enumerate(ways.items()):
                    figures[way].append(measure(write, cells, f"t{kind[:3]}_{turn}_{number}"))
            medians = {
                way: [statistics.median(f) for f in zip(*of, strict=True)] for way, of in figures.items()
            }
            for way, (cpu, wall) in medians.items():
                base_cpu, base_wall = medians["beam_ingest"]
                ratios = f"{cpu / base_cpu:>11.1f}{wall / base_wall:>12.1f}"
                print(f"{kind:<10}{way:<20}{cpu:>8.2f}{wall:>9.2f}{ratios}")


if __name__ == "__main__":
    main()
