"""Sorting, grouping and joining arrays of ids."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ids: TypeAlias = npt.NDArray[np.uint64]
"""Ids of nodes, supervoxels or chunks."""
Indices: TypeAlias = npt.NDArray[np.int64]
"""Positions, offsets or counts."""


def unique_pairs(first: Ids, second: Ids) -> Indices:
    """Positions, shape (m,), that pick every pair of two (n,) arrays once, sorted by first, then second."""
    order = np.lexsort((second, first))
    return order[pair_starts(first[order], second[order])]


def group_starts(keys: npt.NDArray[np.generic]) -> Indices:
    """Positions, shape (groups,), where a new value begins in the sorted `keys`, shape (n,)."""
    if keys.size == 0:
        return np.empty(0, np.int64)
    return np.concatenate([[0], np.flatnonzero(keys[1:] != keys[:-1]) + 1])


def pair_starts(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> Indices:
    """Positions, shape (groups,), where a new pair begins in two arrays (n,) sorted together."""
    if first.size == 0:
        return np.empty(0, np.int64)
    changes = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.concatenate([[0], np.flatnonzero(changes) + 1])


def offsets(starts: Indices, total: int) -> Indices:
    """`starts` of groups with the end of the last one, shape (groups + 1,)."""
    return np.append(starts, total)


def find(table: Ids, ids: Ids) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Where each of `ids` stands in the sorted `table`, and whether it does.

    Positions of ids that are not in the table are valid but mean nothing.
    """
    if table.size == 0:
        return np.zeros(ids.size, np.int64), np.zeros(ids.size, bool)
    at = np.minimum(np.searchsorted(table, ids), table.size - 1)
    return at, table[at] == ids


def components(size: int, left: Indices, right: Indices) -> Indices:
    """Connected components of the nodes 0..size-1 under the edges (left, right).

    Returns:
      Component numbers, shape (size,), numbered in order of their lowest node.
    """
    lowest = np.arange(size)
    while left.size:
        # What remains are edges between trees, named by their lowest nodes. Each tree but the lowest
        # among its neighbours joins the lowest of them, so two rounds halve their number at least.
        low, high = np.minimum(left, right), np.maximum(left, right)
        np.minimum.at(lowest, high, low)
        while not np.array_equal(lowest, higher := lowest[lowest]):
            lowest = higher
        left, right = lowest[low], lowest[high]
        apart = left != right
        left, right = left[apart], right[apart]
    return (np.cumsum(lowest == np.arange(size)) - 1)[lowest]


def words(data: npt.NDArray[np.generic]) -> Ids:
    """The eight bytes from each byte of `data` on, shape (bytes - 7,), little endian, as views into it."""
    return np.ndarray(data.size - 7, "<u8", data, strides=(1,))


def splitmix64(values: Ids) -> Ids:
    """The finaliser of Vigna's splitmix64 generator: a bijection of uint64 that mixes all bits."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
