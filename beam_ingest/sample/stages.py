"""The three passes over the chunks that make a sample.

`label` makes a chunk's voxels and supervoxels, `join` compares it with its upper neighbours over
their faces, and `write` writes its edges, components and raw agglomeration, which takes what the
neighbours' passes found. In between, results lie in a scratch folder: so each chunk is painted just
once, in any order and by any process, and no more than a few chunks are in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import SUPERVOXEL_LAYER, Ids
from beam_ingest.inputs.agglomeration import (
    BETWEEN,
    EDGE_KINDS,
    FAKE,
    IN_CHUNK,
    edge_file_name,
    remap_file_name,
)
from beam_ingest.inputs.components import components_file_name, encode_components
from beam_ingest.inputs.edges import ChunkEdges, Edges, edges_file_name, encode_chunk_edges
from beam_ingest.inputs.shards import encode_shard
from beam_ingest.sample import raw_files as raw
from beam_ingest.sample.joins import joined_inside, joined_over, mapping_of
from beam_ingest.sample.spec import SampleSpec, Triple
from beam_ingest.sample.supervoxels import (
    CONTACT,
    Labels,
    Supervoxels,
    contacts,
    label_chunk,
    touching_inside,
    touching_over,
)
from beam_ingest.sample.watershed import VOLUMES, write_watershed

Records: TypeAlias = npt.NDArray[np.void]
Shard: TypeAlias = tuple[list[tuple[int, ...]], list[bytes]]
"""Chunk ids and content of the payloads of a shard file."""

SCRATCH = ".scratch"
FOLDERS = ("edges", "components", "agg/chunked_rg", "agg/remap", SCRATCH)
_AXES = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@dataclass(frozen=True)
class Place:
    """A sample being made: what it shall be, and the folder (absolute) it goes to."""

    spec: SampleSpec
    directory: str

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        (Path(self.directory) / name).write_bytes(content)

    def keep(self, stage: str, coords: Triple, **arrays: npt.NDArray[Any]) -> None:
        """Put the results of a pass over one chunk into the scratch folder."""
        np.savez(self._scratch(stage, coords), **arrays)  # type: ignore[arg-type]

    def kept(self, stage: str, coords: Triple) -> Any:
        """Results of an earlier pass; each array is read when it is asked for."""
        return np.load(self._scratch(stage, coords))

    def _scratch(self, stage: str, coords: Triple) -> Path:
        return Path(self.directory) / SCRATCH / f"{stage}_{'_'.join(map(str, coords))}.npz"


class Found(NamedTuple):
    """What a pass found in one chunk; edges over a face count with the lower chunk."""

    empty_chunks: int = 0
    supervoxels: int = 0
    in_chunk_edges: int = 0
    between_chunk_edges: int = 0
    cross_chunk_edges: int = 0


def label(place: Place, coords: Triple) -> Found:
    """First pass: paint the chunk's voxels, write them, and find what touches inside."""
    labels, supervoxels = label_chunk(place.spec, coords)
    write_watershed(f"{place.directory}/ws", place.spec, coords, labels, supervoxels.ids)
    if place.spec.volumes:
        names = supervoxels.beads, supervoxels.families.astype(np.uint64)
        for folder, values in zip(VOLUMES, names, strict=True):
            write_watershed(f"{place.directory}/{folder}", place.spec, coords, labels, values)
    touching = touching_inside(labels)
    inside = contacts(place.spec.seed, touching, supervoxels, supervoxels)
    pieces, pairs = joined_inside(supervoxels, touching)
    faces: dict[str, Labels] = {}
    for axis in range(3):
        faces[f"lower_{axis}"], faces[f"upper_{axis}"] = np.moveaxis(labels, axis, 0)[[0, -1]]
    place.keep(
        "label",
        coords,
        ids=supervoxels.ids,
        beads=supervoxels.beads,
        families=supervoxels.families,
        pieces=pieces,
        pairs=pairs,
        inside=inside,
        **faces,
    )
    return Found(int(len(supervoxels) == 0), len(supervoxels), inside.size)


def join(place: Place, coords: Triple) -> Found:
    """Second pass: find what touches over the chunk's three upper faces."""
    own = place.kept("label", coords)
    supervoxels = _supervoxels(own)
    results: dict[str, npt.NDArray[Any]] = {}
    edges = {BETWEEN: 0, FAKE: 0}
    for axis in range(3):
        neighbour = _moved(coords, axis, 1)
        if not place.spec.contains(neighbour):
            continue
        other = place.kept("label", neighbour)
        others = _supervoxels(other)
        touching = touching_over(axis, own[f"upper_{axis}"], other[f"lower_{axis}"])
        records = contacts(place.spec.seed, touching, supervoxels, others)
        cut = supervoxels.beads[touching.first] == others.beads[touching.second]
        for kind, which in ((BETWEEN, ~cut), (FAKE, cut)):
            results[f"{kind}_{axis}"] = records[which]
            edges[kind] += int(which.sum())
        results[f"pairs_{axis}"] = joined_over(touching, supervoxels, own["pieces"], others, other["pieces"])
    place.keep("join", coords, **results)
    return Found(between_chunk_edges=edges[BETWEEN], cross_chunk_edges=edges[FAKE])


def write(place: Place, coords: Triple) -> Found:
    """Third pass: write the edges and components of the chunk and the raw files named after it."""
    _write_edges(place, coords)
    _write_components(place, coords)
    _write_raw_edges(place, coords)
    _write_remap(place, coords)
    return Found()


def _supervoxels(kept: Any) -> Supervoxels:
    return Supervoxels(kept["ids"], kept["beads"], kept["families"])


def _has_supervoxels(place: Place, coords: Triple) -> bool:
    return bool(place.kept("label", coords)["ids"].size)


def _moved(coords: Triple, axis: int, by: int) -> Triple:
    x, y, z = (c + by * unit for c, unit in zip(coords, _AXES[axis], strict=True))
    return (x, y, z)


def _neighbours(spec: SampleSpec, coords: Triple) -> Iterator[Triple]:
    for axis, by in itertools.product(range(3), (-1, 1)):
        neighbour = _moved(coords, axis, by)
        if spec.contains(neighbour):
            yield neighbour


def _face_records(place: Place, kind: str, coords: Triple) -> Records:
    """Contacts of one kind over all faces of a chunk, sv1 in the chunk, sorted."""
    own = place.kept("join", coords)
    parts = [own[f"{kind}_{axis}"] for axis in range(3) if f"{kind}_{axis}" in own]
    for axis in range(3):
        below = _moved(coords, axis, -1)
        if place.spec.contains(below):
            seen_from_below = place.kept("join", below)[f"{kind}_{axis}"]
            part = seen_from_below.copy()
            part["sv1"], part["sv2"] = seen_from_below["sv2"], seen_from_below["sv1"]
            parts.append(part)
    records = np.concatenate([np.empty(0, CONTACT), *parts])
    return records[np.lexsort((records["sv2"], records["sv1"]))]


def _write_edges(place: Place, coords: Triple) -> None:
    if not _has_supervoxels(place, coords):
        return
    own = place.kept("label", coords)
    cut = _face_records(place, FAKE, coords)
    cross = Edges(
        cut["sv1"].copy(),
        cut["sv2"].copy(),
        np.full(cut.size, np.inf, np.float32),
        np.ones(cut.size, np.uint64),
    )
    between = raw.assembled(place.spec, _face_records(place, BETWEEN, coords))
    edges = ChunkEdges(raw.assembled(place.spec, own["inside"]), cross, between)
    place.put(f"edges/{edges_file_name(coords)}", encode_chunk_edges(edges))


def _pairs_kept(place: Place, coords: Triple) -> Iterator[tuple[int, Ids]]:
    """The pairs kept with a chunk, by the mip of the remap file that holds them."""
    yield 0, place.kept("label", coords)["pairs"]
    over = place.kept("join", coords)
    for axis in range(3):
        if f"pairs_{axis}" in over:
            yield _mip(coords[axis]), over[f"pairs_{axis}"]


def _mip(coordinate: int) -> int:
    """The lowest mip at which chunks `coordinate` and `coordinate` + 1 are in one block."""
    return (coordinate ^ (coordinate + 1)).bit_length()


def _write_components(place: Place, coords: Triple) -> None:
    near = (coords, *_neighbours(place.spec, coords))
    mapping = mapping_of(pairs for chunk in near for _, pairs in _pairs_kept(place, chunk))
    if _has_supervoxels(place, coords) and mapping.ids.size:
        place.put(f"components/{components_file_name(coords)}", encode_components(mapping))


def _write_raw_edges(place: Place, file: Triple) -> None:
    spec = place.spec
    shards: dict[str, Shard] = {kind: ([], []) for kind in EDGE_KINDS}

    def add(kind: str, chunks: tuple[Triple, ...], records: Records, placement: raw.Placement) -> None:
        is_pair = len(chunks) == 2
        for at, part, swapped in zip(
            (placement.first, placement.second),
            raw.divide(spec, records),
            (is_pair and placement.upper_first, is_pair and not placement.upper_first),
            strict=True,
        ):
            if at == file and part.size:
                ids = tuple(spec.grid.chunk_id(SUPERVOXEL_LAYER, chunk) for chunk in chunks)
                keys, payloads = shards[kind]
                keys.append(ids[::-1] if swapped else ids)
                payloads.append(raw.encode_records(spec, part, swapped))

    for step in itertools.product((0, 1), repeat=3):
        x, y, z = (c + s for c, s in zip(file, step, strict=True))
        chunk = (x, y, z)
        if not spec.contains(chunk):
            continue
        placement = raw.chunk_placement(spec, chunk)
        if file in (placement.first, placement.second):
            add(IN_CHUNK, (chunk,), place.kept("label", chunk)["inside"], placement)
        for axis, kind in itertools.product(range(3), (BETWEEN, FAKE)):
            upper = _moved(chunk, axis, 1)
            placement = raw.pair_placement(spec, kind, chunk, axis)
            if spec.contains(upper) and file in (placement.first, placement.second):
                add(kind, (chunk, upper), place.kept("join", chunk)[f"{kind}_{axis}"], placement)
    for kind, shard in shards.items():
        if shard[0] or _has_supervoxels(place, file):
            place.put(f"agg/{edge_file_name(kind, file)}", _encode(shard))


def _write_remap(place: Place, coords: Triple) -> None:
    """Write the remap files of the blocks whose lowest chunk this is, one for each mip."""
    for mip in range(place.spec.grid.layer_count - 1):
        if any(c % (1 << mip) for c in coords):
            return
        keys: list[tuple[int, ...]] = []
        payloads: list[bytes] = []
        for chunk in _chunks_of_mip(place.spec, coords, mip):
            pairs = [pairs for at, pairs in _pairs_kept(place, chunk) if at == mip and pairs.size]
            if pairs:
                keys.append((place.spec.grid.chunk_id(SUPERVOXEL_LAYER, chunk),))
                payloads.append(np.concatenate(pairs).astype("<u8").tobytes())
        # Every chunk has a file of its own, but for empty ones; blocks where nothing was joined have none.
        if keys or (mip == 0 and _has_supervoxels(place, coords)):
            x, y, z = (c >> mip for c in coords)
            place.put(f"agg/{remap_file_name(mip, (x, y, z))}", _encode((keys, payloads)))


def _encode(shard: Shard) -> bytes:
    keys, payloads = shard
    return encode_shard(np.array(keys, np.uint64), payloads) if keys else raw.EMPTY_SHARD


def _chunks_of_mip(spec: SampleSpec, block: Triple, mip: int) -> Iterator[Triple]:
    """The chunks of a block of 2^mip per axis that may keep pairs of this mip: those at its middle."""
    if mip == 0:
        yield block
        return
    x, y, z = (range(low, min(low + (1 << mip), n)) for low, n in zip(block, spec.chunks, strict=True))
    for chunk in itertools.product(x, y, z):
        if any(_mip(c) == mip for c in chunk):
            yield chunk
