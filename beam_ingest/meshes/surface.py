"""Surfaces of labels, and their encoding: what zmesh and DracoPy do, with the settings of PyChunkedGraph.

Source of the settings: PyChunkedGraph's meshing (pychunkedgraph/meshing/meshgen.py, 3.1.7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from beam_ingest.errors import BeamIngestError
from beam_ingest.files import first_line
from beam_ingest.meshes.labels import Labels
from beam_ingest.meshes.quantisation import MOST_BITS, Quantisation, Vector

_REDUCTION = 100
_COMPRESSION = 1


class MeshError(BeamIngestError):
    """A mesh cannot be made, encoded or decoded."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    Attributes:
      vertices: positions in nanometres, shape (v, 3), float32.
      faces: three positions in `vertices` for each triangle, shape (f, 3), uint32.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.uint32]


def surfaces(
    labels: Labels, resolution: Vector, max_error: float, origin: Vector
) -> Iterator[tuple[int, Mesh]]:
    """The surface of each label, ascending; labels without one, which fill the box, are left out.

    Args:
      labels: numbers of nodes, shape (x, y, z), in Fortran order, 0 for none.
      resolution: size of a voxel, in nanometres.
      max_error: how far simplifying may move the surface, in nanometres.
      origin: of the box, in nanometres.
    """
    import zmesh

    mesher: Any = zmesh.Mesher(resolution)
    mesher.mesh(labels)
    move = np.array(origin, np.float32)
    for label in mesher.ids():
        found = mesher.get(label, reduction_factor=_REDUCTION, max_error=max_error)
        mesher.erase(label)
        if len(found.faces):
            yield label, Mesh(found.vertices + move, found.faces)


def encode(mesh: Mesh, grid: Quantisation) -> bytes:
    """A mesh as Draco's bytes, its vertices rounded to `grid`.

    Raises:
      MeshError: when its vertices are no numbers or too far from the grid, or Draco refuses it.
    """
    import DracoPy

    if grid.bits > MOST_BITS:
        raise MeshError(f"coordinates of {grid.bits} bits, where Draco has {MOST_BITS}")
    if not grid.reaches(mesh.vertices):
        low, high = mesh.vertices.min(axis=0).tolist(), mesh.vertices.max(axis=0).tolist()
        raise MeshError(f"vertices from {low} to {high} nm, which are out of reach of {list(grid.origin)}")
    try:
        return bytes(
            DracoPy.encode(
                mesh.vertices,
                mesh.faces,
                quantization_bits=grid.bits,
                compression_level=_COMPRESSION,
                quantization_range=float(grid.range),
                quantization_origin=np.array(grid.origin),
                create_metadata=True,
            )
        )
    except Exception as error:  # those of its own have no common base
        raise MeshError(f"Draco: {type(error).__name__}: {first_line(error)}") from None


def decode(data: bytes) -> Mesh:
    """The mesh in Draco's bytes.

    Raises:
      MeshError: when it is none.
    """
    import DracoPy

    try:
        found: Any = DracoPy.decode(data)
        return Mesh(np.asarray(found.points, np.float32), np.asarray(found.faces, np.uint32))
    except Exception as error:
        raise MeshError(f"Draco: {type(error).__name__}: {first_line(error)}") from None
