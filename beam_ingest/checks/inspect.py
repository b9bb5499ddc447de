"""One chunk's inputs: what is wrong with them, and the rows for its neighbours."""

from __future__ import annotations

import functools

import numpy as np

from beam_ingest.checks.check_job import CheckJob
from beam_ingest.checks.coverage import Coverage, cover, cover_volume
from beam_ingest.checks.findings import UNREADABLE, Case, Findings
from beam_ingest.checks.listing import NONE
from beam_ingest.checks.pairs import chunk_rows, is_joined, unknown_rows
from beam_ingest.errors import InputError
from beam_ingest.files import Content, FileError, Folder
from beam_ingest.format.grid import Coordinates, Ids, chunk_name
from beam_ingest.ingest.contradictions import Contradictions
from beam_ingest.inputs.check import nothing_joined
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.inputs.reading import read_chunk
from beam_ingest.inputs.watershed import UndecodableError, has_voxels, read_labels
from beam_ingest.kernels.symmetry import Asymmetry, Rows

ONE_SIDED = "pairs of chunks with different edges"
DISAGREE = "pairs of chunks with different active edges"
STRANGE = "supervoxels in the watershed box of another chunk"
ABSENT = "supervoxels of edges that are not in the watershed"
UNMAPPED = "supervoxels of edges in no component"
EDGELESS = "supervoxels of components in no edge"
UNMENTIONED = "supervoxels of the watershed in no edge"
NOTHING_JOINED = "edges of which nothing is joined"
UNKNOWN_COMPONENTS = "chunks whose components are not known"
VOXELS = "the watershed's voxels"


class Inspector:
    """Looks at chunks of one check.

    Args:
      job: the check.
    """

    def __init__(self, job: CheckJob) -> None:
        self._job = job
        self._grid = job.grid
        self._contradictions = Contradictions(job.ingest)
        self._files = self._contradictions.files
        self._selection, self._volumes = job.selection, job.volumes

    def files(
        self,
        coords: Coordinates,
        edges: Content,
        components: Content,
        findings: Findings,
    ) -> Rows:
        """Look at the two files of the chunk at `coords`.

        Args:
          coords: the chunk's coordinates.
          edges: content of its edges file.
          components: content of its components file.
          findings: where what is found goes.

        Returns:
          Its rows (`beam_ingest.checks.pairs`).
        """
        if edges == b"":
            findings.counts["edges files of no bytes"] += 1
        found = read_chunk(self._grid, coords, edges, components, self._files(coords))
        for fault in found.faults:
            findings.fault(fault)
        return self.inputs(coords, found.edges, found.mapping, findings)

    def inputs(
        self, coords: Coordinates, edges: ChunkEdges | None, mapping: Mapping | None, findings: Findings
    ) -> Rows:
        """Look at what the files of a chunk say, None for what is not known; gives its rows."""
        if edges is None:
            return unknown_rows(self._grid, coords)
        if mapping is None:
            findings.counts[UNKNOWN_COMPONENTS] += 1
        elif self._selection.selected(np.array([coords]))[0]:
            coverage = cover(self._grid, coords, edges, mapping)
            self._cover(coords, edges, mapping, coverage, findings)
            if self._volumes.selected(np.array([coords]))[0]:
                self._volume(coords, coverage.supervoxels, findings)
        return chunk_rows(self._grid, coords, edges, mapping)

    def mismatch(self, pair: Asymmetry, findings: Findings) -> None:
        """Note that the files of two chunks disagree."""
        error = self._contradictions.asymmetric(pair)
        findings.problem(DISAGREE if pair.active else ONE_SIDED, Case.of(error))

    @functools.cached_property
    def _has_voxels(self) -> bool:
        return has_voxels(self._job.ingest.dataset.watershed)

    def _cover(
        self,
        coords: Coordinates,
        edges: ChunkEdges,
        mapping: Mapping,
        coverage: Coverage,
        findings: Findings,
    ) -> None:
        findings.counts["chunks"] += 1
        findings.counts["edges"] += len(edges)
        findings.counts["supervoxels"] += coverage.supervoxels.size
        findings.counts["chunks with components"] += coverage.unmapped.size < coverage.supervoxels.size
        between = edges.between_chunk
        lower = between.node_ids1 < between.node_ids2  # of the two chunks that list it, one counts it
        joined = is_joined(between.node_ids1, between.node_ids2, mapping)
        findings.counts["edges between chunks"] += int(lower.sum())
        findings.counts["active edges between chunks"] += int((lower & joined).sum())
        edges_file, components_file = self._files(coords)
        for kind, file, ids in (
            (UNMAPPED, edges_file, coverage.unmapped),
            (EDGELESS, components_file, coverage.edgeless),
        ):
            findings.note(kind, *_examples(file, coords, ids), count=ids.size)

    def _volume(self, coords: Coordinates, supervoxels: Ids, findings: Findings) -> None:
        """Read the chunk's voxels, and compare their labels with the supervoxels of its edges."""
        dataset = self._job.ingest.dataset
        try:
            labels = read_labels(dataset.watershed, dataset.chunk_size, coords)
        except UndecodableError as error:
            findings.unchecked.add(f"{VOXELS}: {error}")
            return
        except FileError as error:
            findings.problem(UNREADABLE, Case(str(error), dataset.watershed, chunk_name(coords)))
            return
        if labels.absent == labels.blocks and not self._has_voxels:
            findings.unchecked.add(f"{VOXELS}: none are stored at {Folder(dataset.watershed).path('')}")
            return
        found = cover_volume(self._grid, coords, supervoxels, labels.ids)
        findings.counts["chunks with voxels"] += labels.absent < labels.blocks
        if labels.absent:
            findings.counts["blocks that are not stored"] += labels.absent
        findings.counts["supervoxels with voxels"] += found.supervoxels.size
        place = Folder(dataset.watershed).path("")
        findings.note(UNMENTIONED, *_examples(place, coords, found.edgeless), count=found.edgeless.size)
        edges_file, name = self._files(coords)[0], chunk_name(coords)
        if found.strange.size:
            strange = InputError(
                place,
                name,
                "supervoxels of this chunk in its box",
                _some(found.strange),
                "correct CHUNK_SIZE or SPATIAL_BITS, or name the watershed that was cut into chunks",
            )
            findings.problem(STRANGE, Case.of(strange), count=found.strange.size)
        if found.absent.size:
            absent = InputError(
                edges_file,
                name,
                f"supervoxels that are in {place}",
                _some(found.absent),
                "name the watershed that the edges were made from, or write the file again",
            )
            findings.problem(ABSENT, Case.of(absent), count=found.absent.size)


def conclude(job: CheckJob, findings: Findings) -> None:
    """Whether the chunks that were looked at, all together, join anything."""
    counts = findings.counts
    if counts.pop(UNKNOWN_COMPONENTS, 0) or NONE in findings.problems:
        return
    fault = nothing_joined(
        job.ingest.dataset,
        job.ingest.raw,
        edges=counts["edges"],
        mapped=counts["chunks with components"],
        between=counts["edges between chunks"],
        joined=counts["active edges between chunks"],
    )
    if fault is not None:
        # Of a sample, the chunks that are not looked at may join more.
        tell = findings.problem if job.selection.is_all else findings.note
        tell(NOTHING_JOINED, Case(fault))


def _some(ids: Ids) -> str:
    """The first of some ids that should not be, and how many more there are."""
    return f"{ids[0]}" + (f" and {ids.size - 1} more" if ids.size > 1 else "") + " that are not"


def _examples(file: str, coords: Coordinates, ids: Ids) -> list[Case]:
    """A case of one of some supervoxels."""
    name = chunk_name(coords)
    return [Case(f"{file}: chunk {name}: supervoxel {i}", file, name, "", str(i)) for i in ids[:1].tolist()]
