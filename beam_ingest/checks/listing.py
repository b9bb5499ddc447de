"""Which input files are there, by their names alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

import numpy as np

from beam_ingest.checks.findings import Case, Findings
from beam_ingest.dataset import Dataset
from beam_ingest.files import FileError, Folder
from beam_ingest.format.grid import (
    ATOMIC_LAYER,
    ChunkGrid,
    Coordinates,
    Coords,
    Mask,
    as_coordinates,
    chunk_name,
)
from beam_ingest.inputs.agglomeration import EDGE_KINDS
from beam_ingest.inputs.edges import edges_folder

STRAY = "names of no chunk"
OUTSIDE = "files outside the grid"
GRID = "a grid that does not fit the files"
UNLISTED = "folders that cannot be listed"
NONE = "no files"
NO_COMPONENTS = "chunks with edges but no components file"
_DONE = "done_"
_NUMBER = "(0|[1-9][0-9]{0,8})"
_BATCH = 1 << 14
_SHOWN = 10
_PART_CHUNKS = 10_000
"""Chunks whose files one listing gives in a few seconds."""


@dataclass(frozen=True)
class FileKind:
    """Files of one kind, one for each chunk or block of chunks.

    Attributes:
      name: what the kind is called in counts.
      folder: where they are.
      stem: what names begin with, before the coordinates.
      suffix: what they end with.
      bounds: coordinates along x, y and z are below these.
      expected: whether nothing can be built when none is there.
    """

    name: str
    folder: Folder
    stem: str
    suffix: str
    bounds: tuple[int, int, int]
    expected: bool = True

    @property
    def total(self) -> int:
        """How many there can be."""
        x, y, z = self.bounds
        return x * y * z

    def file(self, coords: Coordinates) -> str:
        """Path of the file at `coords`."""
        return self.folder.path(self.stem + chunk_name(coords) + self.suffix)


def file_kinds(dataset: Dataset, grid: ChunkGrid, raw: bool) -> list[FileKind]:
    """The kinds of files that a graph is built from."""
    chunks = grid.bounds(ATOMIC_LAYER)
    if not raw:
        edges, components = edges_folder(str(dataset.edges)), Folder(str(dataset.components))
        return [
            FileKind("edges", edges, "edges_", ".proto.zst", chunks),
            FileKind("components", components, "components_", ".proto", chunks),
        ]
    folder = Folder(str(dataset.agglomeration))
    kinds = [
        FileKind(kind, folder, f"chunked_rg/{kind}_0_", ".data", chunks, kind == EDGE_KINDS[0])
        for kind in EDGE_KINDS
    ]
    for mip in range(grid.layer_count - 1):
        x, y, z = (-(-n >> mip) for n in chunks)
        kinds.append(FileKind(f"{_DONE}{mip}", folder, f"remap/done_{mip}_", ".data", (x, y, z), False))
    return kinds


def parts(folder: Folder, grid: ChunkGrid) -> list[str]:
    """How the listing of a folder is shared out: by the first two characters after the stem, at the most.

    A folder on this machine is listed at once, and so is one with few files. Elsewhere up to 110 listings
    run side by side; between them they have every name whose first coordinate is a number.
    """
    chunks = grid.chunk_count(ATOMIC_LAYER)
    if folder.is_local or chunks <= _PART_CHUNKS:
        return [""]
    if chunks <= 10 * _PART_CHUNKS:
        return [str(first) for first in range(10)]
    return [f"{first}{second}" for first in range(10) for second in (*range(10), "_")]


def list_part(kinds: list[FileKind], part: str, findings: Findings) -> list[Mask | None]:
    """List the files of all kinds whose names go on with `part` after their stems.

    Memory does not grow with the number of files, but for a bit for each chunk of this part of the grid.

    Returns:
      Which chunks have a file of each kind: shape (`columns` of the part, y, z), bool; None where this
      cannot be told.
    """
    there = [_list_kind(kind, part, findings) for kind in kinds]
    if [kind.name for kind in kinds] == ["edges", "components"]:
        edges, components = there
        if edges is not None and components is not None:
            alone = edges & ~components
            cases = [Case(kinds[0].file(coords)) for coords in _places(alone, kinds[0], part)]
            findings.note(NO_COMPONENTS, *cases, count=int(alone.sum()))
    return there


def _list_kind(kind: FileKind, part: str, findings: Findings) -> Mask | None:
    """Which chunks of `part` have a file of `kind`: shape (columns of x in the part, y, z), bool.

    None when this cannot be told.
    """
    xs = columns(kind, part)
    present = np.zeros((xs.size, *kind.bounds[1:]), bool)
    pattern = re.compile(f"{re.escape(kind.stem)}{_NUMBER}_{_NUMBER}_{_NUMBER}{re.escape(kind.suffix)}")
    folder = kind.folder
    if not folder.may_exist():  # the dataset file names one that is not there: its fault, and told as such
        return None
    names = folder.names(kind.stem + part)
    try:
        while batch := list(islice(names, _BATCH)):
            matches = [pattern.fullmatch(name) for name in batch]
            strays = [name for name, match in zip(batch, matches, strict=True) if match is None]
            if strays:
                expected = f"names like {kind.stem}0_0_0{kind.suffix}"
                findings.problem(STRAY, *_files(folder, strays, expected), count=len(strays))
            coords = np.array([m.groups() for m in matches if m]).reshape(-1, 3).astype(np.int64)
            inside = (coords < kind.bounds).all(axis=1)
            present[np.searchsorted(xs, coords[inside, 0]), coords[inside, 1], coords[inside, 2]] = True
            if coords.size:
                findings.reach(kind.name, (coords.max(axis=0) + 1).tolist())
            outside = coords[~inside]
            if outside.size:
                grid = "x".join(map(str, kind.bounds))
                found = [kind.file(c).removeprefix(folder.path("")) for c in as_coordinates(outside[:_BATCH])]
                cases = _files(folder, found, f"coordinates within {grid}")
                findings.problem(OUTSIDE, *cases, count=len(outside))
    except FileError as error:
        if folder.url.startswith("http"):  # few web servers list folders, and a graph is built without
            findings.unchecked.add(
                f"{folder.path('')}: which files are there: files cannot be listed over HTTP"
            )
        else:
            findings.problem(UNLISTED, Case(str(error), folder.path("")))
        return None
    findings.counts[f"{kind.name} files"] += int(present.sum())
    return present


def _files(folder: Folder, names: list[str], expected: str) -> list[Case]:
    """Cases of the first few of `names`."""
    some = sorted(names)[:_SHOWN]
    return [Case(f"{folder.path(n)}: expected {expected}", folder.path(n), "", expected, n) for n in some]


def columns(kind: FileKind, part: str) -> Coords:
    """The coordinates along x whose names begin with `part`, ascending."""
    every = range(kind.bounds[0])
    return np.array([x for x in every if f"{x}_".startswith(part)], np.int64)


def _places(mask: Mask, kind: FileKind, part: str) -> list[Coordinates]:
    """Coordinates of the first few chunks of a part that `mask` has."""
    xs = columns(kind, part)
    return [(int(xs[column]), y, z) for column, y, z in as_coordinates(np.argwhere(mask)[:_SHOWN])]


def conclude(kinds: list[FileKind], chunk_size: tuple[int, int, int], findings: Findings) -> None:
    """What all listings together say: how many files are absent, and whether the grid can be right."""
    chunks = kinds[0].bounds
    reached, joins = [0, 0, 0], 0
    for kind in kinds:
        if f"{kind.name} files" not in findings.counts or UNLISTED in findings.problems:
            continue
        there = findings.counts[f"{kind.name} files"]
        if kind.bounds == chunks:  # of larger blocks writers make a file only where something was joined
            findings.counts[f"{kind.name} files absent"] = kind.total - there
        if kind.expected and not there:
            findings.problem(NONE, _nothing(kind))
        joins += there if kind.name.startswith(_DONE) else 0
        if kind.bounds == chunks:
            extent = findings.extents.get(kind.name, [0, 0, 0])
            reached = [max(pair) for pair in zip(reached, extent, strict=True)]
    done = [kind for kind in kinds if kind.name.startswith(_DONE)]
    if (
        done
        and not joins
        and UNLISTED not in findings.problems
        and f"{done[0].name} files" in findings.counts
    ):
        findings.problem(NONE, _nothing(done[0]))
    too_many = any(r > n for r, n in zip(reached, chunks, strict=True))
    if too_many or (any(reached) and _halved(reached, chunks)):
        found, grid = ("x".join(map(str, numbers)) for numbers in (reached, chunks))
        folder = kinds[0].folder.path("")
        unless = "" if too_many else ", unless the other chunks are empty"
        line = (
            f"{folder}: files are named for {found} chunks, but CHUNK_SIZE {list(chunk_size)} makes "
            f"{grid} of this watershed: correct CHUNK_SIZE or WATERSHED{unless}"
        )
        findings.problem(GRID, Case(line, folder, "", f"files of {grid} chunks", f"of {found}"))


def _halved(extent: list[int], bounds: tuple[int, int, int]) -> bool:
    """Whether files are in the lower half along every axis of more than one chunk."""
    axes = [(reached, n) for reached, n in zip(extent, bounds, strict=True) if n > 1]
    return all(2 * reached <= n + 1 and reached < n for reached, n in axes)


def _nothing(kind: FileKind) -> Case:
    folder = kind.folder
    expected = f"files {kind.stem}x_y_z{kind.suffix}"
    try:
        first = next(folder.names(kind.stem.rpartition("/")[0] + "/" if "/" in kind.stem else ""), None)
    except FileError:
        first = None
    found = "none" if first is None else f"none; another file there is {first}"
    line = f"{folder.path('')}: expected {expected}, found {found}"
    return Case(line, folder.path(""), "", expected, found)
