"""The edges and components files that raw agglomeration becomes: servers read them when a cell is split.

Nothing that is there already is lost: a file that says the same is left, another one is an error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from beam_ingest.errors import InputError
from beam_ingest.files import Content, FileError, Folder
from beam_ingest.format.grid import Coordinates, chunk_name
from beam_ingest.inputs.components import components_file_name, decode_components
from beam_ingest.inputs.edges import decode_chunk_edges, edges_file_name, edges_folder

Files = Mapping[Coordinates, bytes | None]
"""Content of a file of each chunk; None where there should be no file."""
Columns = list[Any]
"""What a file says, as arrays."""


class ServerFiles:
    """The files of both kinds.

    Args:
      edges: URL of ``data_source.EDGES``, or None.
      components: URL of ``data_source.COMPONENTS``, or None.
      replace: whether other files that are there may be replaced.
    """

    def __init__(self, edges: str | None, components: str | None, replace: bool) -> None:
        self._edges = edges_folder(edges) if edges else None
        self._components = Folder(components) if components else None
        self._replace = replace

    def write(self, edges: Files, components: Files) -> dict[Coordinates, list[InputError]]:
        """Write the files of some chunks, all of a kind in one go, both kinds side by side.

        Those that are there and say the same are left alone: a second try, a resumed run and a newer
        compressor meet such files.

        Returns:
          Errors for each chunk with a file that is another one. If there are any, nothing was written.

        Raises:
          FileError: when a file cannot be read, for a reason that may pass, or cannot be written.
        """
        tasks: list[tuple[Folder, _Kind, Files]] = []
        if self._edges:
            tasks.append((self._edges, _EDGES, edges))
        if self._components:
            tasks.append((self._components, _COMPONENTS, components))
        if not tasks:
            return {}
        errors: dict[Coordinates, list[InputError]] = defaultdict(list)
        with ThreadPoolExecutor(len(tasks)) as pool:
            missing = list(pool.map(lambda task: self._missing(task, errors), tasks))
            if not errors:
                list(pool.map(lambda task, files: task[0].write(files), tasks, missing))
        return dict(errors)

    def _missing(
        self, task: tuple[Folder, _Kind, Files], errors: dict[Coordinates, list[InputError]]
    ) -> dict[str, bytes]:
        """Names and contents of the files to write; errors for those that must not be."""
        folder, kind, files = task
        names = [kind.name(coords) for coords in files]
        missing = {}
        for name, (coords, content), found in zip(names, files.items(), folder.read_each(names), strict=True):
            if _is_same(kind, found, content):
                continue
            if found is not None and (content is None or not self._replace):
                errors[coords].append(_another(folder.path(name), coords, kind.key, found, content))
            elif content is not None:
                missing[name] = content
        return missing


class _Kind(NamedTuple):
    """A kind of files: the key that names its folder, how a file is called, what it says."""

    key: str
    name: Callable[[Coordinates], str]
    columns: Callable[[bytes | None], Columns]


def _is_same(kind: _Kind, found: Content, content: bytes | None) -> bool:
    if found == content:
        return True
    if found is None or isinstance(found, FileError):
        return False
    try:
        return all(map(np.array_equal, kind.columns(found), kind.columns(content)))
    except InputError:
        return False


def _another(
    file: str, coords: Coordinates, key: str, found: bytes | FileError, content: bytes | None
) -> InputError:
    expected = "no file, or what the raw agglomeration makes of this chunk"
    advice = (
        f"move it, name another folder in data_source.{key}, or build with --overwrite, which replaces it"
    )
    if content is None:  # that an input is not there is no reason to remove a file
        expected = "no file, as the raw agglomeration has nothing for it"
        advice = f"move it, or correct ingest_config.AGGLOMERATION or data_source.{key}"
    said = f"one that cannot be read ({found.reason})" if isinstance(found, FileError) else "another one"
    return InputError(file, chunk_name(coords), expected, said, advice)


def _edges(data: bytes | None) -> Columns:
    if data is None:
        return [np.empty(0)] * 12
    edges = decode_chunk_edges(data, "", "")
    groups = (edges.in_chunk, edges.cross_chunk, edges.between_chunk)
    return [column for g in groups for column in (g.node_ids1, g.node_ids2, g.affinities, g.areas)]


def _mapping(data: bytes | None) -> Columns:
    if data is None:
        return [np.empty(0)] * 2
    mapping = decode_components(data, "", "")
    return [mapping.ids, mapping.components]


_EDGES = _Kind("EDGES", edges_file_name, _edges)
_COMPONENTS = _Kind("COMPONENTS", components_file_name, _mapping)
