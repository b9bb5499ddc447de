"""Verifying the meshes of a graph: there for every node, decodable, in their chunks, and closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import apache_beam as beam
import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, chunk_name
from beam_ingest.meshes.build import MESHES, READ_BYTES, ChunkMeshes, initial_folder
from beam_ingest.meshes.closed import on_a_plane, open_edges
from beam_ingest.meshes.job import MeshJob
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.quantisation import Points
from beam_ingest.meshes.shards import Location, ShardError
from beam_ingest.meshes.surface import Mesh, MeshError, decode
from beam_ingest.meshes.tree import nodes_of_several, parts_of
from beam_ingest.reader import GraphReader
from beam_ingest.stages import findings
from beam_ingest.stages.coding import decode_key, encode_key
from beam_ingest.stages.planning import Plan
from beam_ingest.stages.report import WriteReport
from beam_ingest.stages.ticks import add_done
from beam_ingest.stores import Store, open_store

if TYPE_CHECKING:
    from typing_extensions import Self

_NODES_AT_ONCE = 1000
_Box = list[list[float]]


@dataclass(eq=False)
class MeshFindings(findings.Findings[str]):
    """What is wrong with meshes, and what there is of them.

    Attributes:
      bounds: by layer, the lowest and the highest corner of all meshes, in nanometres.
    """

    problems_key: ClassVar[str] = "differences"
    most: ClassVar[int] = 10

    bounds: dict[int, _Box] = field(default_factory=dict)

    def note(self, kind: str, line: str) -> None:
        """Note one problem."""
        self.problems.add(kind, 1, [line], self.most)

    def extend(self, layer: int, low: list[float], high: list[float]) -> None:
        """Let the bounds of a layer hold a box."""
        was = self.bounds.get(layer, [low, high])
        self.bounds[layer] = [
            [min(pair) for pair in zip(was[0], low, strict=True)],
            [max(pair) for pair in zip(was[1], high, strict=True)],
        ]

    def merge(self, other: Self) -> None:
        """Add what was found elsewhere."""
        super().merge(other)
        for layer, (low, high) in other.bounds.items():
            self.extend(layer, low, high)

    def as_dict(self) -> dict[str, Any]:
        """What commands print as JSON."""
        bounds = {str(layer): box for layer, box in sorted(self.bounds.items())}
        return {**super().as_dict(), "bounds_nm": bounds}

    @classmethod
    def _others(cls, content: dict[str, Any]) -> dict[str, Any]:
        return {"bounds": {int(layer): box for layer, box in content["bounds_nm"].items()}}


class VerifyMeshes(beam.PTransform):  # type: ignore[misc]
    """Verify every mesh of a graph; the findings go to a report's folder.

    Args:
      job: the finished job that made them.
      report: URL of the folder.
    """

    def __init__(self, job: MeshJob, report: str) -> None:
        super().__init__()
        self._job = job
        self._report = report

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the transform to a pipeline; gives nothing of use."""
        keys = partial(_chunk_keys, self._job)
        chunks = begin | "Plan" >> Plan(sum(layer_totals(self._job).values()), keys, bytes)
        verify = beam.ParDo(_VerifyChunk(self._job, self._report)).with_output_types(bytes)
        return (chunks | "Verify" >> verify,) | "Report" >> WriteReport(MeshFindings, self._report)


def layer_totals(job: MeshJob) -> dict[int, int]:
    """How many chunks of each layer are verified."""
    return {layer: job.written(layer) for layer in range(ATOMIC_LAYER, job.last + 1)}


def _chunk_keys(job: MeshJob, first: int, end: int) -> Iterator[bytes]:
    """Chunks of all layers, numbered from layer 2 up."""
    begin = 0
    for layer, total in layer_totals(job).items():
        numbers = np.arange(max(first, begin), min(end, begin + total)) - begin
        begin += total
        if layer == ATOMIC_LAYER:
            coords = job.scope.written_chunks(numbers)
        elif job.test:
            yield from [encode_key(job.scope.last_chunk)] * numbers.size
            continue
        else:
            coords = np.stack(np.unravel_index(numbers, job.grid.bounds(layer)), axis=1)
        yield from map(encode_key, job.grid.chunk_ids(layer, coords).tolist())


class _VerifyChunk(beam.DoFn):  # type: ignore[misc]
    """Verifies the meshes of one chunk."""

    def __init__(self, job: MeshJob, report: str) -> None:
        self._job = job
        self._report = report
        self._store: Store
        self._graph: Store

    def setup(self) -> None:
        self._store = self._job.open_store()
        self._graph = open_store(self._job.graph_store)

    def teardown(self) -> None:
        self._store.close()
        self._graph.close()

    def process(self, key: bytes) -> Iterator[bytes]:
        found = MeshFindings()
        chunk = decode_key(key)
        verify_chunk(self._job, self._store, self._graph, chunk, found)
        add_done(self._report, self._job.grid.layer_of(chunk))
        yield found.encode()


def verify_chunk(job: MeshJob, store: Store, graph: Store, chunk: int, found: MeshFindings) -> None:
    """Verify the meshes of one chunk.

    Args:
      job: the finished job that made them.
      store: its table.
      graph: the graph's table.
      chunk: the chunk's id.
      found: takes what is found.

    Raises:
      StoreError: when a table cannot be read.
      FileError: when a shard file cannot be read for a reason that may pass.
    """
    reader = GraphReader(graph, job.grid)
    url = initial_folder(job.dataset.watershed, job.config)
    meshes = MeshReader(url, job.grid, job.config.minishard_bits)
    layer, coords = job.grid.layer_of(chunk), job.grid.chunk_coords(chunk)
    found.counts["chunks"] += 1
    try:
        nodes, places = meshes.contents(chunk)
        if layer == ATOMIC_LAYER:
            expected = np.concatenate([np.empty(0, np.uint64), *reader.nodes(layer, coords)])
        else:
            expected = nodes_of_several(reader, layer, coords)
        _compare(job, reader, meshes, found, expected, nodes)
        counted = _decode_all(job, meshes, found, chunk, nodes, places)
    except ShardError as error:
        found.note(
            "shard files that are absent or damaged", f"layer {layer} chunk {chunk_name(coords)}: {error}"
        )
        return
    _compare_row(job, store, found, chunk, counted)


def _compare(
    job: MeshJob, reader: GraphReader, meshes: MeshReader, found: MeshFindings, expected: Ids, nodes: Ids
) -> None:
    """Every node that should have a mesh against those that have one."""
    for node in np.setdiff1d(nodes, expected).tolist():
        found.note("meshes of no node that should have one", f"node {node}")
    lacking = np.setdiff1d(expected, nodes)
    layers = job.grid.layers(lacking)
    found.counts["nodes"] += expected.size
    found.counts["nodes without a surface"] += lacking.size
    above = lacking[layers > ATOMIC_LAYER]
    for first in range(0, above.size, _NODES_AT_ONCE):
        some = above[first : first + _NODES_AT_ONCE]
        for node, parts in zip(some.tolist(), parts_of(reader, some), strict=True):
            if any(place is not None for place in meshes.locate(parts)):
                found.note("nodes without a mesh whose parts have one", f"node {node}")


def _decode_all(
    job: MeshJob, meshes: MeshReader, found: MeshFindings, chunk: int, nodes: Ids, places: list[Location]
) -> ChunkMeshes:
    """Decode every mesh of a chunk's shard, a few at a time; gives what there is of them."""
    vertices = faces = checksum = 0
    order = sorted(range(nodes.size), key=lambda at: places[at].begin)
    while order:
        some: list[int] = []
        size = 0
        while order and (not some or size + places[order[0]].size <= READ_BYTES):
            some.append(order.pop(0))
            size += places[some[-1]].size
        for at, data in zip(some, meshes.read([places[at] for at in some]), strict=True):
            checksum = crc32(data, checksum)
            node = int(nodes[at])
            try:
                mesh = decode(data)
            except MeshError as error:
                found.note("meshes that cannot be decoded", f"node {node}: {error}")
                continue
            vertices += len(mesh.vertices)
            faces += len(mesh.faces)
            _look_at(job, found, chunk, node, mesh)
    return ChunkMeshes(meshes=nodes.size, vertices=vertices, faces=faces, checksum=checksum)


def _look_at(job: MeshJob, found: MeshFindings, chunk: int, node: int, mesh: Mesh) -> None:
    """Where a mesh is, and where it is open."""
    space, layer, coords = job.space, job.grid.layer_of(chunk), job.grid.chunk_coords(chunk)
    voxel: Points = np.array(space.resolution)
    low: Points = np.array(space.origin(layer, coords))
    end = (np.array(space.offset) + job.size - 1) * voxel
    high: Points = np.minimum(low + np.array(space.extent(layer)), end)
    found.counts[f"layer {layer} meshes"] += 1
    found.counts[f"layer {layer} vertices"] += len(mesh.vertices)
    found.counts[f"layer {layer} faces"] += len(mesh.faces)
    first, last = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    found.extend(layer, first.tolist(), last.tolist())
    if (first < low - voxel).any() or (last > high + voxel).any():
        box = f"from {low.tolist()} to {high.tolist()} nm"
        found.note(
            "meshes outside their chunk", f"node {node}: from {first.tolist()} to {last.tolist()}, not {box}"
        )
    ends = open_edges(mesh)
    faces = [np.array([a, b]) for a, b in zip(low, high, strict=True)]
    inner = ~on_a_plane(*ends, faces, voxel)
    if not inner.any():
        return
    block = np.array(space.extent(ATOMIC_LAYER))
    between = [np.arange(a + step, b, step) for a, b, step in zip(low, high, block, strict=True)]
    ends = ends[0][inner], ends[1][inner]
    torn = ~on_a_plane(*ends, between, voxel)
    if torn.any():
        at = ends[0][torn][0].tolist()
        found.note(
            "meshes that are open within their chunk",
            f"node {node}: {int(torn.sum())} edges, such as at {at}",
        )
    else:
        found.counts["meshes open between chunks"] += 1


def _compare_row(job: MeshJob, store: Store, found: MeshFindings, chunk: int, counted: ChunkMeshes) -> None:
    """What the table says of a chunk against what its file holds."""
    key = table.node_key(chunk)
    row = store.read_rows([key]).get(key, {})
    if MESHES not in row:
        raise StoreError(f"{store.place}: row {key.decode()}: expected the counts of a chunk, found none")
    said = ChunkMeshes.decode(row[MESHES].value)
    for name in ("meshes", "checksum"):
        if getattr(said, name) != getattr(counted, name):
            at = f"layer {job.grid.layer_of(chunk)} chunk {chunk_name(job.grid.chunk_coords(chunk))}"
            line = f"{at}: {name} {getattr(counted, name)}, where {getattr(said, name)} was written"
            found.note("shard files that were changed", line)
