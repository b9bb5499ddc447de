"""Edge records of raw agglomeration, and which of the files that may hold them hold which.

A chunk's edges may lie in several files, and a part of an edge's area in one and the rest in
another. Agglomerations differ in what they make of that, so the sample makes use of all of it: the
records of a chunk, or of a pair of chunks, go to two files, and some are split between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.inputs.agglomeration import IN_CHUNK, edge_dtype
from beam_ingest.inputs.edges import Edges
from beam_ingest.sample.noise import hashes
from beam_ingest.sample.spec import RESOLUTION, SampleSpec, Triple
from beam_ingest.sample.supervoxels import AFFINITY_UNITS

_ONE_IN = 8
"""One record in so many goes to the second file, and another one to both."""
EMPTY_SHARD = b"SO01" + (20).to_bytes(8, "little") + (4).to_bytes(8, "little") + bytes(4)
"""A shard file without records: an index of no more than its crc32."""


@dataclass(frozen=True)
class Placement:
    """Where the records of a chunk or of a pair of chunks go.

    Attributes:
      first: coordinates of the file that holds most of them.
      second: coordinates of the file that holds the others; may be the same.
      upper_first: whether the first file names the upper chunk of the pair first (and the second
        file the lower one).
    """

    first: Triple
    second: Triple
    upper_first: bool


def chunk_placement(spec: SampleSpec, coords: Triple) -> Placement:
    """Where the in_chunk records of a chunk go: to files at `coords` minus 0 or 1 on every axis."""
    return _placement(spec, IN_CHUNK, coords, fixed_axis=None)


def pair_placement(spec: SampleSpec, kind: str, coords: Triple, axis: int) -> Placement:
    """Where the records between the chunk at `coords` and the next along `axis` go.

    The files are those at `coords` minus 0 or 1 on the two other axes; `kind` is between_chunks or fake.
    """
    return _placement(spec, f"{kind} {axis}", coords, fixed_axis=axis)


def _placement(spec: SampleSpec, purpose: str, coords: Triple, fixed_axis: int | None) -> Placement:
    bits = int(hashes(spec.seed, f"{purpose} files", *coords)[0])

    def file(bits: int) -> Triple:
        x, y, z = (
            c - (bits >> axis & 1) if axis != fixed_axis and c > 0 else c for axis, c in enumerate(coords)
        )
        return (x, y, z)

    return Placement(file(bits), file(bits >> 3), bool(bits >> 6 & 1))


def divide(
    spec: SampleSpec, records: npt.NDArray[np.void]
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """Divide contact records between two files; areas and affinities of both add up to the whole."""
    lot = hashes(spec.seed, "divide", records["sv1"], records["sv2"]) % np.uint64(_ONE_IN)
    rest = records.copy()
    rest["areas"], rest["affs"] = records["areas"] // 2, records["affs"] // 2
    in_both = (lot == 1) & (rest["areas"].sum(1) > 0)
    most = records.copy()
    most["areas"][in_both] -= rest["areas"][in_both]
    most["affs"][in_both] -= rest["affs"][in_both]
    rest[lot == 0] = records[lot == 0]
    return most[lot != 0], rest[(lot == 0) | in_both]


def encode_records(spec: SampleSpec, records: npt.NDArray[np.void], swapped: bool = False) -> bytes:
    """Edge records of the spec's data version; `swapped` writes sv2 in the place of sv1."""
    encoded = np.zeros(records.size, edge_dtype(spec.data_version))
    encoded["sv1"], encoded["sv2"] = (
        records["sv2" if swapped else "sv1"],
        records["sv1" if swapped else "sv2"],
    )
    if spec.data_version == 2:
        encoded["aff"] = records["affs"].sum(1) / AFFINITY_UNITS
        encoded["area"] = records["areas"].sum(1)
    else:
        for axis, name in enumerate("xyz"):
            # The reader weights by the voxel size; so divided, affinities come out between 0 and 1.
            encoded[f"aff_{name}"] = records["affs"][:, axis] / (AFFINITY_UNITS * RESOLUTION[axis])
            encoded[f"area_{name}"] = records["areas"][:, axis]
    return encoded.tobytes()


def assembled(spec: SampleSpec, records: npt.NDArray[np.void]) -> Edges:
    """The edges that a reader makes of the raw records, to the last bit."""
    weights = (1, 1, 1) if spec.data_version == 2 else RESOLUTION
    return Edges(
        records["sv1"].copy(),
        records["sv2"].copy(),
        (records["affs"].sum(1) / AFFINITY_UNITS).astype(np.float32),
        (records["areas"] * np.array(weights, np.uint64)).sum(1, dtype=np.uint64),
    )
