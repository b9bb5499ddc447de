"""Cutting one chunk out of the volumes: its pieces, their ids and labels, and their contacts. No Beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_ingest.arrays import Ids
from beam_ingest.errors import InputError
from beam_ingest.format.grid import SUPERVOXEL_LAYER, Coordinates, chunk_name
from beam_ingest.stages.coding import pack_blobs, unpack_blobs
from beam_ingest.volumes.agglomerate import LabelTable, most_frequent
from beam_ingest.volumes.contacts import Affinities, Contacts, Pieces, contacts_within, find_pieces
from beam_ingest.volumes.faces import Plane
from beam_ingest.volumes.job import PrepareJob
from beam_ingest.volumes.source import VolumeReader, volumes_of


@dataclass(frozen=True, eq=False)
class CutChunk:
    """What a chunk's files are made of, besides contacts with its neighbours.

    Attributes:
      ids: of its pieces, shape (n,), uint64, ascending.
      sources: their source labels, shape (n,), uint64.
      agglomerated: their agglomerated labels, shape (n,), uint64.
      inside: contacts between them, by number.
      mixed: pieces whose voxels have several agglomerated labels.
      nbytes: bytes written to the watershed.
    """

    ids: Ids
    sources: Ids
    agglomerated: Ids
    inside: Contacts
    mixed: int
    nbytes: int

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        inside = self.inside
        counts = np.array([self.mixed, self.nbytes], "<i8")
        columns = (self.ids, self.sources, self.agglomerated, inside.first, inside.second, inside.area)
        blobs = [counts.tobytes(), *(column.astype("<u8").tobytes() for column in columns)]
        return pack_blobs([*blobs, inside.affinity.astype("<f4").tobytes()])

    @classmethod
    def decode(cls, data: bytes) -> CutChunk:
        """The chunk that `encode` packed."""
        counts, *columns, affinity = (blob or b"" for blob in unpack_blobs(data))
        ids, sources, agglomerated, first, second, area = (np.frombuffer(column, "<u8") for column in columns)
        mixed, nbytes = np.frombuffer(counts, "<i8").tolist()
        inside = Contacts(first, second, area, np.frombuffer(affinity, "<f4"))
        return cls(ids, sources, agglomerated, inside, mixed, nbytes)


class Cutter:
    """Reads a chunk of the volumes and cuts it out.

    Args:
      job: the job.
      reader: of the job's volumes.
      table: of agglomerated labels, if they are in no volume.
    """

    def __init__(self, job: PrepareJob, reader: VolumeReader, table: LabelTable | None) -> None:
        self._job = job
        self._reader = reader
        self._table = table

    def read(self, coords: Coordinates) -> tuple[Pieces, Ids, Ids, int, Affinities | None]:
        """The pieces of a chunk, their ids and agglomerated labels, how many have several, and affinities.

        Raises:
          InputError: when voxels are not there, cannot be read, or hold what cannot be.
        """
        pieces = find_pieces(self._reader.supervoxels(coords))
        ids = self._ids(pieces, coords)
        mixed = 0
        segmentation = self._reader.segmentation(coords)
        if segmentation is not None:
            agglomerated, mixed = most_frequent(pieces, segmentation)
            del segmentation  # before affinities are read
        elif self._table is not None:
            agglomerated = self._looked_up(pieces, coords, self._table)
        else:  # nothing is joined
            agglomerated = ids
        return pieces, ids, agglomerated, mixed, self._reader.affinities(coords)

    def planes(
        self,
        coords: Coordinates,
        pieces: Pieces,
        ids: Ids,
        agglomerated: Ids,
        affinities: Affinities | None,
    ) -> list[tuple[int, bool, Plane]]:
        """The chunk's faces to neighbours: axis, whether it is the upper chunk there, and the plane."""
        found = []
        for axis in range(3):
            for upper in (False, True):
                if 0 <= coords[axis] + (-1 if upper else 1) < self._job.grid.chunks[axis]:
                    plane = Plane.of(pieces, ids, agglomerated, axis, upper, affinities)
                    found.append((axis, upper, plane))
        return found

    @staticmethod
    def contacts(pieces: Pieces, affinities: Affinities | None) -> Contacts:
        """Contacts between the pieces, by number."""
        return contacts_within(pieces, affinities)

    def _ids(self, pieces: Pieces, coords: Coordinates) -> Ids:
        grid, job = self._job.grid, self._job
        own = grid.chunk_id(SUPERVOXEL_LAYER, coords)
        most = (1 << grid.segment_bits(SUPERVOXEL_LAYER)) - 1
        place = volumes_of(job.dataset).supervoxels
        segments = pieces.labels & np.uint64(most)
        is_own = (pieces.labels - segments == np.uint64(own)) & (segments != 0)
        if not job.chunked:
            if is_own.size and is_own.all():
                raise InputError(
                    place,
                    chunk_name(coords),
                    "labels that are not ids of their chunks yet",
                    "such ids",
                    "let data_source.WATERSHED be this volume: then it is read and checked, and not written",
                )
            if pieces.labels.size > most:
                raise InputError(
                    place,
                    chunk_name(coords),
                    f"at most {most:,} supervoxels in a chunk, as many as segments have bits for",
                    f"{pieces.labels.size:,}",
                    "choose a smaller graph_config.CHUNK_SIZE or fewer SPATIAL_BITS",
                )
            return np.arange(own + 1, own + 1 + pieces.labels.size, dtype=np.uint64)
        wrong = pieces.labels[~is_own]
        if wrong.size:
            raise InputError(
                place,
                chunk_name(coords),
                "ids of this chunk, since WATERSHED is the same volume",
                f"{wrong.size:,} others, such as {wrong[0]}",
                "name another WATERSHED, which prepare then writes, or correct CHUNK_SIZE or SPATIAL_BITS",
            )
        return pieces.labels

    def _looked_up(self, pieces: Pieces, coords: Coordinates, table: LabelTable) -> Ids:
        labels, unknown = table.of(pieces.labels)
        if unknown.size:
            raise InputError(
                str(volumes_of(self._job.dataset).segmentation),
                chunk_name(coords),
                "every supervoxel in the table",
                f"{unknown.size:,} that are not, such as {unknown[0]}",
                "add them, with label 0 if they belong to nothing",
            )
        return labels
