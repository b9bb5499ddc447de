"""Thousands of chunks of tissue-like edges and components in a second or two, to plan and to build.

Supervoxels stand on a lattice, four along each axis of a chunk. Neurites are walks that keep their
direction for a while, and take what is free; what they leave is fragments. Neighbours touch. No voxels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Coordinates, as_coordinates
from beam_ingest.inputs.components import Mapping, components_file_name, encode_components
from beam_ingest.inputs.edges import ChunkEdges, Edges, edges_file_name, encode_chunk_edges

SITES = 4
"""Supervoxels along an axis of a chunk."""
_STEPS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
_YML = """\
data_source:
  EDGES: ./edges
  COMPONENTS: ./components
  WATERSHED: ./ws
graph_config:
  CHUNK_SIZE: [16, 16, 16]
backend_client:
  TYPE: sqlite
  CONFIG:
    PATH: ./graph.sqlite
"""


def write_tissue(folder: Path, chunks: Coordinates, seed: int, half: bool = False) -> Path:
    """Write a dataset of `chunks` chunks; with `half`, tissue fills only part of the volume, roughly.

    Returns:
      The path of dataset.yml.
    """
    grid, random = ChunkGrid(chunks), np.random.default_rng(seed)
    labels = _objects(np.array(chunks) * SITES, random)
    there = _tissue(chunks, random) if half else np.ones(chunks, bool)
    for name in ("ws", "edges", "components"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset.yml").write_text(_YML)
    scale = {"size": [16 * n for n in chunks], "voxel_offset": [0, 0, 0], "resolution": [8, 8, 40]}
    scale |= {"chunk_sizes": [[16, 16, 16]], "encoding": "raw", "key": "8_8_40"}
    info = {"data_type": "uint64", "num_channels": 1, "scales": [scale], "type": "segmentation"}
    (folder / "ws" / "info").write_text(json.dumps(info))
    ids = _ids(grid, labels.shape)
    left, right, crossing, cut = _contacts(labels, there, random)
    _write_chunks(folder, grid, there, ids.ravel(), labels.ravel(), (left, right, crossing, cut))
    return folder / "dataset.yml"


def _objects(shape: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """The object of each supervoxel, shape as asked for."""
    labels = np.zeros(shape, np.int64)
    count = int(shape.prod()) // 150
    at = random.integers(0, shape, (count, 3))
    way = random.integers(0, 6, count)
    for _ in range(90):
        turns = random.random(count) < 0.2
        way[turns] = random.integers(0, 6, int(turns.sum()))
        to = at + _STEPS[way]
        inside = ((to >= 0) & (to < shape)).all(axis=1)
        to[~inside] = at[~inside]
        free = labels[tuple(to.T)] == 0
        _, first = np.unique(np.ravel_multi_index(tuple(to.T), labels.shape), return_index=True)
        wins = np.zeros(count, bool)
        wins[first] = True
        moves = wins & free
        at[moves] = to[moves]
        labels[tuple(at[moves].T)] = np.flatnonzero(moves) + 1
        way[~moves] = random.integers(0, 6, int((~moves).sum()))
    rest = np.flatnonzero(labels.ravel() == 0)
    # Fragments: what was left goes to the neighbour before it now and then, or stays alone.
    flat = labels.ravel()
    flat[rest] = count + 1 + np.arange(rest.size)
    joins = rest[(random.random(rest.size) < 0.6) & (rest > 0)]
    flat[joins] = flat[joins - 1]
    return labels


def _tissue(chunks: Coordinates, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """About half of the chunks: a blob off the centre, and a few chunks of it missing."""
    axes = [(np.arange(n) + 0.5) / n for n in chunks]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    centre = random.uniform(0.35, 0.6, 3)
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + 0.7 * (z - centre[2]) ** 2 < 0.24
    there: npt.NDArray[np.bool_] = inside & (random.random(chunks) > 0.05)
    return there


def _ids(grid: ChunkGrid, shape: tuple[int, ...]) -> Ids:
    places = np.stack(np.indices(shape), axis=-1)
    within = places % SITES
    segment = 1 + (within[..., 0] * SITES + within[..., 1]) * SITES + within[..., 2]
    chunk = grid.chunk_ids(SUPERVOXEL_LAYER, (places // SITES).reshape(-1, 3)).reshape(shape)
    ids: Ids = chunk + segment.astype(np.uint64)
    return ids


def _contacts(
    labels: npt.NDArray[np.int64], there: npt.NDArray[np.bool_], random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], ...]:
    """Flat places of both ends of each contact, whether it crosses a chunk face, whether it was cut there."""
    flat = np.arange(labels.size).reshape(labels.shape)
    full = there.repeat(SITES, 0).repeat(SITES, 1).repeat(SITES, 2)
    parts = []
    for axis in range(3):
        left, right = np.moveaxis(flat, axis, 0)[:-1], np.moveaxis(flat, axis, 0)[1:]
        crosses = np.zeros(left.shape, bool)
        crosses[SITES - 1 :: SITES] = True
        own, other = left.ravel(), right.ravel()
        same = labels.ravel()[own] == labels.ravel()[other]
        cut = crosses.ravel() & same & (random.random(own.size) < 0.3)
        kept = (same | (random.random(own.size) < 0.7)) & full.ravel()[own] & full.ravel()[other]
        parts.append(np.stack([own, other, crosses.ravel(), cut])[:, kept])
    left, right, crosses, cut = np.concatenate(parts, axis=1)
    return left, right, crosses, cut


def _write_chunks(
    folder: Path,
    grid: ChunkGrid,
    there: npt.NDArray[np.bool_],
    ids: Ids,
    labels: npt.NDArray[np.int64],
    contacts: tuple[npt.NDArray[np.int64], ...],
) -> None:
    left, right, crosses, cut = contacts
    # Edges that leave a chunk stand in the files of both.
    back = np.flatnonzero(crosses)
    own, other = np.concatenate([left, right[back]]), np.concatenate([right, left[back]])
    kind = np.where(cut, 2, crosses)
    kind = np.concatenate([kind, kind[back]])
    chunk = np.ravel_multi_index(tuple(grid.coords(ids[own], SUPERVOXEL_LAYER).T), grid.chunks)
    order = np.lexsort((kind, chunk))
    own, other, kind, chunk = own[order], other[order], kind[order], chunk[order]
    for coords in as_coordinates(np.argwhere(there)):
        number = int(np.ravel_multi_index(coords, grid.chunks))
        part = slice(np.searchsorted(chunk, number), np.searchsorted(chunk, number, "right"))
        some, others, kinds = own[part], other[part], kind[part]
        groups = [_edges(ids[some[kinds == k]], ids[others[kinds == k]], k == 2) for k in (0, 1, 2)]
        edges = ChunkEdges(in_chunk=groups[0], between_chunk=groups[1], cross_chunk=groups[2])
        (folder / "edges" / edges_file_name(coords)).write_bytes(encode_chunk_edges(edges))
        ends = np.unique(np.concatenate([some, others]))
        order = np.argsort(ids[ends])
        mapping = Mapping(ids[ends][order], labels[ends][order])
        (folder / "components" / components_file_name(coords)).write_bytes(encode_components(mapping))


def _edges(own: Ids, other: Ids, cut: bool) -> Edges:
    affinities = np.full(own.size, np.inf if cut else 0.5, np.float32)
    return Edges(own, other, affinities, np.full(own.size, 20, np.uint64))
