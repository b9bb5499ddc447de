"""Pieces, contacts, edges and components of chunks, against an oracle that looks at every voxel."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.components import Mapping
from beam_ingest.inputs.edges import ChunkEdges, Edges
from beam_ingest.volumes import contacts
from beam_ingest.volumes.agglomerate import LabelTable, most_frequent
from beam_ingest.volumes.assemble import assemble_components, assemble_edges
from beam_ingest.volumes.coherence import SHOWN, ChunkLabels, LabelTotals, chunk_labels, label_totals
from beam_ingest.volumes.contacts import Affinities, Pieces, contacts_within, find_pieces
from beam_ingest.volumes.faces import Crossings, Plane, crossings
from tests.examples import examples
from tests.graphs import pinky256
from tests.volumes.datasets import make_volumes
from tests.volumes.oracle import Coords, Expected, Piece, expect

GRID = ChunkGrid((4, 4, 4))


class Cut:
    """A volume, cut into chunks by the kernels."""

    def __init__(
        self,
        supervoxels: np.ndarray,
        size: Coords,
        segmentation: np.ndarray | None = None,
        affinities: Affinities | None = None,
    ) -> None:
        self.pieces: dict[Coords, Pieces] = {}
        self.ids: dict[Coords, np.ndarray] = {}
        self.agglomerated: dict[Coords, np.ndarray] = {}
        self.mixed = self.alone = 0
        self.edges: dict[Coords, ChunkEdges] = {}
        self.components: dict[Coords, Mapping] = {}
        self.labels: list[tuple[int, ChunkLabels]] = []
        inside, across = {}, {}
        shape = [-(-n // c) for n, c in zip(supervoxels.shape, size, strict=True)]
        for coords in product(*map(range, shape)):
            box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(coords, size, strict=True))
            found = self.pieces[coords] = find_pieces(np.asfortranarray(supervoxels[box]))
            first = GRID.chunk_id(1, coords) + 1
            self.ids[coords] = np.arange(first, first + found.labels.size, dtype=np.uint64)
            self.agglomerated[coords] = found.labels
            if segmentation is not None:
                self.agglomerated[coords], mixed = most_frequent(found, np.asfortranarray(segmentation[box]))
                self.mixed += mixed
            inside[coords] = contacts_within(found, None if affinities is None else affinities[box])
            across[coords] = list[Crossings]()
        for coords, axis in product(self.pieces, range(3)):
            x, y, z = (c + (i == axis) for i, c in enumerate(coords))
            if (x, y, z) in self.pieces:
                box = tuple(slice(i * c, (i + 1) * c) for i, c in zip((x, y, z), size, strict=True))
                given_ = None if affinities is None else affinities[box]
                lower, upper = self._plane(coords, axis, False), self._plane((x, y, z), axis, True, given_)
                for chunk, found in zip((coords, (x, y, z)), crossings(lower, upper), strict=True):
                    across[chunk].append(Crossings.decode(found.encode()))
        for coords in self.pieces:
            self.edges[coords], alone = assemble_edges(self.ids[coords], inside[coords], across[coords])
            self.alone += alone
            self.components[coords] = assemble_components(
                self.ids[coords], self.agglomerated[coords], across[coords]
            )
            said = chunk_labels(
                self.ids[coords],
                self.pieces[coords].labels,
                self.agglomerated[coords],
                self.edges[coords].in_chunk,
                across[coords],
            )
            self.labels += ChunkLabels.decode(said.encode()).shards(3).items()

    def _plane(self, coords: Coords, axis: int, upper: bool, affinities: Affinities | None = None) -> Plane:
        pieces, ids, labels = self.pieces[coords], self.ids[coords], self.agglomerated[coords]
        return Plane.decode(Plane.of(pieces, ids, labels, axis, upper, affinities).encode())

    def named(self, ids: np.ndarray) -> list[Piece]:
        coords = GRID.coords(ids, 1).tolist()
        segments = GRID.segments(ids, 1).tolist()
        pairs = zip(coords, segments, strict=True)
        return [((x, y, z), int(self.pieces[x, y, z].labels[s - 1])) for (x, y, z), s in pairs]

    def columns(self, ids: np.ndarray) -> np.ndarray:
        """Chunk and source label of pieces, shape (n, 4)."""
        coords, segments = GRID.coords(ids, 1).astype(np.int64), GRID.segments(ids, 1).astype(np.int64)
        labels = np.zeros(ids.size, np.int64)
        own = ids - GRID.segments(ids, 1).astype(np.uint64)
        chunks, at = np.unique(own, return_index=True)
        for chunk, (x, y, z) in zip(chunks, coords[at].tolist(), strict=True):
            here = own == chunk
            labels[here] = self.pieces[x, y, z].labels[segments[here] - 1]
        return np.column_stack([coords, labels])

    def rows(self, edges: Edges) -> dict[tuple[Piece, Piece], tuple[int, float]]:
        pairs = list(zip(self.named(edges.node_ids1), self.named(edges.node_ids2), strict=True))
        values = zip(edges.areas.tolist(), edges.affinities.tolist(), strict=True)
        assert len(set(pairs)) == len(pairs)
        return dict(zip(pairs, values, strict=True))


def expected_labels(expected: Expected) -> LabelTotals:
    """By walking from piece to piece of one label."""
    sources = {label for _, label in expected.pieces}
    touching = {piece[1] for a, b in expected.area if a[1] != b[1] for piece in (a, b)}
    parts: Counter[int] = Counter()
    beside = defaultdict(set)
    for a, b in expected.area:
        if expected.pieces[a] == expected.pieces[b]:
            beside[a].add(b)
            beside[b].add(a)
    seen: set[Piece] = set()
    for piece, label in expected.pieces.items():
        if piece not in seen and label:
            parts[label] += 1
            waiting = [piece]
            while waiting:
                at = waiting.pop()
                if at not in seen:
                    seen.add(at)
                    waiting += beside[at]
    apart = sorted((label, count) for label, count in parts.items() if count > 1)
    return LabelTotals(len(sources), len(sources - touching), len(apart), tuple(apart[:SHOWN]))


def assert_expected(cut: Cut, expected: Expected, scale: float | None) -> None:
    found = {(c, int(n)) for c, pieces in cut.pieces.items() for n in pieces.labels}
    assert found == set(expected.pieces)
    for chunk, pieces in cut.pieces.items():
        named = zip(pieces.labels.tolist(), cut.agglomerated[chunk].tolist(), strict=True)
        assert all(expected.pieces[chunk, label] == agglomerated for label, agglomerated in named)
    seen: dict[Coords, dict[str, dict[tuple[Piece, Piece], tuple[int, float]]]] = {}
    for chunk, groups in cut.edges.items():
        seen[chunk] = {name: cut.rows(getattr(groups, name)) for name in vars(groups)}
        for edges in vars(groups).values():
            order = np.lexsort((edges.node_ids2, edges.node_ids1))
            assert np.array_equal(order, np.arange(len(edges)))
    wanted: dict[Coords, dict[str, dict[tuple[Piece, Piece], tuple[int, float]]]] = {
        chunk: {"in_chunk": {}, "cross_chunk": {}, "between_chunk": {}} for chunk in cut.edges
    }
    for (a, b), area in expected.area.items():
        mean = float(np.float32(area if scale is None else expected.affinity[a, b] / area / scale))
        if a[0] == b[0]:
            wanted[a[0]]["in_chunk"][a, b] = (area, mean)
            continue
        kind, value = ("cross_chunk", np.inf) if a[1] == b[1] else ("between_chunk", mean)
        wanted[a[0]][kind][a, b] = wanted[b[0]][kind][b, a] = (area, value)
    for piece in set(expected.pieces) - expected.touching():
        wanted[piece[0]]["in_chunk"][piece, piece] = (0, 0.0)
    for chunk, kinds in wanted.items():
        for kind, rows in kinds.items():
            assert seen[chunk][kind].keys() == rows.keys()
            for pair, (area, mean) in rows.items():
                assert seen[chunk][kind][pair][0] == area
                assert seen[chunk][kind][pair][1] == pytest.approx(mean, rel=1e-6)
    shards = [[said for shard, said in cut.labels if shard == number] for number in range(3)]
    assert sum((label_totals(said) for said in shards if said), LabelTotals()) == expected_labels(expected)
    for chunk, mapping in cut.components.items():
        around = {b for a, b in expected.area if a[0] == chunk} | {
            a for a, b in expected.area if b[0] == chunk
        }
        around |= {piece for piece in expected.pieces if piece[0] == chunk}
        groups: dict[int, set[Piece]] = {}
        for piece, number in zip(cut.named(mapping.ids), mapping.components.tolist(), strict=True):
            groups.setdefault(number, set()).add(piece)
        labels = {expected.pieces[piece] for piece in around} - {0}
        assert sorted(map(sorted, groups.values())) == sorted(
            sorted(p for p in around if expected.pieces[p] == label) for label in labels
        )


@st.composite
def volumes(draw: st.DrawFn) -> tuple[np.ndarray, Coords, np.ndarray | None, np.ndarray | None]:
    """Supervoxels, chunk size, and maybe a segmentation and affinities: sparse or dense, of odd sizes."""
    size = draw(st.tuples(*[st.integers(1, 4)] * 3))
    shape = tuple(draw(st.integers(1, 4 * c)) for c in size)
    shape = tuple(min(n, 7) for n in shape)
    kind = draw(st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64]))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    labels = np.append(0, rng.integers(1, np.iinfo(kind).max, draw(st.integers(1, 9)), kind)).astype(kind)
    weights = np.append(draw(st.floats(0, 9)), rng.random(labels.size - 1))
    supervoxels = rng.choice(labels, shape, p=weights / weights.sum())
    if draw(st.booleans()):  # in bricks: labels that go on over chunks
        supervoxels = supervoxels.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: shape[0], : shape[1], : shape[2]]
    segmentation = rng.integers(0, 3, shape).astype(np.uint64) if draw(st.booleans()) else None
    of = draw(st.sampled_from([None, np.uint8, np.float32]))
    affinities = None if of is None else (rng.random((*shape, 3)) * (255 if of is np.uint8 else 1)).astype(of)
    return supervoxels, size, segmentation, affinities


@examples(60)
@given(volumes())
def test_random_volumes(given_: tuple[np.ndarray, Coords, np.ndarray | None, np.ndarray | None]) -> None:
    affinities = given_[-1]
    cut, expected = Cut(*given_), expect(*given_)
    scale = None if affinities is None else 255.0 if affinities.dtype == np.uint8 else 1.0
    assert_expected(cut, expected, scale)
    assert cut.alone == len(set(expected.pieces) - expected.touching())


@pytest.mark.parametrize("at_once", [1, 7, 300])
def test_voxels_may_be_compared_few_at_a_time(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.asfortranarray(make_volumes()[0])
    affinities = np.random.default_rng(2).random((*labels.shape, 3)).astype(np.float32)
    found = []
    for _ in range(2):
        pieces = find_pieces(labels)
        found.append([*vars(pieces).values(), *vars(contacts_within(pieces, affinities)).values()])
        monkeypatch.setattr(contacts, "_AT_ONCE", at_once)
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


def test_labels_that_touch_diagonally_have_no_contact() -> None:
    supervoxels = np.zeros((4, 4, 4), np.uint32)
    supervoxels[:2, :2, :2], supervoxels[2:, 2:, :2], supervoxels[2:, 2:, 2:] = 7, 5, 9
    cut = Cut(supervoxels, (4, 4, 4))
    edges = cut.rows(cut.edges[0, 0, 0].in_chunk)
    piece = {label: ((0, 0, 0), label) for label in (5, 7, 9)}
    assert edges == {(piece[5], piece[9]): (4, 4.0), (piece[7], piece[7]): (0, 0.0)}


def test_a_tie_goes_to_the_lowest_label() -> None:
    supervoxels = np.array([[[4, 4, 4, 4, 6, 6, 6]]], np.uint8)
    segmentation = np.array([[[9, 2, 9, 2, 3, 0, 0]]], np.uint16)
    labels, mixed = most_frequent(find_pieces(supervoxels), segmentation)
    assert (labels.tolist(), mixed) == ([2, 0], 2)


def test_pairs_are_joined_under_the_lowest_label() -> None:
    table = LabelTable.from_pairs(np.array([9, 7, 4], np.uint64), np.array([7, 3, 5], np.uint64))
    labels, unknown = table.of(np.array([3, 4, 5, 6, 7, 9], np.uint64))
    assert (labels.tolist(), unknown.tolist()) == ([3, 4, 4, 6, 3, 3], [])


def test_a_table_knows_what_it_lacks() -> None:
    table = LabelTable(np.array([3, 8], np.uint64), np.array([1, 0], np.uint64), whole=True)
    labels, unknown = table.of(np.array([3, 5, 8], np.uint64))
    assert (labels[[0, 2]].tolist(), unknown.tolist()) == ([1, 0], [5])


@pytest.mark.shared_data
def test_real_volumes_have_the_contacts_that_others_found() -> None:
    from cloudvolume import CloudVolume

    folder = pinky256() / "volumes"
    read = [
        np.asarray(CloudVolume(f"file://{folder / name}", progress=False)[:])[..., 0]
        for name in ("supervoxels", "segmentation")
    ]
    cut = Cut(read[0], (64, 64, 64), read[1])
    assert sum(pieces.labels.size for pieces in cut.pieces.values()) == 13_855
    assert cut.alone == 1
    found = []
    for groups in cut.edges.values():
        for kind, name in enumerate(("in_chunk", "cross_chunk", "between_chunk")):
            edges = getattr(groups, name)
            ends = [cut.columns(ids) for ids in (edges.node_ids1, edges.node_ids2)]
            rows = np.column_stack([np.full(len(edges), kind), *ends, edges.areas.astype(np.int64)])
            # A piece that touches nothing has an edge to itself; of edges between chunks both have one.
            found.append(rows[(rows[:, 1:5] != rows[:, 5:9]).any(axis=1)])
    with np.load(folder / "expected_edges.npz") as file:
        columns = {name: file[name].astype(np.int64) for name in file.files}
    ends = [np.column_stack([columns[f"chunk{end}"], columns[f"supervoxel{end}"]]) for end in "12"]
    expected = np.column_stack([columns["kind"], *ends, columns["faces"].sum(axis=1)])
    assert np.array_equal(in_order(np.concatenate(found)), in_order(expected))
    assert np.bincount(expected[:, 0]).tolist() == [58_279, 3_813, 3_246]


def in_order(rows: np.ndarray) -> np.ndarray:
    """Rows of kind, chunk and label of either end, and area: each contact once, its lower end first."""
    low, high = rows[:, 1:5], rows[:, 5:9]
    differ = low != high
    at = differ.argmax(axis=1)[:, None]
    swap = np.take_along_axis(low, at, 1) > np.take_along_axis(high, at, 1)
    ends = np.where(swap, high, low), np.where(swap, low, high)
    rows = np.column_stack([rows[:, 0], *ends, rows[:, 9]])
    rows = rows[np.lexsort(rows.T)]
    return rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
