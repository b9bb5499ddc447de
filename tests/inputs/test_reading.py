"""Each fault of a chunk's files has one kind in every command."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from beam_ingest.errors import FileError, InputError
from beam_ingest.files import Content, Folder
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.inputs.agglomeration import IN_CHUNK, ShardFile
from beam_ingest.inputs.components import Mapping, encode_components, parse_components
from beam_ingest.inputs.edges import ChunkEdges, Edges, encode_chunk_edges
from beam_ingest.inputs.messages import ChunkComponentsMsg
from beam_ingest.inputs.reading import COMPONENTS, EDGES, FaultKind, read_chunk, read_shards

GRID = ChunkGrid((4, 4, 4))
HERE = (1, 0, 2)
OWN = GRID.chunk_ids(1, [HERE] * 2) + np.array([1, 2], np.uint64)
AWAY = GRID.chunk_ids(1, [(3, 3, 3)] * 2) + np.array([1, 2], np.uint64)


def edges_of(ids: np.ndarray) -> bytes:  # type: ignore[type-arg]
    none = np.empty(0, np.float32)
    return encode_chunk_edges(ChunkEdges(Edges(ids[:1], ids[1:], none)))


def both(kind: FaultKind) -> list[tuple[str, FaultKind]]:
    return [(EDGES, kind), (COMPONENTS, kind)]


GOOD_EDGES, BAD_EDGES = edges_of(OWN), edges_of(AWAY)
GOOD_COMPONENTS = encode_components(Mapping.from_components([OWN.tolist()]))
BAD_COMPONENTS = encode_components(Mapping.from_components([[5]]))
UNREADABLE = FileError("/c: expected a file that can be read, found an error: denied", "denied")


@pytest.mark.parametrize(
    ("edges", "components", "expected"),
    [
        (GOOD_EDGES, GOOD_COMPONENTS, []),
        (None, None, both(FaultKind.ABSENT)),
        (UNREADABLE, UNREADABLE, both(FaultKind.UNREADABLE)),
        (GOOD_EDGES, b"", [(COMPONENTS, FaultKind.EMPTY)]),
        (b"", b"", []),
        (
            GOOD_EDGES[:-1],
            GOOD_COMPONENTS[:-1],
            [(EDGES, FaultKind.DAMAGED), (COMPONENTS, FaultKind.DAMAGED)],
        ),
        (
            BAD_EDGES,
            BAD_COMPONENTS,
            [(EDGES, FaultKind.IMPOSSIBLE_IDS), (COMPONENTS, FaultKind.IMPOSSIBLE_IDS)],
        ),
    ],
)
def test_every_fault_has_a_kind(
    edges: Content, components: Content, expected: list[tuple[str, FaultKind]]
) -> None:
    found = read_chunk(GRID, HERE, edges, components, ("/e", "/c"), required=True)
    assert [(fault.source, fault.kind) for fault in found.faults] == expected
    for fault in found.faults:
        assert (fault.error.chunk, fault.error.file) == ("1_0_2", "/e" if fault.source == EDGES else "/c")
    if not expected:
        found.sound()
        return
    with pytest.raises(InputError) as caught:
        found.sound()
    assert [caught.value, *caught.value.others] == [fault.error for fault in found.faults]


def test_absent_files_are_an_empty_chunk() -> None:
    edges, mapping = read_chunk(GRID, HERE, None, None, ("/e", "/c")).sound()
    assert (len(edges), mapping.ids.size) == (0, 0)


def test_each_group_of_edges_is_looked_at() -> None:
    """One file is told once when it is refused, and with all that is wrong when it is inspected."""
    wrong = Edges(AWAY[:1], AWAY[1:], np.empty(0, np.float32))
    found = read_chunk(GRID, HERE, encode_chunk_edges(ChunkEdges(wrong, wrong, wrong)), None, ("/e", "/c"))
    assert [fault.kind for fault in found.faults] == [FaultKind.IMPOSSIBLE_IDS] * 3
    with pytest.raises(InputError, match="in_chunk") as caught:
        found.sound()
    assert not caught.value.others


def test_shard_files(tmp_path: Path) -> None:
    (tmp_path / "chunked_rg").mkdir()
    names = [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    shards = [ShardFile(IN_CHUNK, 0, coords) for coords in names]
    (tmp_path / shards[1].name).mkdir()
    (tmp_path / shards[2].name).write_bytes(b"SO01")
    for required, absent in ((True, FaultKind.ABSENT), (False, None)):
        opened = list(read_shards(GRID, Folder(str(tmp_path)), shards, 4, required=required))
        assert [shard.fault and shard.fault.kind for shard in opened] == [
            absent, FaultKind.UNREADABLE, FaultKind.DAMAGED,
        ]  # fmt: skip
        assert [shard.absent for shard in opened] == [True, False, False]


def test_the_reason_of_a_file_error(tmp_path: Path) -> None:
    (tmp_path / "found an error: x").mkdir()
    (error,) = Folder(str(tmp_path)).read_each(["found an error: x"])
    assert isinstance(error, FileError)
    assert error.reason == "Is a directory"
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.reason) == (str(error), error.reason)


def test_verify_decodes_components_without_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("beam_ingest.inputs.components.decode_varints", fail)
    monkeypatch.setattr("beam_ingest.inputs.components._component_starts", fail)
    message = ChunkComponentsMsg(components=[2, *OWN.tolist(), 1, int(AWAY[0])])
    mapping = parse_components(message.SerializeToString(), "", "")
    assert mapping.ids.tolist() == [*OWN.tolist(), int(AWAY[0])]
    assert mapping.components.tolist() == [0, 0, 1]
