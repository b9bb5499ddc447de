"""The made-up objects: neurites and glia as beads strung along curves.

A *family* is a lattice of nodes with a hash of its own. Some neighbouring nodes are joined by a
curve with beads scattered around it, so that objects are the connected clusters of joined nodes:
along a family's main axis most nodes are joined and few across, which makes long fibres with side
branches, of any length. Nothing but the hashes of nearby nodes decides what lies in a place, so a
chunk is made without knowing the rest of an object, and memory does not grow with the dataset.

Wherever beads of one family touch, they are one object. So whether two touching beads belong
together is seen from their families alone, and every chunk comes to the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beam_ingest.format.grid import Coords, Ids
from beam_ingest.sample.noise import fractions, hashes

BEAD_RADII = (5, 5, 2)
"""Voxels that a bead, an ellipsoid, reaches from its centre: flat, as sections are thick."""
UNMAPPED = 0
"""The family of beads that the agglomeration left out."""
_JITTER = 0.5
_BEND = 0.5
_UNMAPPED_SHARE = 0.02
_POCKET_PITCH = 48
_POCKET_SHARE = 0.5
_POCKET_RADII = 2 * np.array(BEAD_RADII) + 1
_BIAS, _AXIS_BITS = 1 << 20, 21


@dataclass(frozen=True)
class Kind:
    """How the families of one kind of object look.

    Attributes:
      families: how many there are.
      pitch: voxels between the nodes of a family's lattice.
      along: share of neighbouring nodes that are joined along the family's main axis.
      across: the same for the other two axes.
      stations: points along the curve between two nodes.
      beads: beads around each of them.
      spread: voxels by which a bead may lie off the curve, along each axis.
    """

    families: int
    pitch: float
    along: float
    across: float
    stations: int
    beads: int
    spread: float


# Set so that supervoxels have about as many contacts as in a real watershed.
AXONS = Kind(families=6, pitch=30, along=0.85, across=0.05, stations=5, beads=1, spread=1)
DENDRITES = Kind(families=5, pitch=44, along=0.85, across=0.06, stations=9, beads=9, spread=5)
GLIA = Kind(families=2, pitch=40, along=0.15, across=0.15, stations=6, beads=14, spread=6)
FAMILIES = tuple(kind for kind in (AXONS, DENDRITES, GLIA) for _ in range(kind.families))


@dataclass(frozen=True)
class Beads:
    """n beads, at most one at a voxel, ascending by x, y, z of their centres.

    Attributes:
      centres: voxels from the volume's start, shape (n, 3), int64.
      keys: the name of each in the whole dataset, shape (n,), uint64.
      families: 1 + index into FAMILIES, or UNMAPPED, shape (n,), uint8.
    """

    centres: Coords
    keys: Ids
    families: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.keys.size)


def beads_near(seed: int, low: Coords, high: Coords) -> Beads:
    """The beads that reach into a box.

    Args:
      seed: the sample's seed.
      low: lowest voxel of the box, shape (3,).
      high: its end (exclusive), shape (3,).
    """
    # A bead must be the same bead for every box that asks, so that which of two beads at one
    # voxel stays, and which ones a pocket clears away, may not depend on the box.
    low, high = low - np.array(BEAD_RADII), high + np.array(BEAD_RADII)
    fibres = [_family_beads(seed, number, kind, low, high) for number, kind in enumerate(FAMILIES, start=1)]
    tissue = _concatenate(fibres)
    pockets = _pockets(seed, low - _POCKET_RADII, high + _POCKET_RADII)
    for pocket in pockets:  # about one a chunk
        tissue = _take(tissue, (abs(tissue.centres - pocket) > _POCKET_RADII).any(1))
    within = pockets[((pockets >= low) & (pockets < high)).all(1)]
    return _one_a_voxel(_concatenate([tissue, _loose_beads(seed, within)]))


def _family_beads(seed: int, number: int, kind: Kind, low: Coords, high: Coords) -> Beads:
    """The beads of one family with their centres in a box."""
    main_axis = number % 3
    shift = fractions(seed, "shift", number, np.arange(3))
    reach = kind.spread + _BEND * kind.pitch
    first = np.floor((low - reach) / kind.pitch - shift).astype(np.int64) - 1
    last = np.floor((high + reach) / kind.pitch - shift).astype(np.int64) + 1
    axes = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(cells[..., None], -2, 0)
    jitter = (fractions(seed, "node", number, x, y, z, np.arange(3)) - 0.5) * _JITTER
    nodes = (cells + shift + 0.5 + jitter) * kind.pitch
    strings = []
    for axis in range(3):
        starts = tuple(slice(0, -1) for _ in range(3))
        ends = tuple(slice(1, None) if other == axis else slice(0, -1) for other in range(3))
        names = hashes(seed, "curve", number, axis, *np.moveaxis(cells[starts], -1, 0))
        share = kind.along if axis == main_axis else kind.across
        joined = fractions(seed, "joined", names) < share
        strings.append(
            _string(seed, kind, names[joined], nodes[starts][joined], nodes[ends][joined], low, high)
        )
    centres, keys = (np.concatenate(columns) for columns in zip(*strings, strict=True))
    families = np.full(keys.size, number, np.uint8)
    families[fractions(seed, "unmapped", keys) < _UNMAPPED_SHARE] = UNMAPPED
    return Beads(centres, keys, families)


def _string(
    seed: int,
    kind: Kind,
    names: Ids,
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    low: Coords,
    high: Coords,
) -> tuple[Coords, Ids]:
    """Centres and keys of the beads around curves, as far as the centres are in a box."""
    bend = (fractions(seed, "bend", names[:, None], np.arange(3)) - 0.5) * (_BEND * kind.pitch)
    middles = (starts + ends) / 2 + bend
    # A curve lies within the triangle of these three points.
    below = np.minimum(np.minimum(starts, ends), middles) - kind.spread
    above = np.maximum(np.maximum(starts, ends), middles) + kind.spread
    near = ((below < high) & (above >= low)).all(1)
    names, starts, middles, ends = (
        names[near, None],
        starts[near, None],
        middles[near, None],
        ends[near, None],
    )
    beads = np.arange(kind.stations * kind.beads)
    along = ((beads // kind.beads + 0.5) / kind.stations)[:, None]
    curve = starts * (1 - along) ** 2 + middles * (2 * along * (1 - along)) + ends * along**2
    keys = hashes(seed, "bead", names, beads)
    spread = (2 * fractions(seed, "spread", keys[..., None], np.arange(3)) - 1) * kind.spread
    centres = np.floor(curve + spread).astype(np.int64)
    inside = ((centres >= low) & (centres < high)).all(2)
    return centres[inside], keys[inside]


def _pockets(seed: int, low: Coords, high: Coords) -> Coords:
    """Centres, shape (n, 3), of the pockets in a box: each is free but for one loose bead."""
    axes = [np.arange(a // _POCKET_PITCH, b // _POCKET_PITCH + 1) for a, b in zip(low, high, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, z = cells.T
    cells = cells[fractions(seed, "pocket", x, y, z) < _POCKET_SHARE]
    x, y, z = cells.T[..., None]
    # In the middle half of their cells, so that no two of them are near each other.
    place = 0.25 + 0.5 * fractions(seed, "pocket place", x, y, z, np.arange(3))
    return np.floor((cells + place) * _POCKET_PITCH).astype(np.int64)


def _loose_beads(seed: int, centres: Coords) -> Beads:
    """A bead in each pocket, which touches nothing."""
    return Beads(centres, hashes(seed, "loose", *centres.T), np.full(len(centres), UNMAPPED, np.uint8))


def _one_a_voxel(beads: Beads) -> Beads:
    """Sort beads by their centres and drop all but the one of lowest family at each."""
    x, y, z = beads.centres.T + _BIAS
    _, first = np.unique((x << 2 * _AXIS_BITS) | (y << _AXIS_BITS) | z, return_index=True)
    return _take(beads, first)


def _take(beads: Beads, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Beads:
    return Beads(beads.centres[which], beads.keys[which], beads.families[which])


def _concatenate(parts: list[Beads]) -> Beads:
    return Beads(
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.families for part in parts]),
    )
