"""Labels of the whole volume: how many supervoxels there are, and which agglomerated labels do not cohere.

A label coheres when contacts between its own pieces lead from each of them to every other. Each chunk is
reduced to its own components first, so what meets is few. Pure numpy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from beam_ingest.arrays import Ids, components, find, group_starts
from beam_ingest.inputs.edges import Edges
from beam_ingest.stages.coding import pack_blobs, unpack_blobs
from beam_ingest.volumes.faces import Crossings

SHOWN = 20
"""Labels that do not cohere are named up to so many."""
MOST_SHARDS = 256
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class ChunkLabels:
    """What a chunk says of labels that may go on elsewhere.

    Attributes:
      sources: labels of supervoxels, shape (n,), uint64.
      touching: whether the chunk's piece of each touches another supervoxel, shape (n,), bool.
      parts: rows of an agglomerated label and the lowest piece of one of its components in the chunk,
        shape (k, 2), uint64; without label 0.
      links: rows of an agglomerated label and two pieces of it that are one part of it, shape (m, 3).
    """

    sources: Ids
    touching: np.ndarray[tuple[int], np.dtype[np.bool_]]
    parts: Ids
    links: Ids

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        columns = (self.sources, self.parts, self.links)
        blobs = [self.touching.astype(np.uint8).tobytes(), *(c.astype("<u8").tobytes() for c in columns)]
        return pack_blobs(blobs)

    @classmethod
    def decode(cls, data: bytes) -> ChunkLabels:
        """What `encode` packed."""
        touching, *columns = (blob or b"" for blob in unpack_blobs(data))
        sources, parts, links = (np.frombuffer(column, "<u8") for column in columns)
        return cls(sources, np.frombuffer(touching, bool), parts.reshape(-1, 2), links.reshape(-1, 3))

    def shards(self, count: int) -> dict[int, ChunkLabels]:
        """What is said of the labels of each of `count` shards; those of which nothing is are left out."""
        of_source, of_part, of_link = (
            _shard(labels, count) for labels in (self.sources, self.parts[:, 0], self.links[:, 0])
        )
        return {
            shard: ChunkLabels(
                self.sources[of_source == shard],
                self.touching[of_source == shard],
                self.parts[of_part == shard],
                self.links[of_link == shard],
            )
            for shard in np.unique(np.concatenate([of_source, of_part])).tolist()
        }


@dataclass(frozen=True)
class LabelTotals:
    """What is known of all labels.

    Attributes:
      supervoxels: different labels of supervoxels.
      without_neighbour: those of which no piece touches another supervoxel.
      incoherent: agglomerated labels whose pieces are not all connected by contacts between them.
      examples: the lowest of these, each with the number of its parts.
    """

    supervoxels: int = 0
    without_neighbour: int = 0
    incoherent: int = 0
    examples: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: LabelTotals) -> LabelTotals:
        return LabelTotals(
            self.supervoxels + other.supervoxels,
            self.without_neighbour + other.without_neighbour,
            self.incoherent + other.incoherent,
            tuple(sorted(self.examples + other.examples)[:SHOWN]),
        )

    def encode(self) -> bytes:
        """As bytes, for `decode`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> LabelTotals:
        """What `encode` packed."""
        content = json.loads(data)
        return cls(**content | {"examples": tuple((label, parts) for label, parts in content["examples"])})


def chunk_labels(
    ids: Ids, sources: Ids, agglomerated: Ids | None, in_chunk: Edges, across: Sequence[Crossings]
) -> ChunkLabels:
    """Reduce a chunk to what other chunks have to know.

    Args:
      ids: of its pieces, shape (n,), uint64, ascending.
      sources: their source labels, shape (n,).
      agglomerated: their agglomerated labels, shape (n,); None where nothing is joined.
      in_chunk: its edges within.
      across: contacts with the neighbours.
    """
    left, right = (find(ids, ends)[0] for ends in (in_chunk.node_ids1, in_chunk.node_ids2))
    apart = left != right
    touching = np.zeros(ids.size, bool)
    touching[left[apart]] = touching[right[apart]] = True
    for each in across:
        touching[find(ids, each.own[~each.cut])[0]] = True
    if agglomerated is None:
        return ChunkLabels(sources, touching, np.empty((0, 2), np.uint64), np.empty((0, 3), np.uint64))
    same = (agglomerated[left] == agglomerated[right]) & (agglomerated[left] != 0)
    part = components(ids.size, left[same], right[same])
    _, lowest = np.unique(part, return_index=True)
    lowest = lowest[agglomerated[lowest] != 0]
    parts = np.stack([agglomerated[lowest], ids[lowest]], axis=1)
    links = [np.empty((0, 3), np.uint64)]
    _, first = np.unique(part, return_index=True)
    for each in across:
        own, _ = find(ids, each.own)
        active = (agglomerated[own] == each.agglomerated) & (each.agglomerated != 0)
        own, label = own[active], each.agglomerated[active]
        links.append(np.stack([label, ids[own], ids[first[part[own]]]], axis=1))
        lower = each.own[active] < each.partner[active]  # of the two chunks that know it, one tells it
        links.append(np.stack([label, each.own[active], each.partner[active]], axis=1)[lower])
    linked = np.concatenate(links)
    linked = linked[linked[:, 1] != linked[:, 2]]
    return ChunkLabels(sources, touching, parts, np.unique(linked, axis=0))


def label_totals(chunks: Iterable[ChunkLabels]) -> LabelTotals:
    """What all that is said of some labels comes to; the labels are those of one shard, or of all."""
    found = list(chunks)
    sources, touching, parts, links = (
        np.concatenate([getattr(chunk, name) for chunk in found])
        for name in ("sources", "touching", "parts", "links")
    )
    order = np.argsort(sources, kind="stable")
    starts = group_starts(sources[order])
    touched = np.logical_or.reduceat(touching[order], starts) if starts.size else touching[:0]
    names, at = np.unique(np.concatenate([parts[:, 1], links[:, 1], links[:, 2]]), return_inverse=True)
    own, left, right = np.split(at.reshape(-1).astype(np.int64), [len(parts), len(parts) + len(links)])
    whole = components(names.size, left, right)[own]
    pairs = np.unique(np.stack([parts[:, 0], whole.astype(np.uint64)], axis=1), axis=0)
    labels, counts = np.unique(pairs[:, 0], return_counts=True)
    several = np.flatnonzero(counts > 1)
    return LabelTotals(
        int(starts.size),
        int(np.count_nonzero(~touched)),
        int(several.size),
        tuple(zip(labels[several[:SHOWN]].tolist(), counts[several[:SHOWN]].tolist(), strict=True)),
    )


def _shard(labels: Ids, count: int) -> Ids:
    """The shard of each label: of the high bits of a product, so that labels in a row are spread."""
    mixed: Ids = (labels * _MIX) >> np.uint64(32)
    return mixed % np.uint64(count)
