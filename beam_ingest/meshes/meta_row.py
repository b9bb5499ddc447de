"""Adding meshes to the value of a graph's ``meta`` row, where servers look for them.

The value is a pickle of ``pychunkedgraph.graph.meta.ChunkedGraphMeta``, whose ``custom_data`` comes last. It
is not unpickled: a pickle out of a table is code out of a table. Its operations are listed, the dict is found
among them, and another is put in its place; everything else stays byte for byte.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from collections.abc import Mapping

from beam_ingest.errors import BeamIngestError, StoreError
from beam_ingest.format import table
from beam_ingest.stores import Store
from beam_ingest.stores.base import Cell

_UNTOLD = ("MEMOIZE", "FRAME")
_TAIL = ["SETITEMS", "BUILD", "STOP"]
_CONSTANTS = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}
_PROTOCOL = 4
_EMPTY = b"}\x94"
_FRAME_BEGIN = 2
"""Where the frame begins: after the operation that names the protocol."""
_FRAME_HEAD = 9


class MetaRowError(BeamIngestError):
    """The value of a meta row is not as graphs are built with, or other programs keep data there."""


def read_meta(graph: Store) -> Cell:
    """The meta row of a graph.

    Raises:
      StoreError: when there is none, or it is not one that meshes can be added to.
    """
    row = graph.read_rows([table.META_KEY]).get(table.META_KEY, {})
    if table.META not in row:
        raise StoreError(f"{graph.place}: row meta: expected the graph's description, found none")
    cell = row[table.META]
    try:
        _custom_data(cell.value)
    except MetaRowError as error:
        raise StoreError(f"{graph.place}: row meta: {error}") from None
    return cell


def meshes_in(value: bytes) -> dict[str, object]:
    """What `with_meshes` has put into the value of a meta row; empty if it has put nothing there.

    Raises:
      MetaRowError: as `with_meshes` raises it.
    """
    begin, end = _custom_data(value)
    within = [each for each in pickletools.genops(value) if begin < (each[2] or 0) < end]
    told = [(each.name, argument) for each, argument, _ in within if each.name not in _UNTOLD]
    values = [(name, argument) for name, argument in told if argument is not None or name in _CONSTANTS]
    found = [_CONSTANTS.get(name, argument) for name, argument in values]
    return dict(zip(map(str, found[1::2]), found[2::2], strict=True))  # behind the name ``mesh``


def with_meshes(value: bytes, mesh: Mapping[str, object] | None) -> bytes:
    """The value of a meta row whose ``custom_data`` has `mesh` under the name ``mesh``, or is empty for None.

    Raises:
      MetaRowError: when it has anything else in ``custom_data``, or is none.
    """
    begin, end = _custom_data(value)
    data = _EMPTY if mesh is None else _pickled({"mesh": dict(mesh)})
    content = value[_FRAME_BEGIN + _FRAME_HEAD : begin] + data + value[end:]
    return value[:_FRAME_BEGIN] + b"\x95" + struct.pack("<Q", len(content)) + content


def _custom_data(value: bytes) -> tuple[int, int]:
    """Where the dict begins and ends."""
    try:
        operations = [(each.name, argument, at or 0) for each, argument, at in pickletools.genops(value)]
    except Exception as error:  # of any kind, for what is no pickle
        raise MetaRowError(f"expected a pickled meta, found no pickle: {error}") from None
    frames = [at for name, _, at in operations if name == "FRAME"]
    told = [each for each in operations if each[0] not in _UNTOLD]
    places = [i for i, (_, argument, _) in enumerate(told) if argument == "custom_data"]
    if frames != [_FRAME_BEGIN] or len(places) != 1 or [name for name, *_ in told[-3:]] != _TAIL:
        raise MetaRowError("expected a pickled meta as PyChunkedGraph writes it, found another")
    inner = told[places[0] + 1 : -3]
    names = [name for name, *_ in inner]
    keys = [argument for name, argument, _ in inner if "UNICODE" in name]
    empty = names == ["EMPTY_DICT"]
    meshes = (
        names[:3] == ["EMPTY_DICT", names[1] if len(names) > 1 else "", "EMPTY_DICT"]
        and keys[:1] == ["mesh"]
        and names[-2:] == ["SETITEMS", "SETITEM"]
        and names.count("MARK") == 1
    )
    if not empty and not meshes:
        raise MetaRowError(
            f"expected nothing but meshes in custom_data, found {keys[:3]}: another program keeps data there"
        )
    return inner[0][2], told[-3][2]


def _pickled(data: Mapping[str, object]) -> bytes:
    """A dict as operations that refer to none before them."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, _PROTOCOL)
    pickler.fast = True  # without memo, whose numbers would be those of another pickle
    pickler.dump(data)
    operations = list(pickletools.genops(file.getvalue()))
    frame = next((at for each, _, at in operations if each.name == "FRAME"), None)
    begin = _FRAME_BEGIN if frame is None else frame + _FRAME_HEAD
    return file.getvalue()[begin:-1]
