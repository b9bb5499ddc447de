"""Building one chunk: from bytes of files or messages to cells, messages and roots.

No Beam here: the pipeline and the replay of one chunk call the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Indices
from beam_ingest.errors import BeamIngestError, InputError
from beam_ingest.files import Content, Folder
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, Coordinates, Ids, chunk_name
from beam_ingest.format.table import Cells
from beam_ingest.ingest.contradictions import Contradictions
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.all_supervoxels import NONE, WatershedReader
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges, edges_folder
from beam_ingest.inputs.reading import read_chunk, read_files
from beam_ingest.kernels.atomic import build_atomic_chunk
from beam_ingest.kernels.halo import halos
from beam_ingest.kernels.parent import UnknownPartnerError, build_parent_chunk
from beam_ingest.kernels.root_ids import root_ids, shard_of
from beam_ingest.kernels.rows import atomic_cells, hierarchy_cells, parent_cells
from beam_ingest.kernels.state import Envelope, Message, pack, unpack
from beam_ingest.kernels.symmetry import Asymmetry, asymmetries, unknown_edges
from beam_ingest.stages.progress import Counts


@dataclass(frozen=True, eq=False)
class RootChildren:
    """Nodes that become children of roots.

    Attributes:
      sender: key of the share of roots: id of the chunk that made the nodes; for the components of
        the root chunk its id, plus the number of the piece.
      children: nodes, shape (c,), uint64, grouped by root.
      child_offsets: where each root's children begin, and the end, shape (roots + 1,), int64.
    """

    sender: int
    children: Ids
    child_offsets: Indices

    @property
    def root_count(self) -> int:
        """Number of roots."""
        return int(self.child_offsets.size) - 1


@dataclass(frozen=True, eq=False)
class BuiltChunk:
    """What came of one chunk.

    Attributes:
      cells: its cells, not yet written.
      counts: what it counts for.
      messages: chunk ids of the next layer and packed messages for them.
      root_children: nodes of it that become children of roots.
    """

    cells: Cells
    counts: Counts
    messages: list[tuple[int, bytes]]
    root_children: list[RootChildren]


PIECE_CHILDREN = 1 << 20
"""The root chunk's components are shared out in pieces of about so many children."""


class Builder:
    """Builds the chunks of one job.

    Args:
      job: the job.
    """

    def __init__(self, job: IngestJob) -> None:
        self._job = job
        self._grid = job.grid
        self.contradictions = Contradictions(job)
        self._watershed = WatershedReader(job.grid, job.dataset) if job.all_supervoxels else None

    def read(self, chunks: list[Coordinates]) -> list[Content]:
        """The files of chunks: edges, components, edges, components, …"""
        source = self._job.dataset
        return read_files(edges_folder(str(source.edges)), Folder(str(source.components)), chunks)

    def atomic(
        self,
        coords: Coordinates,
        edges: Content | InputError,
        components: Content | InputError,
        missing: int = 0,
    ) -> BuiltChunk:
        """Build the layer-2 chunk at `coords`.

        Args:
          coords: its coordinates.
          edges: content of its edges file, or what was found to be wrong with it.
          components: content of its components file, or what was found to be wrong with it.
          missing: how many of its input files were not there.

        Raises:
          InputError: when the files, or the watershed where it is read, say what cannot be true.
        """
        listed, mapping = self._checked(coords, edges, components)
        more = self._watershed.unmentioned(coords, listed) if self._watershed else NONE
        chunk = build_atomic_chunk(self._grid, coords, listed, mapping, more.ids)
        cells = atomic_cells(self._grid, chunk, self._job.graph_version)
        counters = 0 if not cells else (2 if self._job.graph_version == 3 else 1)
        counts = Counts(
            supervoxels=chunk.supervoxels.size,
            nodes=chunk.node_count,
            edges=len(listed),
            rows=chunk.supervoxels.size + chunk.node_count + counters,
            missing=missing,
            empty=edges == b"",
            mapped=int(chunk.mapped),
            between=chunk.between,
            joined=chunk.joined,
            unmentioned=more.ids.size,
            voxels=more.voxels,
            unstored=more.unstored,
            **_sizes(cells),
        )
        messages = self._messages(chunk.chunk_id, chunk.state, chunk.halos)
        return BuiltChunk(cells, counts, messages, _singles(chunk.chunk_id, chunk.dropped))

    def parent(self, chunk_id: int, packed: list[bytes]) -> BuiltChunk:
        """Build the chunk `chunk_id` of layer 3 or above from the messages to it.

        Raises:
          InputError: when two chunks' files do not have the same edges between them.
        """
        grid = self._grid
        layer = grid.layer_of(chunk_id)
        envelopes = sorted((unpack(data) for data in packed), key=lambda e: (e.sender, e.piece))
        self._check_senders(chunk_id, layer, envelopes)
        message = Message.concatenate([e.message for e in envelopes])
        asymmetric = asymmetries(envelopes)
        errors = self._asymmetric(asymmetric)
        try:
            chunk = build_parent_chunk(grid, layer, chunk_id, message)
        except UnknownPartnerError as error:
            errors += self.contradictions.unknown_partners(error, asymmetric)
        if errors:
            raise InputError.several(errors)
        count = int(chunk.child_offsets.size) - 1
        if layer == grid.root_layer:
            no_parents = np.empty(0, np.uint64)
            cells = parent_cells(chunk_id, chunk, no_parents, self._job.graph_version)
            counts = Counts(edges=message.own.size, **_sizes(cells))
            return BuiltChunk(cells, counts, [], root_pieces(chunk_id, chunk.children, chunk.child_offsets))
        parents = np.uint64(chunk_id + 1) + np.arange(count, dtype=np.uint64)
        cells = parent_cells(chunk_id, chunk, parents, self._job.graph_version)
        counts = Counts(
            nodes=count, edges=message.own.size, rows=count + (1 if count else 0), **_sizes(cells)
        )
        messages = self._messages(chunk_id, chunk.state, chunk.halos)
        return BuiltChunk(cells, counts, messages, _singles(chunk_id, parents[chunk.dropped]))

    def bad(self, coords: Coordinates) -> list[tuple[int, bytes]]:
        """Messages to the layer-3 chunks around a chunk whose files are bad: its edges are not known."""
        grid, chunk_id = self._grid, self._grid.chunk_id(ATOMIC_LAYER, coords)
        state = Message.make(**unknown_edges(grid, coords))
        across = halos(grid, chunk_id, state, np.empty(0, np.int64), np.empty(0, np.uint64))
        return self._messages(chunk_id, state, across)

    def contradicting(self, packed: list[bytes]) -> list[InputError]:
        """What contradicts each other among the files of chunks of which some cannot be built.

        Args:
          packed: the messages to a layer-3 chunk, which is not built.
        """
        return self._asymmetric(asymmetries([unpack(data) for data in packed]))

    def roots(self, root_children: RootChildren, first: int, highest: int) -> BuiltChunk:
        """The roots of one sender.

        Args:
          root_children: their children.
          first: the k of the first root in its shard; the others follow.
          highest: the highest k of the shard if its counter is to be written here, else 0.
        """
        grid, shard = self._grid, shard_of(root_children.sender)
        roots = root_ids(grid, shard, first, root_children.root_count)
        cells = hierarchy_cells(roots, root_children.children, root_children.child_offsets)
        if highest:
            root_chunk = grid.chunk_id(grid.root_layer, (0, 0, 0))
            cells.append(table.counter(table.root_counter_key(root_chunk, shard), highest))
        counts = Counts(nodes=roots.size, rows=roots.size + bool(highest), **_sizes(cells))
        return BuiltChunk(cells, counts, [], [])

    def _checked(
        self, coords: Coordinates, edges: Content | InputError, components: Content | InputError
    ) -> tuple[ChunkEdges, Mapping]:
        """What a chunk's two files say; both are looked at, so that one run finds the faults of both."""
        if isinstance(edges, InputError) or isinstance(components, InputError):
            raise InputError.several([e for e in (edges, components) if isinstance(e, InputError)])
        # With raw input these files are made here; whether what they are made from exists was asked before.
        required = self._job.require_files and not self._job.raw
        files = self.contradictions.files(coords)
        return read_chunk(self._grid, coords, edges, components, files, required=required).sound()

    def _asymmetric(self, pairs: list[Asymmetry]) -> list[InputError]:
        """An error for each fault: one file may contradict several others."""
        errors = {str(error): error for error in map(self.contradictions.asymmetric, pairs)}
        return list(errors.values())

    def _messages(
        self, chunk_id: int, state: Message, halos: list[tuple[int, Message]]
    ) -> list[tuple[int, bytes]]:
        layer = self._grid.layer_of(chunk_id) + 1
        parent = self._grid.ancestor(chunk_id, layer)
        messages = [(parent, data) for data in pack(chunk_id, False, state)]
        for target, message in halos:
            messages += [(target, data) for data in pack(chunk_id, True, message)]
        return messages

    def _check_senders(self, chunk_id: int, layer: int, envelopes: list[Envelope]) -> None:
        """Every child and every piece must have come, once: anything else is a fault of a runner."""
        coords = self._grid.children(layer, self._grid.chunk_coords(chunk_id))
        expected = set(self._grid.chunk_ids(layer - 1, coords).tolist())
        came = {e.sender for e in envelopes if not e.halo}
        pieces = {(e.sender, e.piece) for e in envelopes}
        whole = sum({e.sender: e.pieces for e in envelopes}.values())
        if came != expected or not len(envelopes) == len(pieces) == whole:
            raise BeamIngestError(
                f"layer {layer}, chunk {chunk_name(self._grid.chunk_coords(chunk_id))}: expected the "
                f"states of {len(expected)} children, whole and once, found {len(envelopes)} messages "
                f"of {len(came)}; the runner lost or repeated some: please report this"
            )


def _sizes(cells: Cells) -> dict[str, int]:
    return {"cells": sum(c.keys.size for c in cells), "nbytes": sum(c.nbytes for c in cells)}


def _singles(chunk_id: int, nodes: Ids) -> list[RootChildren]:
    """Nodes that each become the one child of a root."""
    return [RootChildren(chunk_id, nodes, np.arange(nodes.size + 1))] if nodes.size else []


def root_pieces(chunk_id: int, children: Ids, child_offsets: Indices) -> list[RootChildren]:
    """The components of the root chunk in pieces, each a sender of its own."""
    count = child_offsets.size - 1
    if count == 0:
        return []
    piece_of = child_offsets[:-1] // PIECE_CHILDREN
    root_children = []
    for piece in np.unique(piece_of).tolist():
        first, last = np.searchsorted(piece_of, piece), np.searchsorted(piece_of, piece, "right")
        begin, end = child_offsets[first], child_offsets[last]
        root_children.append(
            RootChildren(chunk_id + piece, children[begin:end], child_offsets[first : last + 1] - begin)
        )
    return root_children
