"""Chunks without a node: they have a file, in which nothing is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beam_ingest.meshes.build import initial_folder
from beam_ingest.meshes.lookup import MeshReader
from tests.meshes.test_memory import CONFIG, GRID, make


@pytest.mark.parametrize(("layer", "coords"), [(2, (1, 1, 1)), (3, (0, 0, 0))])
def test_a_chunk_without_nodes_has_a_file_without_meshes(
    tmp_path: Path, layer: int, coords: tuple[int, int, int]
) -> None:
    builder = make(tmp_path, 0, 2)
    chunk = GRID.chunk_id(layer, coords)
    made = builder.chunk(chunk)
    assert (made.nodes, made.meshes, made.faces) == (0, 0, 0)
    reader = MeshReader(initial_folder(tmp_path.as_uri(), CONFIG), GRID, CONFIG.minishard_bits)
    nodes, places = reader.contents(chunk)
    assert (nodes.size, places) == (0, [])
    assert reader.locate(np.array([chunk + 1, chunk + 2], np.uint64)) == [None, None]
