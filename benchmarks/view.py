"""What the graph server takes to answer: a root, and the leaves of the largest object in one chunk.

    python -m benchmarks.view GRAPH_ID DATASET.yml [--store PLACE] [--requests N]

Each question is asked of the tree in this process, and of a server in another one over HTTP, with other
supervoxels and chunks each time. Beside it stands the whole object: bounds must spare that.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import requests

from beam_ingest import Dataset, store_url
from beam_ingest.view.bounds import ChunkBox
from beam_ingest.view.objects import count_objects, spread_chunks
from beam_ingest.view.server import GraphServer

MOST_MILLISECONDS = {"root": 2, "leaves": 20}
"""Medians in this process."""
_SEED = 1


def main() -> int:
    """Measure and print; 1 when a median is above what is promised."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("graph_id")
    parser.add_argument("dataset")
    parser.add_argument("--store")
    parser.add_argument("--requests", type=int, default=300, help="of each kind")
    given = parser.parse_args()
    dataset = Dataset.from_file(given.dataset)
    place = store_url(dataset, given.graph_id, given.store)
    server = GraphServer(dataset, given.graph_id, place)  # its tree alone is used
    tree, grid, rng = server.tree, server.tree.grid, np.random.default_rng(_SEED)
    with tree.reader() as reader:
        chunks = spread_chunks(grid, 64)
        largest = int(count_objects(reader, spread_chunks(grid, 4096)).roots[0])
        supervoxels = np.concatenate([next(reader.nodes(1, tuple(c))) for c in chunks.tolist()])
    began = time.perf_counter()
    leaves = tree.leaves([largest])[0]
    whole = time.perf_counter() - began
    there = np.unique(grid.coords(leaves, 1), axis=0)
    asked = rng.choice(supervoxels, given.requests)
    boxes = there[rng.integers(0, len(there), given.requests)]
    print(f"largest: {leaves.size:,} supervoxels in {len(there):,} chunks, whole in {whole * 1e3:,.0f} ms")
    chunk_of = [ChunkBox(tuple(low), tuple(low + 1)) for low in boxes]
    ours = {
        "nothing": (0.0, 0.0),  # over HTTP: what that alone takes
        "root": medians(lambda at: tree.roots([asked[at]]), given.requests),
        "leaves": medians(lambda at: tree.leaves([largest], chunk_of[at]), given.requests),
    }
    theirs = over_http(given, largest, asked, boxes, server)
    for name, (median, worst) in ours.items():
        print(
            f"{name:<8} median {median:6.2f} ms, slowest of 20 {worst:6.2f} ms; over HTTP median "
            f"{theirs[name][0]:6.2f} ms, slowest of 20 {theirs[name][1]:6.2f} ms"
        )
    print(f"leaves in one chunk take {ours['leaves'][0] / whole / 1e3:.4f} of those of the whole object")
    return int(any(ours[name][0] > most for name, most in MOST_MILLISECONDS.items()))


def over_http(
    given: argparse.Namespace, largest: int, asked: np.ndarray, boxes: np.ndarray, server: GraphServer
) -> dict[str, tuple[float, float]]:
    """The same of a server in another process."""
    command = [sys.executable, "-m", "beam_ingest", "view", given.graph_id, given.dataset, "--server-only"]
    command += ["--store", given.store] if given.store else []
    size, origin = np.array(server.served.chunk_size), np.array(server.served.origin)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("graphene://")
        nodes = url.replace("/table/", "/api/v1/table/") + "/node"
        session = requests.Session()

        def leaves(at: int) -> None:
            low = boxes[at] * size + origin
            bounds = "_".join(f"{a}-{b}" for a, b in zip(low, low + size, strict=True))
            session.get(f"{nodes}/{largest}/leaves", params={"bounds": bounds}, timeout=60).raise_for_status()

        def root(at: int) -> None:
            session.get(f"{nodes}/{asked[at]}/root", timeout=60).raise_for_status()

        def nothing(at: int) -> None:
            versions = f"{url.partition('/segmentation')[0]}/segmentation/api/versions"
            session.get(versions, timeout=60).raise_for_status()

        return {
            "nothing": medians(nothing, given.requests),
            "root": medians(root, given.requests),
            "leaves": medians(leaves, given.requests),
        }
    finally:
        process.kill()
        process.wait()


def medians(ask: Callable[[int], object], count: int) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that a question takes."""
    times: Sequence[float] = [_milliseconds(ask, at) for at in range(count)]
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def _milliseconds(ask: Callable[[int], object], at: int) -> float:
    began = time.perf_counter()
    ask(at)
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    sys.exit(main())
