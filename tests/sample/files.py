"""Read a sample dataset the slow way: pure Python over what the codecs give."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from cloudvolume import CloudVolume

from beam_ingest.inputs.agglomeration import edge_dtype
from beam_ingest.inputs.components import decode_components
from beam_ingest.inputs.edges import ChunkEdges, decode_chunk_edges
from beam_ingest.inputs.shards import decode_shard

Coords: TypeAlias = tuple[int, int, int]
Pair: TypeAlias = tuple[int, int]
Rows: TypeAlias = dict[Pair, tuple[float, int]]
"""(affinity, area) of pairs of supervoxels."""

RESOLUTION = (8, 8, 32)
SEGMENT_BITS, SPATIAL_BITS = 26, 10


class RawRecord(NamedTuple):
    """One edge record, or one joined pair (without affinities and areas), and where it was found."""

    file: Coords
    chunks: tuple[Coords, ...]
    pair: Pair
    affinities: tuple[float, ...]
    areas: tuple[int, ...]


def chunk_of(node_id: int) -> Coords:
    """Chunk coordinates of a supervoxel or of a chunk of layer 1."""
    at = node_id >> SEGMENT_BITS
    mask = (1 << SPATIAL_BITS) - 1
    return (at >> 2 * SPATIAL_BITS & mask, at >> SPATIAL_BITS & mask, at & mask)


def chunks_of(counts: Coords) -> Iterator[Coords]:
    return itertools.product(*map(range, counts))  # type: ignore[return-value]


def neighbours(coords: Coords) -> list[Coords]:
    x, y, z = coords
    return [(x - 1, y, z), (x + 1, y, z), (x, y - 1, z), (x, y + 1, z), (x, y, z - 1), (x, y, z + 1)]


def voxels(folder: Path) -> npt.NDArray[np.uint64]:
    """The whole watershed volume."""
    return np.asarray(CloudVolume(f"file://{folder}/ws", progress=False)[:, :, :])[..., 0]


def contacts(volume: npt.NDArray[np.uint64]) -> dict[Pair, list[int]]:
    """Touching voxel faces along x, y and z of every pair of labels that touch, the lower one first."""
    found: dict[Pair, list[int]] = defaultdict(lambda: [0, 0, 0])
    for axis in range(3):
        lower, upper = np.delete(volume, -1, axis).ravel(), np.delete(volume, 0, axis).ravel()
        for (a, b), count in Counter(zip(lower.tolist(), upper.tolist(), strict=True)).items():
            if a != b and a and b:
                found[min(a, b), max(a, b)][axis] += count
    return dict(found)


def edges(folder: Path) -> dict[Coords, ChunkEdges]:
    """The edges files."""
    return {
        _coords(file, r"edges_(\d+)_(\d+)_(\d+)\.proto\.zst"): decode_chunk_edges(
            file.read_bytes(), str(file), ""
        )
        for file in (folder / "edges").iterdir()
    }


def rows(chunk: ChunkEdges, group: str) -> Rows:
    """The edges of one group; each pair once."""
    columns = getattr(chunk, group)
    pairs = list(zip(columns.node_ids1.tolist(), columns.node_ids2.tolist(), strict=True))
    values = list(zip(columns.affinities.tolist(), columns.areas.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == len(values)
    return dict(zip(pairs, values, strict=True))


def components(folder: Path) -> dict[Coords, dict[int, int]]:
    """The components files: component number of each supervoxel in them."""
    files = (folder / "components").iterdir()
    mappings = {
        _coords(file, r"components_(\d+)_(\d+)_(\d+)\.proto"): decode_components(
            file.read_bytes(), str(file), ""
        )
        for file in files
    }
    return {
        coords: dict(zip(m.ids.tolist(), m.components.tolist(), strict=True))
        for coords, m in mappings.items()
    }


def raw_edges(folder: Path, kind: str, data_version: int) -> list[RawRecord]:
    """Records of all files of a kind, whatever their names."""
    dtype = edge_dtype(data_version)
    axes = [""] if data_version == 2 else ["_x", "_y", "_z"]
    found = []
    for file in sorted((folder / "agg/chunked_rg").glob(f"{kind}_*")):
        at = _coords(file, rf"{kind}_0_(\d+)_(\d+)_(\d+)\.data")
        ids_per_record = 1 if kind == "in_chunk" else 2
        for ids, payload in decode_shard(file.read_bytes(), ids_per_record, dtype.itemsize, str(file)):
            records = np.frombuffer(payload, dtype)
            for record in records:
                affinities = tuple(float(record[f"aff{axis}"]) for axis in axes)
                areas = tuple(int(record[f"area{axis}"]) for axis in axes)
                pair = (int(record["sv1"]), int(record["sv2"]))
                found.append(RawRecord(at, tuple(map(chunk_of, ids)), pair, affinities, areas))
    return found


def raw_pairs(folder: Path) -> dict[int, list[RawRecord]]:
    """Joined pairs by mip; `file` are the coordinates of the block of chunks."""
    found = defaultdict(list)
    for file in sorted((folder / "agg/remap").iterdir()):
        match = re.fullmatch(r"done_(\d+)_(\d+)_(\d+)_(\d+)\.data", file.name)
        assert match is not None
        mip, x, y, z = map(int, match.groups())
        for ids, payload in decode_shard(file.read_bytes(), 1, 16, str(file)):
            for a, b in np.frombuffer(payload, "<u8").reshape(-1, 2).tolist():
                found[mip].append(RawRecord((x, y, z), (chunk_of(ids[0]),), (a, b), (), ()))
    return dict(found)


def assemble(records: Iterable[RawRecord], chunk: Coords, data_version: int) -> Rows:
    """What a chunk's edges of one kind are: records of one pair summed, axes weighted, own id first."""
    weights = (1,) if data_version == 2 else RESOLUTION
    sums: dict[Pair, tuple[float, int]] = {}
    for record in records:
        if chunk not in record.chunks:
            continue
        pair = record.pair if record.chunks[0] == chunk else record.pair[::-1]
        affinity, area = sums.get(pair, (0.0, 0))
        affinity += sum(w * a for w, a in zip(weights, record.affinities, strict=True))
        area += sum(w * a for w, a in zip(weights, record.areas, strict=True))
        sums[pair] = (affinity, area)
    return sums


def groups(pairs: Iterable[Pair]) -> list[set[int]]:
    """Connected components, by union-find."""
    parent: dict[int, int] = {}

    def top(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for a, b in pairs:
        parent[top(a)] = top(b)
    found: dict[int, set[int]] = defaultdict(set)
    for node in list(parent):
        found[top(node)].add(node)
    return list(found.values())


def digests(folder: Path) -> dict[str, bytes]:
    """Content of every file by its path."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def _coords(file: Path, pattern: str) -> Coords:
    match = re.fullmatch(pattern, file.name)
    assert match is not None, file
    x, y, z = map(int, match.groups())
    return (x, y, z)
