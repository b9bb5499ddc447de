"""What ``prepare`` counts of each chunk, kept in the job's table beside its progress row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from beam_ingest.format.grid import Ids
from beam_ingest.format.table import Cells, ColumnName, single
from beam_ingest.inputs.edges import ChunkEdges, Edges
from beam_ingest.stages.coding import compress, decompress
from beam_ingest.stages.progress import AFTER_DIGITS
from beam_ingest.stages.sums import Sums
from beam_ingest.stores import Store
from beam_ingest.volumes.coherence import ChunkLabels, LabelTotals

_PREFIX = b"beam_ingest/prepared/"
_TOTALS = ColumnName("0", b"totals")
_LABELS = ColumnName("0", b"labels")
_CHECKSUM = ColumnName("0", b"checksum")
_LABELS_KEY = _PREFIX + b"labels"


@dataclass(frozen=True)
class Totals(Sums):
    """What was found, of one chunk or of several.

    Attributes:
      pieces: parts of supervoxels in chunks.
      in_chunk: contacts within a chunk.
      cross_chunk: contacts between the halves of a supervoxel that a chunk's face cut.
      between_chunk: other contacts between chunks.
      in_chunk_area: voxel faces of these contacts; so with the next two.
      alone: pieces that touch nothing.
      mixed: pieces whose voxels have several agglomerated labels.
      unmapped: pieces of agglomerated label 0.
      nbytes: bytes of the files.
    """

    pieces: int = 0
    in_chunk: int = 0
    cross_chunk: int = 0
    between_chunk: int = 0
    in_chunk_area: int = 0
    cross_chunk_area: int = 0
    between_chunk_area: int = 0
    alone: int = 0
    mixed: int = 0
    unmapped: int = 0
    nbytes: int = 0

    @classmethod
    def of(cls, edges: ChunkEdges, agglomerated: Ids, *, alone: int, mixed: int, nbytes: int) -> Totals:
        """Those of a chunk; a contact between two chunks counts for the lower of them."""
        inside = edges.in_chunk.node_ids1 != edges.in_chunk.node_ids2
        cross, between = (_lower(group) for group in (edges.cross_chunk, edges.between_chunk))
        return cls(
            pieces=agglomerated.size,
            in_chunk=int(np.count_nonzero(inside)),
            cross_chunk=cross[0],
            between_chunk=between[0],
            in_chunk_area=int(edges.in_chunk.areas.sum()),
            cross_chunk_area=cross[1],
            between_chunk_area=between[1],
            alone=alone,
            mixed=mixed,
            unmapped=int(np.count_nonzero(agglomerated == 0)),
            nbytes=nbytes,
        )

    def cells(self, chunk_id: int, labels: ChunkLabels, checksum: int) -> Cells:
        """The row of a chunk.

        Args:
          chunk_id: the chunk.
          labels: what it says of labels.
          checksum: of its files: a resume with other input is noticed by it.
        """
        key = _PREFIX + b"%020d" % chunk_id
        return [
            single(_TOTALS, key, self.encode()),
            single(_LABELS, key, compress(labels.encode())),
            single(_CHECKSUM, key, checksum.to_bytes(4, "little")),
        ]


def read_totals(store: Store) -> Totals:
    """The totals of all chunks that are done."""
    total = Totals()
    for _, row in store.read_range(_PREFIX + b"0", _PREFIX + AFTER_DIGITS):
        total += Totals.decode(row[_TOTALS].value)
    return total


def read_chunk_labels(store: Store, chunks: list[int]) -> Iterator[ChunkLabels]:
    """What chunks that are done say of labels."""
    rows = store.read_rows([_PREFIX + b"%020d" % chunk for chunk in chunks])
    for _, row in sorted(rows.items()):
        yield ChunkLabels.decode(decompress(row[_LABELS].value))


def write_label_totals(store: Store, totals: LabelTotals, timestamp: int) -> None:
    """Keep what all chunks together say of labels."""
    store.write([single(_LABELS, _LABELS_KEY, totals.encode())], timestamp)


def read_label_totals(store: Store) -> LabelTotals | None:
    """What was kept; None if the labels are not counted yet."""
    row = store.read_rows([_LABELS_KEY]).get(_LABELS_KEY)
    return None if row is None else LabelTotals.decode(row[_LABELS].value)


def _lower(edges: Edges) -> tuple[int, int]:
    lower = edges.node_ids1 < edges.node_ids2
    return int(np.count_nonzero(lower)), int(edges.areas[lower].sum())
