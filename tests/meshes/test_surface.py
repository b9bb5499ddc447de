"""Encoding meshes: what Draco keeps of their vertices, within their grid and out of it."""

from __future__ import annotations

import DracoPy
import numpy as np
import pytest

from beam_ingest.meshes.quantisation import MeshSpace
from beam_ingest.meshes.stitch import stitch
from beam_ingest.meshes.surface import Mesh, MeshError, encode
from tests.meshes.test_memory import sheet

SPACE = MeshSpace((0, 0, 0), (16, 16, 16), (8.0, 8.0, 32.0))
COORDS = (0, 5, 12)


def rounded(points: np.ndarray, origin: tuple[float, ...], size: int) -> np.ndarray:
    """The different points next to some, of a grid without ends."""
    return np.unique(np.floor((points - np.array(origin)) / size + 0.5) * size + np.array(origin), axis=0)


def beyond() -> Mesh:
    """A sheet in a chunk of whose vertices some lie beyond its grid, on either side."""
    mesh = sheet(20, SPACE.origin(2, COORDS))
    mesh.vertices[[3, 40, 301]] += np.array([[0, -4.2, 0], [0, -900, 0], [5000, 0, 0]], np.float32)
    return mesh


def test_vertices_out_of_their_grid_are_kept() -> None:
    """Simplifying moves a few vertices out of their chunk: the original's meshes have them, too."""
    mesh, grid = beyond(), SPACE.atomic(COORDS)
    assert mesh.vertices[:, 1].min() < grid.origin[1]
    found = np.unique(DracoPy.decode(encode(mesh, grid)).points, axis=0)
    np.testing.assert_array_equal(found, rounded(mesh.vertices, grid.origin, grid.bin))


@pytest.mark.parametrize("copies", [1, 2])
def test_such_meshes_are_joined(copies: int) -> None:
    mesh, low = beyond(), SPACE.atomic(COORDS)
    grid = SPACE.at(3, (0, 2, 6))
    joined = stitch([(2, COORDS, mesh)] * copies, SPACE, 3, (0, 2, 6))
    expected = rounded(rounded(mesh.vertices, low.origin, low.bin), grid.origin, grid.bin)
    found = DracoPy.decode(encode(joined, grid))
    np.testing.assert_array_equal(np.unique(found.points, axis=0), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e20])
def test_vertices_that_draco_cannot_hold_are_refused(value: float) -> None:
    mesh = sheet(20, SPACE.origin(2, COORDS))
    mesh.vertices[7, 1] = value
    with pytest.raises(MeshError, match="out of reach"):
        encode(mesh, SPACE.atomic(COORDS))
