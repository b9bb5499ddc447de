"""Meshing one chunk: from a graph, the watershed and meshes of the layer below to a shard file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from zlib import crc32

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.errors import InputError
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid, Coordinates, chunk_name
from beam_ingest.format.table import Cells, ColumnName, node_key, single
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.meshes.config import INITIAL, MeshConfig
from beam_ingest.meshes.labels import Box, Members, label_box
from beam_ingest.meshes.lookup import MeshReader
from beam_ingest.meshes.quantisation import MeshSpace
from beam_ingest.meshes.shards import Location, ShardError, shard_name, shard_order, write_shard
from beam_ingest.meshes.stitch import grid_of, stitch
from beam_ingest.meshes.storage import MeshFolder
from beam_ingest.meshes.surface import Mesh, MeshError, decode, encode, surfaces
from beam_ingest.meshes.tree import nodes_of_several, parts_of, read_members
from beam_ingest.reader import GraphReader, Groups
from beam_ingest.stores import Store

NODES_AT_ONCE = 1000
"""Nodes whose parts are looked for together."""
READ_BYTES = 8 << 20
"""Encoded parts that are fetched together, unless one node alone has more."""
MESHES = ColumnName("0", b"meshes")


@dataclass(frozen=True)
class ChunkMeshes:
    """What a chunk's shard file holds; kept in the row of the chunk's id in the job's table.

    Attributes:
      nodes: nodes that could have a mesh: of layer 2 all, above that those with several children.
      meshes: nodes with one: no surface has a node that fills its box, or none of whose parts has one.
      vertices: of all meshes.
      faces: of all meshes.
      nbytes: size of the file.
      checksum: crc32 of the meshes in the file's order.
      unstored: at layer 2, 1 if blocks of the watershed that the box touches are not stored.
    """

    nodes: int = 0
    meshes: int = 0
    vertices: int = 0
    faces: int = 0
    nbytes: int = 0
    checksum: int = 0
    unstored: int = 0

    def cells(self, chunk_id: int) -> Cells:
        """The chunk's row."""
        return [single(MESHES, node_key(chunk_id), np.array(astuple(self), "<i8").tobytes())]

    @classmethod
    def decode(cls, value: bytes) -> ChunkMeshes:
        """What `cells` wrote."""
        return cls(*np.frombuffer(value, "<i8").tolist())


class MeshBuilder:
    """Meshes chunks of one graph. Not for several threads at once.

    Args:
      store: where the graph is.
      grid: its chunk grid.
      watershed: URL of the volume.
      config: how it is meshed.
      chunk_size: voxels of a chunk at mip 0.
      folder: URL of the folder that shard files go to, if not that of the configuration.
      most: voxels along x, y and z of a chunk of layer 2 that are meshed at the most, of a sample.
    """

    def __init__(
        self,
        store: Store,
        grid: ChunkGrid,
        watershed: str,
        config: MeshConfig,
        chunk_size: tuple[int, int, int],
        folder: str | None = None,
        most: tuple[int, int, int] | None = None,
    ) -> None:
        self._store = store
        self._graph = GraphReader(store, grid)
        self._grid = grid
        self._places: dict[int, Coordinates] = {}
        self._config = config
        self._watershed = watershed
        self.voxels = WatershedVoxels(watershed, config.mip)
        self.space = mesh_space(self.voxels, chunk_size)
        self._most = most or self.space.block
        url = folder or initial_folder(watershed, config)
        self._folder = MeshFolder(url)
        self._meshes = MeshReader(url, grid, config.minishard_bits)

    def chunk(self, chunk_id: int) -> ChunkMeshes:
        """Mesh a chunk, and write its shard file.

        Raises:
          InputError: when a mesh of it cannot be made; names the node.
          FileError: when a file cannot be read or written for a reason that may pass.
          StoreError: when the graph cannot be read.
        """
        layer, coords = self._grid.layer_of(chunk_id), self._grid.chunk_coords(chunk_id)
        name = f"{layer}/{shard_name(self._grid, chunk_id)}"
        count = _Count()
        meshes = self._atomic(coords, count) if layer == ATOMIC_LAYER else self._parent(layer, coords, count)
        bits = self._config.minishard_bits[layer]
        try:
            with self._folder.writing(name) as file:
                written = write_shard(file, bits, meshes)
        except ShardError as error:
            raise InputError(
                error.file,
                chunk_name(coords),
                "the shard file that was written for it",
                error.found,
                "make the meshes from scratch with --overwrite",
            ) from None
        except MeshError as error:
            raise InputError(
                self._folder.path(name),
                chunk_name(coords),
                "a shard file that readers can handle",
                str(error),
                f"raise mesh_config.minishard_bits of layer {layer}, and mesh from scratch with --overwrite",
            ) from None
        return ChunkMeshes(
            count.nodes,
            written.meshes,
            count.vertices,
            count.faces,
            written.nbytes,
            count.checksum,
            count.unstored,
        )

    def _atomic(self, coords: Coordinates, count: _Count) -> Iterator[tuple[int, bytes]]:
        space = self.space
        low = np.array(coords) * space.block
        shape = np.minimum(low + np.minimum(space.block, self._most) + 1, self.voxels.size) - low
        voxels = self.voxels.read(coords, low, shape)
        count.unstored = int(not voxels.stored)
        box = Box.of(voxels.ids)
        voxels = voxels._replace(ids=np.empty((0, 0, 0), np.uint64))
        members = read_members(self._store, self._graph, coords, box.supervoxels)
        count.nodes = members.nodes.size
        if not voxels.stored:
            self._check_stored(coords, box, members)
        labels = label_box(box, members)
        del box
        grid = space.atomic(coords)
        origin = space.origin(ATOMIC_LAYER, coords)
        encoded: dict[int, bytes] = {}
        for label, mesh in surfaces(labels, space.resolution, self._config.max_error, origin):
            node = int(members.nodes[label - 1])
            count.add(mesh)
            try:
                encoded[node] = encode(mesh, grid)
            except MeshError as error:
                raise self._unmeshable(node, error) from None
        nodes = np.array(list(encoded), np.uint64)
        for at in shard_order(nodes, self._config.minishard_bits[ATOMIC_LAYER]).tolist():
            node = int(nodes[at])
            count.sum(encoded[node])
            yield node, encoded.pop(node)

    def _check_stored(self, coords: Coordinates, box: Box, members: Members) -> None:
        """Refuse a chunk with nodes where blocks of the watershed are not stored."""
        seen = np.isin(members.supervoxels, box.supervoxels)
        unseen = np.setdiff1d(members.nodes, members.parents[seen])
        if unseen.size:
            raise InputError(
                self._watershed,
                chunk_name(coords),
                "voxels of every node of the graph",
                f"none of node {unseen[0]}, and blocks that are not stored",
                "write the missing blocks",
            )

    def _parent(self, layer: int, coords: Coordinates, count: _Count) -> Iterator[tuple[int, bytes]]:
        nodes = nodes_of_several(self._graph, layer, coords)
        nodes = nodes[shard_order(nodes, self._config.minishard_bits[layer])]
        count.nodes = nodes.size
        grid = grid_of(self.space, layer, coords)
        self._places = {}  # of the chunks of parts
        for first in range(0, nodes.size, NODES_AT_ONCE):
            some = nodes[first : first + NODES_AT_ONCE]
            for node, parts in self._read_parts(some, parts_of(self._graph, some)):
                if not parts:
                    continue
                try:
                    mesh = stitch(self._decoded(parts), self.space, layer, coords)
                    data = encode(mesh, grid)
                except MeshError as error:
                    raise self._unmeshable(node, error) from None
                count.add(mesh)
                count.sum(data)
                yield node, data

    def _read_parts(self, nodes: Ids, parts: Groups) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
        """Each node, and the parts of it that have meshes: their nodes and encoded meshes."""
        found = self._meshes.locate(parts.values)
        waiting: list[tuple[int, list[tuple[int, Location]]]] = []
        size = 0
        ends = parts.offsets.tolist()
        for node, begin, end in zip(nodes.tolist(), ends, ends[1:], strict=False):
            located = zip(parts.values[begin:end].tolist(), found[begin:end], strict=True)
            own = [(part, at) for part, at in located if at is not None]
            more = sum(at.size for _, at in own)
            if waiting and size + more > READ_BYTES:
                yield from self._fetch(waiting)
                waiting, size = [], 0
            waiting.append((node, own))
            size += more
        yield from self._fetch(waiting)

    def _fetch(
        self, waiting: list[tuple[int, list[tuple[int, Location]]]]
    ) -> Iterator[tuple[int, list[tuple[int, bytes]]]]:
        contents = iter(self._meshes.read([at for _, own in waiting for _, at in own]))
        for node, own in waiting:
            yield node, [(part, next(contents)) for part, _ in own]

    def _decoded(self, parts: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Coordinates, Mesh]]:
        for part, data in parts:
            layer = self._grid.layer_of(part)
            chunk = part >> self._grid.segment_bits(layer)
            if chunk not in self._places:
                self._places[chunk] = self._grid.chunk_coords(part)
            try:
                mesh = decode(data)
            except MeshError as error:
                raise ShardError(self._meshes.file(part), f"of node {part}, {error}") from None
            yield layer, self._places[chunk], mesh

    def _unmeshable(self, node: int, error: MeshError) -> InputError:
        coords = self._grid.chunk_coords(node)
        return InputError(
            self._meshes.file(node),
            chunk_name(coords),
            f"a mesh of node {node} that Draco can encode",
            str(error),
            "leave out the layer (mesh_config.max_layer) or choose a higher mesh_config.mip, and mesh from "
            "scratch with --overwrite",
        )


@dataclass
class _Count:
    """What is counted while a shard file is written."""

    nodes: int = 0
    vertices: int = 0
    faces: int = 0
    checksum: int = 0
    unstored: int = 0

    def add(self, mesh: Mesh) -> None:
        self.vertices += len(mesh.vertices)
        self.faces += len(mesh.faces)

    def sum(self, data: bytes) -> None:
        self.checksum = crc32(data, self.checksum)


def mesh_space(voxels: WatershedVoxels, chunk_size: tuple[int, int, int]) -> MeshSpace:
    """Where chunks are at a mip of the watershed.

    Raises:
      ConfigError: when its voxels do not divide a chunk, or are too small.
    """
    return MeshSpace(voxels.offset, voxels.chunk_size(chunk_size), voxels.resolution)


def initial_folder(watershed: str, config: MeshConfig) -> str:
    """URL of the folder of the shard files."""
    return f"{watershed}/{config.dir}/{INITIAL}"
