"""The sample dataset: its files agree with its voxels and with each other, and hold the special cases."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import yaml

from beam_ingest.sample import SampleCounts, SampleSpec, write_sample

from . import files
from .files import Coords, Pair

SPECS = [
    SampleSpec(chunks=(4, 4, 4), chunk_size=(16, 16, 16)),
    SampleSpec(chunks=(3, 2, 5), chunk_size=(20, 13, 11), seed=7, data_version=3, size=(47, 26, 50)),
    SampleSpec(
        chunks=(2, 3, 3), chunk_size=(17, 18, 16), seed=2**64 - 1, data_version=2, voxel_offset=(5, 0, 70)
    ),
]
LEAVING = {"cross_chunk": "fake", "between_chunk": "between_chunks"}


@dataclass(frozen=True)
class Sample:
    """A written sample and what is read of it."""

    spec: SampleSpec
    folder: Path
    counts: SampleCounts

    @cached_property
    def edges(self) -> dict[Coords, files.ChunkEdges]:
        return files.edges(self.folder)

    @cached_property
    def components(self) -> dict[Coords, dict[int, int]]:
        return files.components(self.folder)

    @cached_property
    def volume(self) -> np.ndarray:
        return files.voxels(self.folder)

    @cached_property
    def contacts(self) -> dict[Pair, list[int]]:
        return files.contacts(self.volume)

    @cached_property
    def supervoxels(self) -> set[int]:
        return set(np.unique(self.volume).tolist()) - {0}

    def chunk(self, coords: Coords) -> np.ndarray:
        """The voxels of one chunk."""
        box = (slice(c * n, (c + 1) * n) for c, n in zip(coords, self.spec.chunk_size, strict=True))
        return self.volume[tuple(box)]

    def active(self, coords: Coords, group: str) -> set[Pair]:
        """The edges of a chunk whose ends are in one component of its mapping."""
        mapping = self.components.get(coords, {})
        pairs = files.rows(self.edges[coords], group)
        return {(a, b) for a, b in pairs if a in mapping and mapping[a] == mapping.get(b)}

    @cached_property
    def objects(self) -> list[set[int]]:
        """Supervoxels joined by active and cross edges; one that nothing joins is an object too."""
        pairs = {(a, a) for a in self.supervoxels}
        for coords, chunk in self.edges.items():
            pairs |= self.active(coords, "in_chunk") | self.active(coords, "between_chunk")
            pairs |= set(files.rows(chunk, "cross_chunk"))
        return files.groups(pairs)


@pytest.fixture(scope="module", params=SPECS, ids=lambda spec: f"version {spec.data_version}")
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("sample")
    return Sample(request.param, folder, write_sample(folder, request.param, processes=1))


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """4x4x4 chunks."""
    folder = tmp_path_factory.mktemp("cube")
    return Sample(SPECS[0], folder, write_sample(folder, SPECS[0], processes=1))


@pytest.mark.slow
@pytest.mark.sampled(1)
def test_ids_lie_in_their_chunks(sample: Sample) -> None:
    assert sample.volume.shape == sample.spec.volume_size
    for coords in files.chunks_of(sample.spec.chunks):
        ids = np.unique(sample.chunk(coords))
        ids = ids[ids > 0]
        assert {files.chunk_of(i) for i in ids.tolist()} <= {coords}
        assert (ids >> np.uint64(56) == 1).all()
        segments = (ids & np.uint64((1 << files.SEGMENT_BITS) - 1)).tolist()
        assert min(segments, default=1) == 1
        assert len(segments) * 0.9 <= max(segments, default=0) <= len(segments) * 1.1


@pytest.mark.slow
def test_gaps_between_segments(cube: Sample) -> None:
    gaps = 0
    for coords in files.chunks_of(cube.spec.chunks):
        ids = np.unique(cube.chunk(coords))
        gaps += int((np.diff(ids[ids > 0]) > 1).sum())
    assert gaps > 0


def test_edges_are_what_touches_in_the_volume(sample: Sample) -> None:
    weights = (1, 1, 1) if sample.spec.data_version == 2 else files.RESOLUTION
    expected: dict[Coords, dict[str, dict[Pair, int]]] = defaultdict(lambda: {"inside": {}, "over": {}})
    for (a, b), areas in sample.contacts.items():
        area = sum(w * n for w, n in zip(weights, areas, strict=True))
        own, other = files.chunk_of(a), files.chunk_of(b)
        if own == other:
            expected[own]["inside"][a, b] = area
        else:
            expected[own]["over"][a, b] = area
            expected[other]["over"][b, a] = area
    for coords, chunk in sample.edges.items():
        inside, cross, between = (
            files.rows(chunk, group) for group in ("in_chunk", "cross_chunk", "between_chunk")
        )
        over = expected[coords]["over"]
        assert {pair: area for pair, (_, area) in inside.items()} == expected[coords]["inside"]
        assert not cross.keys() & between.keys()
        assert cross.keys() | between.keys() == over.keys()
        assert all(area == over[pair] for pair, (_, area) in between.items())
    assert set(expected) <= set(sample.edges)


def test_affinities(sample: Sample) -> None:
    of_active, of_others = [], []
    for coords, chunk in sample.edges.items():
        assert set(files.rows(chunk, "cross_chunk").values()) <= {(float("inf"), 1)}
        for group in ("in_chunk", "between_chunk"):
            active = sample.active(coords, group)
            for pair, (affinity, _) in files.rows(chunk, group).items():
                assert 0 < affinity <= 1
                (of_active if pair in active else of_others).append(affinity)
    assert min(of_active) > max(of_others)


def test_a_face_cuts_a_supervoxel_into_two(sample: Sample) -> None:
    for chunk in sample.edges.values():
        cut = [(a, files.chunk_of(b)) for a, b in files.rows(chunk, "cross_chunk")]
        assert len(set(cut)) == len(cut)


def test_edges_over_a_face_are_seen_from_both_sides(sample: Sample) -> None:
    for group in LEAVING:
        seen = {}
        for coords, chunk in sample.edges.items():
            for (a, b), values in files.rows(chunk, group).items():
                assert files.chunk_of(a) == coords
                assert files.chunk_of(b) in files.neighbours(coords)
                seen[a, b] = values
        assert seen
        assert all(seen[b, a] == values for (a, b), values in seen.items())


def test_edges_over_a_face_are_active_from_both_sides_or_from_neither(sample: Sample) -> None:
    active = set().union(*(sample.active(coords, "between_chunk") for coords in sample.edges))
    every = set().union(*(files.rows(chunk, "between_chunk") for chunk in sample.edges.values()))
    assert active == {(b, a) for a, b in active}
    assert active
    assert every - active


def test_raw_edges_are_the_edges(sample: Sample) -> None:
    version = sample.spec.data_version
    raw = {kind: files.raw_edges(sample.folder, kind, version) for kind in ("in_chunk", *LEAVING.values())}
    for coords in files.chunks_of(sample.spec.chunks):
        chunk = sample.edges.get(coords, files.ChunkEdges())
        for group in ("in_chunk", "between_chunk"):
            kind = LEAVING.get(group, group)
            assert files.assemble(raw[kind], coords, version) == files.rows(chunk, group)
        cut = files.assemble(raw["fake"], coords, version)
        assert cut.keys() == files.rows(chunk, "cross_chunk").keys()


def test_raw_records_lie_in_files_that_may_hold_them(sample: Sample) -> None:
    for kind in ("in_chunk", *LEAVING.values()):
        for record in files.raw_edges(sample.folder, kind, sample.spec.data_version):
            assert record.file in sample.edges or any(c in sample.edges for c in record.chunks)
            assert tuple(map(files.chunk_of, record.pair)) == record.chunks * (
                1 if len(record.chunks) == 2 else 2
            )
            upper = max(record.chunks)
            behind = [u - f for u, f in zip(upper, record.file, strict=True)]
            assert set(behind) <= {0, 1}
            if kind != "in_chunk":
                (axis,) = (i for i, (a, b) in enumerate(zip(*record.chunks, strict=True)) if a != b)
                assert behind[axis] == 1


def test_raw_records_make_use_of_every_liberty(cube: Sample) -> None:
    for kind, ways in (("in_chunk", 8), ("between_chunks", 4), ("fake", 4)):
        records = files.raw_edges(cube.folder, kind, cube.spec.data_version)
        places, orders, times = set(), set(), defaultdict(set)
        for record in records:
            lower = min(record.chunks)
            places.add(tuple(c - f for c, f in zip(lower, record.file, strict=True)))
            orders.add(record.chunks[0] == lower)
            a, b = sorted(record.pair)
            times[a, b].add(record.file)
        assert len(places) >= ways
        assert orders == ({True} if kind == "in_chunk" else {True, False})
        assert 0.02 < sum(len(where) == 2 for where in times.values()) / len(times) < 0.3
        assert max(map(len, times.values())) == 2


def test_components_are_those_of_the_joined_pairs(sample: Sample) -> None:
    by_chunk = defaultdict(list)
    for records in files.raw_pairs(sample.folder).values():
        for record in records:
            by_chunk[record.chunks[0]].append(record.pair)
    with_neighbours = 0
    for coords in sample.edges:
        near = [coords, *files.neighbours(coords)]
        expected = files.groups(pair for chunk in near for pair in by_chunk[chunk])
        found = defaultdict(set)
        for supervoxel, component in sample.components.get(coords, {}).items():
            found[component].add(supervoxel)
        assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected))
        with_neighbours += any(files.chunk_of(s) != coords for group in expected for s in group)
    assert with_neighbours
    assert set(sample.components) <= set(sample.edges)


def test_joined_pairs_lie_in_blocks_that_cover_them(cube: Sample) -> None:
    pairs = files.raw_pairs(cube.folder)
    assert sorted(pairs) == [0, 1, 2]
    for mip, records in pairs.items():
        for record in records:
            for coords in (*record.chunks, *map(files.chunk_of, record.pair)):
                assert tuple(c >> mip for c in coords) == record.file
    every = [record.pair for records in pairs.values() for record in records]
    assert all(a != b for a, b in every)
    assert len({frozenset(pair) for pair in every}) == len(every)


def test_empty_chunks_have_voxels_but_no_files(cube: Sample) -> None:
    empty = [c for c in files.chunks_of(cube.spec.chunks) if not cube.chunk(c).any()]
    assert (0, 0, 0) in empty
    assert set(cube.edges) == set(files.chunks_of(cube.spec.chunks)) - set(empty)
    assert not set(cube.components) & set(empty)
    name = "0-16_0-16_0-16.gz"
    assert (cube.folder / "ws/8_8_32" / name).exists()


def test_large_grids_have_empty_regions() -> None:
    spec = SampleSpec(chunks=(8, 8, 8))
    empty = {c for c in files.chunks_of(spec.chunks) if not spec.has_tissue(c)}
    assert empty == set(files.chunks_of((2, 2, 2)))


def test_supervoxels_without_edges_and_unmapped_ones(cube: Sample) -> None:
    in_edges = {i for pair in cube.contacts for i in pair}
    mapped = set().union(*cube.components.values())
    assert cube.supervoxels - in_edges
    assert in_edges - mapped
    assert not mapped - in_edges


def test_objects_of_every_extent(cube: Sample) -> None:
    extents = [{files.chunk_of(i) for i in members} for members in cube.objects]
    assert max(map(len, extents)) >= 8
    assert any(len(members) == 1 for members in cube.objects)
    assert any(
        len(members) > 1 and len(chunks) == 1 for members, chunks in zip(cube.objects, extents, strict=True)
    )
    # Chunks 1 and 2 along an axis first meet in the root: nodes of such objects skip layer 3.
    assert any(
        len(chunks) == 2 and any({a, b} == {1, 2} for a, b in zip(*chunks, strict=True)) for chunks in extents
    )


def test_counts(sample: Sample) -> None:
    groups = {
        group: sum(len(getattr(chunk, group)) for chunk in sample.edges.values())
        for group in ("in_chunk", *LEAVING)
    }
    counts = sample.counts
    chunks = int(np.prod(sample.spec.chunks))
    assert (counts.chunks, counts.empty_chunks) == (chunks, chunks - len(sample.edges))
    assert counts.supervoxels == len(sample.supervoxels)
    assert counts.in_chunk_edges == groups["in_chunk"]
    assert counts.between_chunk_edges == groups["between_chunk"] / 2
    assert counts.cross_chunk_edges == groups["cross_chunk"] / 2
    assert counts.edges == len(sample.contacts)
    assert counts.bytes == sum(map(len, files.digests(sample.folder).values()))


def test_dataset_file(sample: Sample) -> None:
    spec = sample.spec
    dataset = yaml.safe_load((sample.folder / "dataset.yml").read_text())
    source = dataset["data_source"]
    assert source.pop("DATA_VERSION") == spec.data_version
    folders = [*source.values(), dataset["ingest_config"]["AGGLOMERATION"]]
    written = {file.name for file in sample.folder.iterdir()}
    assert {str(Path(folder)) for folder in folders} == written - {"dataset.yml", ".beam-ingest-sample"}
    assert dataset["graph_config"]["CHUNK_SIZE"] == list(spec.chunk_size)
    assert dataset["graph_config"]["SPATIAL_BITS"] == files.SPATIAL_BITS
    assert dataset["backend_client"] == {"TYPE": "sqlite", "CONFIG": {"PATH": "./graph.sqlite"}}
    info = files.CloudVolume(f"file://{sample.folder}/ws").info
    (scale,) = info["scales"]
    assert (info["data_type"], scale["encoding"]) == ("uint64", "compressed_segmentation")
    assert scale["chunk_sizes"] == [list(spec.chunk_size)]
    assert scale["voxel_offset"] == list(spec.voxel_offset)
    assert scale["resolution"] == list(files.RESOLUTION)
