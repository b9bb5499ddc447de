"""The floor: what a graph costs without Beam and without a store that waits.

    python -m benchmarks.floor DATASET.yml GRAPH_VERSION [--rows]

The kernels alone build all layers in this one plain process; with --rows, the Bigtable emulator then
takes the same rows, from requests made up beforehand, as fast as it can. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import (
    BigtableTableAdminGrpcTransport,
)
from google.cloud.bigtable_v2.types import MutateRowsResponse

from beam_ingest.dataset import Dataset
from beam_ingest.format.table import FAMILIES, Cells
from beam_ingest.ingest.build import Builder
from beam_ingest.ingest.job import IngestJob, make_job
from beam_ingest.stores.mutate_rows import encode_batches, encode_head
from benchmarks.process import cpu_of_children
from testing.emulator import UNLIMITED, Emulator
from testing.plain import build_all

_TIMESTAMP = 1_700_000_000_000_000
_TABLE = "projects/benchmark/instances/benchmark/tables/floor"
_METHOD = "/google.bigtable.v2.Bigtable/MutateRows"
_FLUSH_BYTES = 8 << 20
# Measured: from 5,000 to 100,000 entries a request, and from 2 to 8 in flight, make no difference.
_ENTRIES, _BYTES, _IN_FLIGHT = 50_000, 4 << 20, 4


@dataclass(frozen=True)
class Floor:
    """What a graph costs at the least.

    Attributes:
      supervoxels: of the graph.
      rows: rows of its nodes and counters.
      cells: cells in them.
      edges: edges read at layer 2.
      read: seconds of reading files, part of `kernels`.
      kernels: seconds from the first file to the last cell.
      store: seconds in which the emulator takes the rows; 0 without --rows.
      store_cpu: CPU seconds that it spends, its start and end included.
    """

    supervoxels: int
    rows: int
    cells: int
    edges: int
    read: float
    kernels: float
    store: float
    store_cpu: float


def plain_job(dataset: Path, graph_version: int = 3) -> IngestJob:
    """The job of a dataset, to be built without a store."""
    return make_job("floor", Dataset.from_file(dataset), "sqlite:unused", graph_version=graph_version)


def measure(dataset: Path, graph_version: int, rows: bool) -> Floor:
    """Build a graph and, with `rows`, have the emulator take it."""
    job, spent = plain_job(dataset, graph_version), [0.0]
    read = Builder.read

    def timed(self: Builder, chunks: list[tuple[int, int, int]]) -> list[bytes | None]:
        begin = time.perf_counter()
        contents = read(self, chunks)
        spent[0] += time.perf_counter() - begin
        return contents

    Builder.read = timed  # type: ignore[method-assign]
    start = time.perf_counter()
    built = build_all(job)
    kernels = time.perf_counter() - start
    counts = [chunk.counts for chunk in built]
    requests = list(_requests([column for chunk in built for column in chunk.cells])) if rows else []
    store, store_cpu = _send(requests, sum(c.cells for c in counts)) if rows else (0.0, 0.0)
    return Floor(
        supervoxels=sum(c.supervoxels for c in counts),
        rows=sum(c.rows for c in counts),
        cells=sum(c.cells for c in counts),
        edges=sum(c.edges for c in counts if c.supervoxels),
        read=spent[0],
        kernels=kernels,
        store=store,
        store_cpu=store_cpu,
    )


def _requests(cells: Cells) -> Iterator[bytes]:
    head, flush, size = encode_head(_TABLE, ""), [], 0
    for column in cells:
        flush.append(column)
        size += column.nbytes
        if size >= _FLUSH_BYTES or column is cells[-1]:  # in about the order in which a pipeline sends them
            for batch in encode_batches(flush, _TIMESTAMP, _ENTRIES, _BYTES):
                yield head + batch.data()
            flush, size = [], 0


def _send(requests: list[bytes], cells: int) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the emulator, until all are answered."""
    cpu = cpu_of_children()
    with Emulator() as emulator, grpc.insecure_channel(emulator.address, options=UNLIMITED) as channel:
        admin = BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
        parent, _, name = _TABLE.rpartition("/tables/")
        families: dict[str, Any] = {family.name: {} for family in FAMILIES}
        admin.create_table(parent=parent, table_id=name, table={"column_families": families})
        call = channel.unary_stream(_METHOD)
        calls: deque[Any] = deque()
        answers: list[bytes] = []
        start = time.perf_counter()
        for request in requests:
            if len(calls) == _IN_FLIGHT:
                answers += calls.popleft()
            calls.append(call(request))
        for answer in calls:
            answers += answer
        wall = time.perf_counter() - start
    parse = MutateRowsResponse.pb(MutateRowsResponse()).FromString
    codes = [entry.status.code for data in answers for entry in parse(data).entries]
    assert len(codes) == cells, "the emulator did not answer for every cell"
    assert not any(codes), "the emulator refused some cells"
    return wall, cpu_of_children() - cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("graph_version", type=int)
    parser.add_argument("--rows", action="store_true", help="have the emulator take the rows too")
    arguments = parser.parse_args()
    print(json.dumps(asdict(measure(arguments.dataset, arguments.graph_version, arguments.rows))))


if __name__ == "__main__":
    main()
