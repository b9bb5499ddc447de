"""Attributes of all nodes of a chunk at once, against an oracle that takes them one by one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.l2cache import numbering, runs
from beam_ingest.l2cache.attributes import Attributes, node_attributes
from beam_ingest.l2cache.cells import ATTRIBUTES, node_cells
from beam_ingest.l2cache.job import BYTES_PER_VOXEL
from beam_ingest.l2cache.numbering import number_nodes
from tests.examples import examples
from tests.l2cache.oracle import Triple, expect


@st.composite
def boxes(draw: st.DrawFn) -> tuple[np.ndarray, Triple]:
    """A chunk's box of supervoxels in bricks, of which the volume's end may cut a part, and a resolution."""
    shape = draw(st.tuples(*[st.integers(1, 7)] * 3))
    brick = draw(st.tuples(*[st.integers(1, 4)] * 3))
    count = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    few = rng.integers(
        draw(st.integers(0, 1)), count + 1, [-(-n // b) for n, b in zip(shape, brick, strict=True)]
    )
    labels = few.repeat(brick[0], 0).repeat(brick[1], 1).repeat(brick[2], 2)
    labels = labels[: shape[0], : shape[1], : shape[2]]
    if draw(st.booleans()):  # a voxel in the midst of others
        labels[tuple(rng.integers(0, shape))] = count + 1
    cut = draw(st.tuples(*[st.integers(0, 2)] * 3))
    labels = np.pad(labels, [(0, n) for n in cut])  # beyond the end of the volume
    return labels.astype(np.uint64), draw(
        st.sampled_from([(16, 16, 40), (400, 300, 100), (1, 1, 1), (9, 5, 1)])
    )


@given(boxes(), st.sampled_from([1, 1 << 20]), st.sampled_from([1, 1 << 22]))
@examples(60)
def test_every_attribute_of_every_node(box: tuple[np.ndarray, Triple], slab: int, apart: int) -> None:
    """In slabs of a plane and in one; with supervoxels that are numbered densely and sparsely."""
    ids, resolution = box
    supervoxels = np.unique(ids)[1:] if (ids == 0).any() else np.unique(ids)
    parents = supervoxels % np.uint64(4) + np.uint64(100)  # nodes may be in several pieces
    known = supervoxels != 3  # which the graph does not have
    with pytest.MonkeyPatch.context() as patch:
        for module in (runs, numbering):
            patch.setattr(module, "SLAB_VOXELS", slab)
        spread = np.uint64(apart)
        numbered = number_nodes(np.asfortranarray(ids * spread), supervoxels[known] * spread, parents[known])
        found = node_attributes(numbered.numbers, numbered.nodes.size, resolution)
    nodes = np.where((ids == 0) | (ids == 3), 0, ids % 4 + 100)
    assert numbered.nodes.tolist() == np.unique(nodes[nodes > 0]).tolist()
    assert numbered.unknown.tolist() == [3 * apart] * bool((ids == 3).any())
    assert numbered.absent.size == 0
    for at, node in enumerate(numbered.nodes.tolist()):
        check_node(found, at, nodes, node, resolution)


def check_node(found: Attributes, at: int, nodes: np.ndarray, node: int, resolution: Triple) -> None:
    expected = expect(nodes, node, resolution)
    assert found.voxels[at] == expected.size
    assert found.area_nm2[at] == expected.area
    assert found.max_dt_nm[at] == max(expected.depths)
    assert found.mean_dt_nm[at] == pytest.approx(np.mean(expected.depths))
    assert found.intersections[at].tolist() == expected.faces
    (place,) = np.flatnonzero((expected.coords == found.representative[at]).all(axis=1))
    highest = expected.weights.max()
    assert expected.weights[place] >= highest - 1e-6 * max(highest, 1)
    alike = [i for i, w in enumerate(expected.weights) if w > highest - 1e-6]
    if all(expected.weights[i] == highest for i in alike):  # exact ties alone: the rule decides
        assert place == min(alike, key=lambda i: (expected.depths[i], i))
    assert found.has_pca[at] == (expected.size * np.prod(resolution) >= 10_000_000)
    values, axes = expected.singular(resolution)
    assert found.singular_values[at] == pytest.approx(values, rel=1e-6, abs=1e-3 * max(resolution))
    components = found.components[at]
    assert components @ components.T == pytest.approx(np.eye(3), abs=1e-9)
    assert (components[range(3), np.abs(components).argmax(axis=1)] > 0).all()
    for i in range(3):
        apart = np.abs(np.delete(values, i) - values[i]).min() > 1e-2 * values.max()
        if apart:
            assert abs(components[i] @ axes[i]) == pytest.approx(1, abs=1e-6)


def whole(label: int) -> np.ndarray:
    return np.full((5, 4, 3), label, np.uint16, order="F")


def test_a_node_of_a_whole_chunk_has_no_boundary() -> None:
    found = node_attributes(whole(1), 1, (16.0, 16.0, 40.0))
    assert (found.voxels, found.area_nm2, found.max_dt_nm, found.mean_dt_nm) == (60, 0, 0, 0)
    assert found.representative.tolist() == [[0, 0, 0]]
    assert found.intersections.tolist() == [[[12, 15, 20]] * 2]


def test_no_nodes() -> None:
    found = node_attributes(whole(0), 0, (16.0, 16.0, 40.0))
    assert all(len(values) == 0 for values in vars(found).values())


def test_nodes_without_voxels_are_told() -> None:
    ids = np.array([[[1, 1, 5, 0]]], np.uint64, order="F")
    supervoxels, parents = np.array([1, 2, 5, 6], np.uint64), np.array([30, 20, 10, 30], np.uint64)
    numbered = number_nodes(ids, supervoxels, parents)
    assert numbered.nodes.tolist() == [10, 30]
    assert numbered.absent.tolist() == [20]
    assert numbered.numbers.tolist() == [[[2, 2, 1, 0]]]


def test_more_nodes_than_two_bytes_number() -> None:
    ids = np.arange(1, 70_001, dtype=np.uint64).reshape((70, 100, 10), order="F")
    labels = np.arange(1, 70_001, dtype=np.uint64)
    numbered = number_nodes(ids, labels, labels)
    assert (numbered.numbers == ids).all()
    found = node_attributes(numbered.numbers, 70_000, (4.0, 4.0, 40.0))
    assert (found.voxels == 1).all()
    assert (found.representative == np.argwhere(ids)[np.argsort(ids.reshape(-1))]).all()


def test_memory_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/l2cache.md states."""
    for module in (runs, numbering):
        monkeypatch.setattr(module, "SLAB_VOXELS", 1 << 14)  # whose memory does not grow with the chunk
    bricks = np.arange(1, 1 + 16**3, dtype=np.uint64).reshape((16,) * 3)
    ids = np.asfortranarray(bricks.repeat(8, 0).repeat(8, 1).repeat(8, 2))
    supervoxels = bricks.reshape(-1)
    tracemalloc.start()
    numbered = number_nodes(ids, supervoxels, supervoxels // np.uint64(2) + np.uint64(1))
    numbering_peak = tracemalloc.get_traced_memory()[1] / ids.size
    tracemalloc.reset_peak()
    node_attributes(numbered.numbers, numbered.nodes.size, (8.0, 8.0, 40.0))
    attributes_peak = tracemalloc.get_traced_memory()[1] / ids.size
    tracemalloc.stop()
    assert numbering_peak < 5  # two of them are the numbers
    assert attributes_peak < 12  # the numbers as well; the supervoxels are gone by then
    assert max(ids.itemsize + numbering_peak, attributes_peak) < BYTES_PER_VOXEL


def test_what_does_not_fit_is_clamped_and_counted() -> None:
    found = node_attributes(whole(1), 1, (16.0, 16.0, 40.0))
    large = Attributes(
        voxels=np.array([1 << 40]),
        area_nm2=np.array([5e9]),
        max_dt_nm=np.array([65_536]),
        mean_dt_nm=np.array([65_520.0]),
        representative=np.array([[1, 65_535, 2]]),
        intersections=np.array([[[1, 65_535, 65_536], [70_000, 0, 0]]]),
        has_pca=found.has_pca,
        components=found.components,
        singular_values=np.array([[1e39, 1.0, 0.0]]),
    )
    cells, clamped = node_cells(np.array([7], np.uint64), large)
    names = [column.name.qualifier.decode() for column in cells]
    assert names == list(ATTRIBUTES)
    stored = {
        n: np.frombuffer(c.data.tobytes(), ATTRIBUTES[n].dtype) for n, c in zip(names, cells, strict=True)
    }
    assert stored["size_nm3"] == stored["area_nm2"] == (1 << 32) - 1
    assert stored["max_dt_nm"] == 65_535
    assert stored["mean_dt_nm"] == 65_504
    assert stored["chunk_intersect_count"].tolist() == [1, 65_535, 65_535, 65_535, 0, 0]
    assert stored["rep_coord_nm"].tolist() == [1, 65_535, 2]
    assert stored["pca"].size == stored["pca_val"].size == 0  # too small
    assert clamped == 6
    assert cells[0].keys.tolist() == [b"%020d" % 7]


def test_kernels_know_no_beam_and_no_files() -> None:
    from tests.test_structure import PACKAGE, imports_of

    for name in ("attributes", "numbering", "representative", "runs"):
        found = imports_of(Path(PACKAGE, "l2cache", f"{name}.py"))
        allowed = {
            "beam_ingest.arrays",
            *(f"beam_ingest.l2cache.{other}" for other in ("runs", "representative")),
        }
        assert (
            found
            <= {"__future__", "collections.abc", "dataclasses", "typing", "numpy", "numpy.typing", "edt"}
            | allowed
        )
