"""Meshes in the meta row, as PyChunkedGraph's own reader finds them."""

from __future__ import annotations

import io
import pickle
from typing import Any

import pytest

from beam_ingest.dataset import Dataset
from beam_ingest.ingest import meta
from beam_ingest.ingest.meta import encode_meta
from beam_ingest.meshes.meta_row import MetaRowError, with_meshes

MESH = {
    "max_layer": 300,
    "mip": 2,
    "max_error": 40.0,
    "dir": "dynamic",
    "verify": True,
    "initial_ts": 1764070000.123,
    "dynamic_mesh_dir": "dynamic",
}
TEXT = """
data_source: {EDGES: ./e, COMPONENTS: ./c, WATERSHED: ./w}
graph_config: {CHUNK_SIZE: [64, 64, 64]}
"""


def value() -> bytes:
    return encode_meta(Dataset.from_text(TEXT, "/data/dataset.yml"), "graph")


class _Reader(pickle.Unpickler):
    """Finds our stand-ins where PyChunkedGraph has its classes."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "pychunkedgraph.graph.meta":
            return getattr(meta, name)
        return super().find_class(module, name)


def read(data: bytes) -> Any:
    return _Reader(io.BytesIO(data)).load()


def test_meshes_are_added_and_nothing_else_changes() -> None:
    before, after = read(value()), read(with_meshes(value(), MESH))
    assert after.custom_data == {"mesh": MESH}
    assert (after.graph_config, after.data_source) == (before.graph_config, before.data_source)


def test_meshes_are_replaced_and_taken_away() -> None:
    other = {**MESH, "max_layer": 4, "dir": "other"}
    assert with_meshes(with_meshes(value(), other), MESH) == with_meshes(value(), MESH)
    assert with_meshes(with_meshes(value(), MESH), None) == value()
    assert with_meshes(value(), None) == value()


@pytest.mark.parametrize(
    "custom",
    [
        {"mesh": {}, "more": 1},
        {"more": {"a": 1, "b": 2}},
        {"mesh": 5},
        {"skeleton": {}},
        {"mesh": {"a": [1, 2]}},
    ],
)
def test_data_of_other_programs_are_not_touched(custom: dict[str, Any]) -> None:
    stand_in = meta.ChunkedGraphMeta(*_parts())
    stand_in.custom_data = custom
    with pytest.raises(MetaRowError, match="another program keeps data there"):
        with_meshes(meta._pickle_as_pychunkedgraph(stand_in), MESH)


def _parts() -> tuple[Any, Any]:
    found = read(value())
    return found.graph_config, found.data_source


@pytest.mark.parametrize("data", [b"", b"junk", pickle.dumps({"custom_data": {}}), pickle.dumps([1, 2])])
def test_what_is_no_meta_row_is_refused(data: bytes) -> None:
    with pytest.raises(MetaRowError):
        with_meshes(data, MESH)
