"""Raw agglomeration: what the files of ``ingest_config.AGGLOMERATION`` are called and hold.

``chunked_rg/in_chunk_0_x_y_z.data``, ``chunked_rg/between_chunks_0_x_y_z.data`` and
``chunked_rg/fake_0_x_y_z.data`` hold edge records in the chunks, between chunks, and across cut
supervoxels; ``remap/done_{mip}_x_y_z.data`` hold the supervoxel pairs that were joined in the
2^mip chunks per axis around it. Source: pychunkedgraph/ingest/ran_agglomeration.py.
"""

from __future__ import annotations

import numpy as np

DATA_VERSIONS = (2, 3, 4)
"""The layouts of edge records there are."""

_IDS = [("sv1", "<u8"), ("sv2", "<u8")]
_PAIR_DTYPE = np.dtype(_IDS)


def edge_dtype(data_version: int) -> np.dtype[np.void]:
    """The layout of one edge record for ``data_source.DATA_VERSION`` 2, 3 or 4."""
    if data_version == 2:
        return np.dtype([*_IDS, ("aff", "<f4"), ("area", "<u8")])
    aff = "<f8" if data_version == 3 else "<f4"
    return np.dtype([*_IDS, *((f"{name}_{axis}", kind) for axis in "xyz" for name, kind in (("aff", aff), ("area", "<u8")))])


def pair_dtype() -> np.dtype[np.void]:
    """The layout of one record of a remap file: two joined supervoxels."""
    return _PAIR_DTYPE


def edge_file_name(kind: str, coords: tuple[int, int, int]) -> str:
    """Name of a file of edge records, `kind` being in_chunk, between_chunks or fake."""
    x, y, z = coords
    return f"chunked_rg/{kind}_0_{x}_{y}_{z}.data"


def remap_file_name(mip: int, coords: tuple[int, int, int]) -> str:
    """Name of a file of joined pairs; `coords` count blocks of 2^mip chunks per axis."""
    x, y, z = coords
    return f"remap/done_{mip}_{x}_{y}_{z}.data"
