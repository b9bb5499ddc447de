"""Components files: ``components_x_y_z.proto``, which supervoxels the agglomeration joined.

A file is a ``ChunkComponentsMsg``: size, ids…, size, ids… Ids of face-neighbour chunks occur too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from beam_ingest.arrays import find
from beam_ingest.errors import InputError
from beam_ingest.files import Folder, resolve
from beam_ingest.format.grid import Coordinates, Ids, chunk_name
from beam_ingest.inputs.messages import ChunkComponentsMsg, has_unknown_fields
from beam_ingest.inputs.varints import decode_varints, only_field

_PACKED = 1 << 3 | 2
"""The tag of a packed field with number 1: ``components``."""
_SMALLEST_ID = np.uint64(1 << 32)
"""Ids are not below: layers take 32 bits at most."""


@dataclass(frozen=True)
class Mapping:
    """Which component each of n supervoxels belongs to.

    Attributes:
      ids: supervoxel ids, shape (n,), uint64, sorted and unique.
      components: component number of each, shape (n,), int64; equal numbers, same component.
    """

    ids: Ids
    components: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> Mapping:
        """The mapping of a chunk in which nothing was joined."""
        return cls(np.empty(0, np.uint64), np.empty(0, np.int64))

    @classmethod
    def from_components(cls, components: Iterable[Iterable[int]]) -> Mapping:
        """The mapping of components that are given as supervoxel ids.

        Examples:
          >>> Mapping.from_components([[30, 10], [20]]).components.tolist()
          [0, 1, 0]
        """
        parts = [np.fromiter(component, np.uint64) for component in components]
        ids = np.concatenate([np.empty(0, np.uint64), *parts])
        numbers = np.repeat(np.arange(len(parts)), [part.size for part in parts])
        order = np.argsort(ids)
        return cls(ids[order], numbers[order])

    def component_of(self, supervoxels: Ids) -> npt.NDArray[np.int64]:
        """The component of each of `supervoxels`, shape (n,), int64; -1 for unmapped ones."""
        if self.ids.size == 0:
            return np.full(supervoxels.size, -1)
        at, found = find(self.ids, supervoxels)
        return np.where(found, self.components[at], -1)


def components_file_name(coords: Coordinates) -> str:
    """Name of the components file of the chunk at `coords`, below ``data_source.COMPONENTS``."""
    x, y, z = coords
    return f"components_{x}_{y}_{z}.proto"


def encode_components(mapping: Mapping) -> bytes:
    """The content of a components file; components in order of their number, ids ascending."""
    order = np.argsort(mapping.components, kind="stable")
    ids = mapping.ids[order]
    _, starts, sizes = np.unique(mapping.components[order], return_index=True, return_counts=True)
    message: Any = ChunkComponentsMsg()
    message.components.extend(np.insert(ids, starts, sizes.astype(np.uint64)).tolist())
    return message.SerializeToString()  # type: ignore[no-any-return]


def decode_components(data: bytes, file: str, chunk: str) -> Mapping:
    """Parse the content of a components file.

    Args:
      data: the file's bytes.
      file: its path, for messages.
      chunk: ``x_y_z``, for messages.

    Raises:
      InputError: when the protobuf is broken, a size overruns, or an id is in two components.
    """
    numbers = _numbers(data, file, chunk)
    return _mapping(numbers, *_component_starts(numbers, file, chunk), file, chunk)


def parse_components(data: bytes, file: str, chunk: str) -> Mapping:
    """As `decode_components`, by protobuf's own parser and component by component.

    Verification reads with this, so that it does not share the faults of the fast way.
    """
    numbers = _parsed_numbers(data, file, chunk)
    return _mapping(numbers, *_walked_starts(numbers, file, chunk), file, chunk)


def _mapping(
    numbers: Ids, starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], file: str, chunk: str
) -> Mapping:
    """The mapping of components whose sizes stand at `starts` among `numbers`, each before its ids."""
    ids = np.delete(numbers, starts)
    components = np.repeat(np.arange(sizes.size), sizes)
    order = np.argsort(ids)
    ids, components = ids[order], components[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    different = twice[components[twice] != components[twice + 1]]
    if different.size:
        raise InputError(
            file, chunk, "every supervoxel in one component", f"{ids[different[0]]} in two of them"
        )
    if twice.size:
        ids, components = np.delete(ids, twice), np.delete(components, twice)
    return Mapping(ids, components)


def _numbers(data: bytes, file: str, chunk: str) -> Ids:
    """Sizes and ids as they stand in the file, shape (n,)."""
    packed = only_field(data, _PACKED)
    numbers = None if packed is None else decode_varints(packed)
    return _parsed_numbers(data, file, chunk) if numbers is None else numbers


def _parsed_numbers(data: bytes, file: str, chunk: str) -> Ids:
    """`_numbers` of any file, however a writer laid out the message."""
    message: Any = ChunkComponentsMsg()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise InputError(file, chunk, "a ChunkComponentsMsg protobuf", f"broken bytes ({error})") from None
    if has_unknown_fields(message):  # a compressed file, say, can be read as such
        raise InputError(file, chunk, "a ChunkComponentsMsg protobuf", "one with fields of something else")
    return np.fromiter(message.components, np.uint64, count=len(message.components))


def _component_starts(
    numbers: Ids, file: str, chunk: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the sizes among `numbers`, and the sizes."""
    # Ids have a layer in their highest bits. Are the small numbers sizes, each one leading to the next?
    small = np.flatnonzero(numbers < _SMALLEST_ID)
    ends = small + 1 + numbers[small].astype(np.int64)
    if np.array_equal(np.append(0, ends), np.append(small, numbers.size)):
        return small, numbers[small].astype(np.int64)
    return _walked_starts(numbers, file, chunk)


def _walked_starts(
    numbers: Ids, file: str, chunk: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`_component_starts` of any numbers."""
    starts, sizes = [], []
    at, end = 0, int(numbers.size)
    while at < end:  # one turn a component: each start is known only from the one before
        size = int(numbers[at])
        if at + 1 + size > end:
            raise InputError(
                file, chunk, f"a component of {size} ids", f"{end - at - 1} ids up to the file's end"
            )
        starts.append(at)
        sizes.append(size)
        at += 1 + size
    return np.array(starts, np.int64), np.array(sizes, np.int64)


def write_components(folder: str | Path, coords: Coordinates, mapping: Mapping) -> None:
    """Write the components file of a chunk.

    Args:
      folder: ``data_source.COMPONENTS``: a path, or a URL that cloud-files knows.
      coords: the chunk's coordinates.
      mapping: components of the chunk's supervoxels and of those of its face neighbours.

    Raises:
      FileError: when it cannot be written.
    """
    Folder(resolve(str(folder))).write({components_file_name(coords): encode_components(mapping)})


def read_components(folder: str | Path, coords: Coordinates) -> Mapping | None:
    """The components in a chunk's file; None when there is no file.

    Args:
      folder: ``data_source.COMPONENTS``: a path, or a URL that cloud-files knows.
      coords: the chunk's coordinates.

    Raises:
      FileError: when the file cannot be read.
      InputError: when it is damaged.
    """
    place, name = Folder(resolve(str(folder))), components_file_name(coords)
    (content,) = place.read([name])
    return None if content is None else decode_components(content, place.path(name), chunk_name(coords))
