"""What one chunk costs ``l2cache``, beside one Python loop a node and beside edt and reading alone.

    python -m benchmarks.l2cache [--shape X Y Z] [--rounds N]

All three work on the same chunk in this process, one after another in each round; what counts is the best
round's CPU time. The chunk is one of the sample's; its nodes are the parts of objects in it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import edt
import fastremap
import numpy as np

from beam_ingest.arrays import components
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.l2cache.attributes import PCA_NM3, PCA_POINTS, node_attributes
from beam_ingest.l2cache.numbering import number_nodes
from beam_ingest.sample import SampleSpec
from beam_ingest.sample.spec import RESOLUTION
from beam_ingest.sample.supervoxels import label_chunk, same_object, touching_inside

LEAST_TIMES_FASTER = 5
"""Nodes a second, against the loop."""
MOST_TIMES_SLOWER = 2
"""CPU time, against edt and reading."""


def make(folder: Path, shape: tuple[int, int, int]) -> tuple[str, np.ndarray, np.ndarray]:
    """A volume of one chunk; gives its URL, the supervoxels, ascending, and the node of each."""
    from cloudvolume import CloudVolume

    labels, found = label_chunk(SampleSpec((2, 2, 2), shape), (1, 1, 1))
    touching = touching_inside(labels)
    joined = same_object(touching, found, found)
    nodes = components(len(found), touching.first[joined], touching.second[joined])
    info = CloudVolume.create_new_info(
        num_channels=1,
        layer_type="segmentation",
        data_type="uint64",
        encoding="compressed_segmentation",
        resolution=RESOLUTION,
        voxel_offset=(0, 0, 0),
        volume_size=shape,
        chunk_size=[min(n, 128) for n in shape],
    )
    volume = CloudVolume(folder.as_uri(), info=info, progress=False)
    volume.commit_info()
    volume[:] = np.append(np.uint64(0), found.ids)[labels][..., None]
    return folder.as_uri(), found.ids, nodes.astype(np.uint64) + np.uint64(1)


def one_by_one(ids: np.ndarray, supervoxels: np.ndarray, nodes: np.ndarray) -> int:
    """The same attributes as PCGL2Cache computes them: a Python loop over the nodes of the chunk."""
    resolution = np.array(RESOLUTION, float)
    names = dict(zip(supervoxels.tolist(), nodes.tolist(), strict=True))
    volume = fastremap.remap(ids, names | {0: 0}).astype(np.uint32)
    distance = edt.edt(volume, anisotropy=RESOLUTION, black_border=False, parallel=1)
    places = np.arange(volume.size, dtype=np.uint64)
    packed = (distance.astype(np.uint64).flatten() << np.uint64(32)) + places
    voxels_of = fastremap.inverse_component_map(volume.flatten(), packed)
    areas: Counter[int] = Counter()
    for axis in range(3):
        lower, upper = (np.moveaxis(volume, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        apart = lower != upper
        sides, counts = fastremap.unique(np.concatenate([lower[apart], upper[apart]]), return_counts=True)
        areas.update(dict(zip(sides.tolist(), counts * resolution.prod() / resolution[axis], strict=True)))
    rng = np.random.default_rng(0)
    rows = []
    for node in voxels_of.keys() - {0}:
        both = np.array(voxels_of[node], np.uint64)
        depths, at = both >> np.uint64(32), both.astype(np.uint32)
        coords = np.array(np.unravel_index(at, volume.shape)).T
        away = np.linalg.norm((coords - coords.mean(axis=0)) * resolution, axis=1)
        with np.errstate(invalid="ignore"):
            point = coords[np.argmax(depths * (1 - away / away.max()))]
        faces = [(coords == 0).sum(axis=0), (coords + 1 == volume.shape).sum(axis=0)]
        axes = None
        if len(coords) * resolution.prod() >= PCA_NM3:
            points = coords
            if len(coords) > PCA_POINTS:
                some = rng.choice(at, PCA_POINTS, replace=False)
                points = np.array(np.unravel_index(some, volume.shape)).T
            nm = points * resolution
            axes = np.linalg.svd(nm - nm.mean(axis=0), full_matrices=False)[1:]
        rows.append((node, len(at), areas[node], depths.max(), depths.mean(), point, faces, axes))
    return len(rows)


def all_at_once(ids: np.ndarray, supervoxels: np.ndarray, nodes: np.ndarray) -> int:
    """What the stage computes."""
    numbered = number_nodes(ids, supervoxels, nodes)
    found = node_attributes(numbered.numbers, int(numbered.nodes.size), tuple(map(float, RESOLUTION)))
    return len(found.voxels)


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 64), metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    best: dict[str, float] = {}

    def clocked(name: str, call: Callable[[], Any]) -> Any:
        begun = time.process_time()
        found = call()
        best[name] = min(best.get(name, float("inf")), time.process_time() - begun)
        return found

    shape = tuple(arguments.shape)
    with tempfile.TemporaryDirectory() as folder:
        url, supervoxels, nodes = make(Path(folder) / "ws", shape)
        watershed = WatershedVoxels(url)
        numbers = number_nodes(watershed.read((0, 0, 0), (0, 0, 0), shape).ids, supervoxels, nodes).numbers
        for _ in range(arguments.rounds):
            ids = clocked("read", partial(watershed.read, (0, 0, 0), (0, 0, 0), shape)).ids
            clocked("edt", partial(edt.edt, numbers, anisotropy=RESOLUTION, black_border=False, parallel=1))
            count = clocked("l2cache", partial(all_at_once, ids, supervoxels, nodes))
            assert count == clocked("loop", partial(one_by_one, ids, supervoxels, nodes))
        tracemalloc.start()
        all_at_once(watershed.read((0, 0, 0), (0, 0, 0), shape).ids, supervoxels, nodes)
        peak = tracemalloc.get_traced_memory()[1]
    voxels = int(np.prod(shape))
    print(f"{'x'.join(map(str, shape))} voxels, {len(supervoxels):,} supervoxels, {count:,} nodes")
    for name, seconds in best.items():
        print(f"  {name:<10}{1e9 * seconds / voxels:8.1f} ns a voxel {count / seconds:12,.0f} nodes a second")
    faster = best["loop"] / best["l2cache"]
    slower = (best["read"] + best["l2cache"]) / (best["read"] + best["edt"])
    print(f"  {'faster':<10}{faster:8.1f} times than the loop (at least {LEAST_TIMES_FASTER})")
    print(f"  {'slower':<10}{slower:8.1f} times than edt and reading (at most {MOST_TIMES_SLOWER})")
    print(f"  {'memory':<10}{peak / voxels:8.1f} bytes a voxel")


if __name__ == "__main__":
    main()
