"""Building one region of a sample with the real kernels, and counting; nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from beam_ingest.arrays import components as connected
from beam_ingest.arrays import find
from beam_ingest.errors import InputError
from beam_ingest.files import Folder
from beam_ingest.format import table
from beam_ingest.format.grid import (
    ATOMIC_LAYER,
    ChunkGrid,
    Coordinates,
    Ids,
    as_coordinates,
    chunk_name,
)
from beam_ingest.format.table import Cells
from beam_ingest.ingest.build import Builder, root_pieces
from beam_ingest.ingest.job import IngestJob
from beam_ingest.ingest.replay import read_inputs
from beam_ingest.inputs.agglomeration import shard_files
from beam_ingest.inputs.reading import read_shards
from beam_ingest.kernels.parent import UnknownPartnerError, build_parent_chunk
from beam_ingest.kernels.root_ids import shard_of
from beam_ingest.kernels.rows import hierarchy_cells, parent_cells
from beam_ingest.kernels.state import Message, pack, unpack
from beam_ingest.plan.regions import Region, chunks_of
from beam_ingest.stages.coding import compress
from beam_ingest.stages.payloads import address_payloads


@dataclass
class LayerSample:
    """What the chunks of one layer of a region came to.

    Attributes:
      chunks: how many were built.
      supervoxels: at layer 2, their supervoxels.
      nodes: nodes made.
      edges: edges read (layer 2) or received from children.
      rows: new rows of the table.
      cells: cells.
      nbytes: bytes of row keys, qualifiers and values.
      stored: bytes of those cells after compression, at layer 2.
      roots: nodes without further edges, which become roots.
      read: at layer 2, bytes of the input files.
      grouped: at layer 2, bytes of raw agglomeration on their way to the blocks that need them.
      sent_edges: edges that go on to the layer above.
      leaving: those of them that leave the region.
      sent_bytes: compressed bytes that go on to it.
      largest: edges of the largest chunk.
    """

    chunks: int = 0
    supervoxels: int = 0
    nodes: int = 0
    edges: int = 0
    rows: int = 0
    cells: int = 0
    nbytes: int = 0
    stored: int = 0
    roots: int = 0
    read: int = 0
    grouped: int = 0
    sent_edges: int = 0
    leaving: int = 0
    sent_bytes: int = 0
    largest: int = 0


@dataclass
class RegionSample:
    """What a region came to.

    Attributes:
      region: which one.
      layers: the chunks of the region, by layer, from 2 up to its own.
      around: the layer-2 chunks around it.
      root_counters: of the whole grid, shards that number roots; each has a counter.
      counter_bytes: bytes of these counters.
    """

    region: Region
    layers: dict[int, LayerSample] = field(default_factory=dict)
    around: LayerSample = field(default_factory=LayerSample)
    root_counters: int = 0
    counter_bytes: int = 0


def measure(job: IngestJob, region: Region, keep: Callable[[Cells], object] | None = None) -> RegionSample:
    """Build a region.

    Args:
      job: the job that would build the graph.
      region: a chunk of layer 3 or above.
      keep: is given the cells of the region and of what is around it, as a stage may read them that follows
        the graph. Nodes of the region's layer that cohere outside it have a parent one layer above.

    Raises:
      InputError: when a file cannot be right.
      FileError: when one cannot be read.
    """
    return _Measuring(job, region, keep).run()


class _Measuring:
    def __init__(self, job: IngestJob, region: Region, keep: Callable[[Cells], object] | None) -> None:
        self._job = job
        self._grid = job.grid
        self._builder = Builder(job)
        self._found = RegionSample(region, {ATOMIC_LAYER: LayerSample()})
        self._messages: dict[int, list[Message]] = defaultdict(list)
        self._keep = keep
        self._shards: set[int] = set()

    def run(self) -> RegionSample:
        region, grid = self._found.region, self._grid
        core, around = map(as_coordinates, chunks_of(grid, region))
        # Files of raw agglomeration have records of the chunks around theirs: together they are opened once.
        shift = 1 if not self._job.raw else 2 if region.layer > ATOMIC_LAYER + 1 else _ALL
        own = set(core)
        for some in _batches([*core, *around], shift):
            self._atomic(some, own)
        if self._job.raw:
            self._raw(core, self._found.layers[ATOMIC_LAYER])
        for layer in range(ATOMIC_LAYER + 1, region.layer + 1):
            messages, self._messages = self._messages, defaultdict(list)
            sample = self._found.layers[layer] = LayerSample()
            for chunk_id in sorted(messages):
                self._parent(layer, chunk_id, messages.pop(chunk_id), sample)
        if region.layer == grid.root_layer:
            root = grid.chunk_id(region.layer, region.coords)
            counters = [table.counter(table.root_counter_key(root, shard), 1) for shard in self._shards]
            self._found.root_counters = len(counters)
            self._found.counter_bytes = sum(counter.nbytes for counter in counters)
        return self._found

    def _atomic(self, chunks: list[Coordinates], own: set[Coordinates]) -> None:
        """Layer-2 chunks, read together; those of `own` are the region's."""
        for coords, edges, components in read_inputs(self._job, chunks):
            sample = self._found.layers[ATOMIC_LAYER] if coords in own else self._found.around
            built = self._builder.atomic(coords, edges, components)
            counts = built.counts
            sample.chunks += 1
            sample.supervoxels += counts.supervoxels
            sample.edges += counts.edges
            sample.largest = max(sample.largest, counts.supervoxels)
            sample.read += sum(len(c) for c in (edges, components) if isinstance(c, bytes))
            if sample is not self._found.around:
                sample.stored += stored_bytes(built.cells)
            self._count(sample, counts.nodes, counts.rows, built.cells)
            sample.roots += sum(children.root_count for children in built.root_children)
            self._shards |= {shard_of(children.sender) for children in built.root_children}
            self._send(built.messages, sample)

    def _raw(self, chunks: list[Coordinates], sample: LayerSample) -> None:
        """What there is to read and to group of the files that these chunks are the first of."""
        dataset = self._job.dataset
        assert dataset.agglomeration is not None
        assert dataset.data_version is not None
        shards = shard_files(self._grid, chunks, partial=False)
        payloads = []
        for opened in read_shards(self._grid, Folder(dataset.agglomeration), shards, dataset.data_version):
            if opened.fault:
                raise opened.fault.error
            payloads += opened.payloads
        sample.read = sum(len(payload.data) for payload in payloads)
        sample.grouped = sum(len(packed) for _, packed in address_payloads(self._grid, payloads))

    def _parent(self, layer: int, chunk_id: int, messages: list[Message], sample: LayerSample) -> None:
        grid, region = self._grid, self._found.region
        message = _named(Message.concatenate(messages))
        try:
            chunk = build_parent_chunk(grid, layer, chunk_id, message)
        except UnknownPartnerError:
            name = chunk_name(grid.chunk_coords(chunk_id))
            raise InputError(
                str(self._job.dataset.path),
                name,
                f"edges at layer {layer} that both chunks' files have",
                "some that only one has",
                "beam-ingest check names them",
            ) from None
        # Chunks around the region are built for their nodes' names.
        counted = grid.ancestor(chunk_id, region.layer) == grid.chunk_id(region.layer, region.coords)
        sample = sample if counted else LayerSample()
        count = int(chunk.child_offsets.size) - 1
        root = layer == grid.root_layer
        parents = np.uint64(chunk_id + 1) + np.arange(0 if root else count, dtype=np.uint64)
        cells = parent_cells(chunk_id, chunk, parents, self._job.graph_version)
        sample.chunks += 1
        sample.edges += message.own.size
        sample.largest = max(sample.largest, message.own.size)
        if root:  # its components are roots, whose ids may be any
            roots = np.uint64(chunk_id + 1) + np.arange(count, dtype=np.uint64)
            cells = [*cells, *hierarchy_cells(roots, chunk.children, chunk.child_offsets)]
            self._count(sample, count, count, cells)
            pieces = root_pieces(chunk_id, chunk.children, chunk.child_offsets)
            self._shards |= {shard_of(piece.sender) for piece in pieces}
            return
        self._count(sample, count, count + (1 if count else 0), cells)
        sample.roots += int(chunk.dropped.size)
        if chunk.dropped.size:
            self._shards.add(shard_of(chunk_id))
        if self._keep is not None and layer == region.layer:
            self._keep(_outer_parents(grid, chunk_id, chunk.state))
        packed = [(grid.ancestor(chunk_id, layer + 1), data) for data in pack(chunk_id, False, chunk.state)]
        for target, halo in chunk.halos:
            packed += [(target, data) for data in pack(chunk_id, True, halo)]
        self._send(packed, sample)

    def _count(self, sample: LayerSample, nodes: int, rows: int, cells: Cells) -> None:
        if self._keep is not None:
            self._keep(cells)
        sample.nodes += nodes
        sample.rows += rows
        sample.cells += sum(column.keys.size for column in cells)
        sample.nbytes += sum(column.nbytes for column in cells)

    def _send(self, packed: Iterable[tuple[int, bytes]], sample: LayerSample) -> None:
        for target, data in packed:
            envelope = unpack(data)
            if sample is not self._found.around:
                sample.sent_bytes += len(compress(data))
            if not envelope.halo:
                sample.sent_edges += envelope.message.own.size
                sample.leaving += int((envelope.message.cross_layer >= self._found.region.layer).sum())
            if self._is_built(target):
                self._messages[target].append(envelope.message)

    def _is_built(self, chunk_id: int) -> bool:
        """Whether all that a chunk is built from is read: it is in the region, or one around it."""
        grid, region = self._grid, self._found.region
        layer = grid.layer_of(chunk_id)
        if layer > region.layer:
            return False
        own = np.array(grid.chunk_coords(chunk_id))
        if layer == region.layer:
            return bool((own == region.coords).all())
        child = own >> (region.layer - 1 - layer)
        apart = np.maximum(np.array(region.coords) * 2 - child, child - np.array(region.coords) * 2 - 1)
        return int(np.maximum(apart, 0).sum()) <= 1


def _outer_parents(grid: ChunkGrid, chunk_id: int, state: Message) -> Cells:
    """Parents, one layer above a chunk, of its nodes and those around it that edges across its faces join."""
    nodes, ends = np.unique(np.concatenate([state.own, state.partner]), return_inverse=True)
    own, partner = np.split(ends.reshape(-1).astype(np.int64), 2)
    above = grid.ancestor(chunk_id, grid.layer_of(chunk_id) + 1)
    parents = np.uint64(above + 1) + connected(nodes.size, own, partner).astype(np.uint64)
    known = grid.layers(nodes) >= ATOMIC_LAYER
    return [table.fixed(table.PARENT, table.node_keys(nodes[known]), table.encode_ids(parents[known]))]


def _named(message: Message) -> Message:
    """A message in which partners without a new name around the region keep the names that they have."""
    distinct: Ids = np.unique(message.partner)
    order = np.argsort(message.old)
    _, known = find(message.old[order], distinct)
    unknown = distinct[~known]
    return Message.concatenate([message, Message.make(old=unknown, new=unknown)])


_ALL = 30
"""As a shift of coordinates: no batch has others than 0."""


def _batches(chunks: list[Coordinates], shift: int) -> list[list[Coordinates]]:
    """Chunks in the groups in which their files are read: cubes of 2^shift chunks along an axis."""
    batches: dict[Coordinates, list[Coordinates]] = defaultdict(list)
    for x, y, z in chunks:
        batches[(x >> shift, y >> shift, z >> shift)].append((x, y, z))
    return list(batches.values())


def stored_bytes(cells: Cells) -> int:
    """Bytes of cells after compression, with keys and values of a column side by side as a table has them."""
    total = 0
    for column in cells:
        width, count = column.keys.itemsize, column.keys.size
        if count == 0:
            continue
        keys = np.frombuffer(column.keys.tobytes(), np.uint8).reshape(count, width)
        sizes = np.diff(column.offsets)
        if (sizes == sizes[0]).all():
            data = np.frombuffer(column.data, np.uint8).reshape(count, int(sizes[0]))
            total += len(compress(np.concatenate([keys, data], axis=1).tobytes()))
        else:
            total += len(compress(keys.tobytes() + bytes(column.data)))
    return total
