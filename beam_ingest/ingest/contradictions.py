"""Files that contradict each other: which one is at fault, why, and what to do."""

from __future__ import annotations

import numpy as np

from beam_ingest.errors import InputError
from beam_ingest.files import Content, Folder
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates, chunk_name
from beam_ingest.ingest.job import IngestJob
from beam_ingest.inputs.agglomeration import REMAP, ShardFile
from beam_ingest.inputs.components import components_file_name, decode_components
from beam_ingest.inputs.edges import edges_file_name, edges_folder
from beam_ingest.kernels.parent import UnknownPartnerError
from beam_ingest.kernels.symmetry import Asymmetry

_EDGES, _COMPONENTS = 0, 1
_NEEDED = (
    "a file, since other chunks have edges to this one",
    "a file, since other chunks join with this one",
)
_ALIKE = (
    "both files must list each edge between their chunks: write them from one segmentation",
    "the components of both chunks must agree on which edges are active: write them from one agglomeration",
)


class Contradictions:
    """Explains contradictions between the files of one job's chunks.

    Args:
      job: the job.
    """

    def __init__(self, job: IngestJob) -> None:
        self._job = job
        self._grid = job.grid

    def files(self, coords: Coordinates) -> tuple[str, str]:
        """Paths, for messages, of the files that the edges and components of a chunk come from."""
        source = self._job.dataset
        if self._job.raw:
            raw = Folder(str(source.agglomeration))
            return raw.path("chunked_rg"), raw.path("remap")
        edges, components = edges_folder(str(source.edges)), Folder(str(source.components))
        return edges.path(edges_file_name(coords)), components.path(components_file_name(coords))

    def asymmetric(self, pair: Asymmetry) -> InputError:
        """What is wrong about two chunks that have different edges, or different active edges.

        The files are looked at again: one that is absent, empty or another chunk's is named as that,
        in the same words whatever chunk it contradicts.
        """
        kind = _COMPONENTS if pair.active else _EDGES
        chunk, other = (self._grid.chunk_coords(c) for c in (pair.chunk, pair.other))
        lost = self._lost(chunk, kind) or self._misplaced(chunk, kind) or self._misplaced(other, kind)
        if lost:
            return lost
        what = "active edges" if pair.active else "edges"
        file, other_file = self.files(chunk)[kind], self.files(other)[kind]
        return InputError(
            file,
            chunk_name(chunk),
            f"the {pair.more} {what} to chunk {chunk_name(other)} that {other_file} "
            + ("makes" if pair.active else "lists"),
            f"{pair.fewer} others" if pair.fewer == pair.more else f"{pair.fewer}",
            _ALIKE[kind],
        )

    def unknown_partners(self, error: UnknownPartnerError, known: list[Asymmetry]) -> list[InputError]:
        """One error for each pair of chunks, but for the pairs of which more is known already."""
        grid = self._grid
        seen = {frozenset((pair.chunk, pair.other)) for pair in known}
        errors = []
        for own, partner in zip(error.own.tolist(), error.partner.tolist(), strict=True):
            pair = frozenset(grid.ancestor(n, max(ATOMIC_LAYER, grid.layer_of(n))) for n in (own, partner))
            if pair not in seen:
                seen.add(pair)
                errors.append(self._unknown_partner(own, partner))
        return errors

    def _unknown_partner(self, own_id: int, partner_id: int) -> InputError:
        own, partner = (self._grid.chunk_coords(node) for node in (own_id, partner_id))
        layer = self._grid.layer_of(partner_id)
        return InputError(
            self.files(partner)[_COMPONENTS if layer == SUPERVOXEL_LAYER else _EDGES],
            chunk_name(partner),
            f"an active edge from {partner_id} to chunk {chunk_name(own)}, whose node {own_id} has one",
            "none",
            _ALIKE[_COMPONENTS],
        )

    def _lost(self, coords: Coordinates, kind: int) -> InputError | None:
        """The error of a file that is not there, or has nothing in it."""
        file, content = self._content(coords, kind)
        if content is None or content == b"":
            found = "none" if content is None else "an empty one (0 bytes)"
            return InputError(file, chunk_name(coords), _NEEDED[kind], found, "restore it")
        return None

    def _misplaced(self, coords: Coordinates, kind: int) -> InputError | None:
        """The error of a components file most of whose ids are another chunk's.

        In edges files such ids are an error by themselves (`beam_ingest.inputs.check`).
        """
        if kind == _EDGES or self._job.raw:
            return None
        file, content = self._content(coords, kind)
        if not isinstance(content, bytes):
            return None
        grid, name = self._grid, chunk_name(coords)
        ids = decode_components(content, file, name).ids
        if ids.size == 0:
            return None
        chunks, counts = np.unique(grid.ancestors(ids, ATOMIC_LAYER), return_counts=True)
        most = grid.chunk_coords(int(chunks[counts.argmax()]))
        if most == coords or counts.max() == counts[chunks == grid.chunk_id(ATOMIC_LAYER, coords)].sum():
            return None
        return InputError(
            file,
            name,
            "components of supervoxels of this chunk for the most part",
            f"{counts.max()} of {ids.size} ids of chunk {chunk_name(most)}",
            f"these ids are of chunk {chunk_name(most)}: put each chunk's file in its place, or write both "
            "from one agglomeration",
        )

    def _content(self, coords: Coordinates, kind: int) -> tuple[str, Content]:
        """Path and content of a file; with raw input, of the pairs joined in the chunk."""
        source = self._job.dataset
        if not self._job.raw:
            name = (edges_file_name, components_file_name)[kind](coords)
            folder = Folder(str(source.components)) if kind else edges_folder(str(source.edges))
        elif kind == _COMPONENTS:
            name, folder = ShardFile(REMAP, 0, coords).name, Folder(str(source.agglomeration))
        else:  # edges between two chunks are one payload, of which both are made
            return self.files(coords)[kind], b"?"
        return folder.path(name), folder.read_each([name])[0]
