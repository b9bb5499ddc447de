"""Reading an L2 cache: attributes of many nodes at once, as they are stored or in physical units."""

from __future__ import annotations

import functools
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.dataset import Dataset
from beam_ingest.errors import NodeNotFoundError, StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.l2cache.cells import ATTRIBUTES, column, decode
from beam_ingest.l2cache.places import L2CACHE, cache_name, cache_url
from beam_ingest.stages.manifest import read_product
from beam_ingest.stages.progress import damaged_row
from beam_ingest.stores import Store, open_store, store_url

Table: TypeAlias = dict[str, npt.NDArray[Any]]
"""Values by name of the attribute, one for each node that was asked for."""
_BATCH = 10_000


class L2CacheReader:
    """Reads one cache. Not for several threads at once: open one reader in each.

    Nodes are an array, shape (n,), or anything that numpy converts to one. All methods raise `StoreError`
    when the store cannot be read.

    Args:
      store: the cache's store.
      dataset: the dataset file as the cache was begun.
      grid: its chunk grid.
    """

    def __init__(self, store: Store, dataset: Dataset, grid: ChunkGrid) -> None:
        self._store = store
        self._dataset = dataset
        self._grid = grid

    def __enter__(self) -> L2CacheReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the store's connections."""
        self._store.close()

    def exist(self, nodes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether the cache has each node, shape (n,): those without a voxel have no row."""
        keys = table.node_keys(_ids(nodes)).tolist()
        found = {key for some in _batches(keys) for key in self._store.existing(some)}
        return np.array([key in found for key in keys], bool)

    def stored(self, nodes: npt.ArrayLike) -> Table:
        """The attributes of nodes as the table has them.

        Returns:
          ``size_nm3`` (n,) in voxels; ``area_nm2`` (n,); ``max_dt_nm`` and ``mean_dt_nm`` (n,);
          ``rep_coord_nm`` (n, 3), a voxel of the node's chunk; ``chunk_intersect_count`` (n, 2, 3); ``pca``
          (n, 3, 3) and ``pca_val`` (n, 3), NaN for nodes that are too small.

        Raises:
          NodeNotFoundError: when the cache does not have one of the nodes.
        """
        ids, inverse = np.unique(_ids(nodes), return_inverse=True)
        found: Table = {
            name: np.full(
                (ids.size, *a.shape), np.nan if a.optional else 0, np.dtype(a.dtype).newbyteorder("=")
            )
            for name, a in ATTRIBUTES.items()
        }
        keys = table.node_keys(ids).tolist()
        at = 0
        for some in _batches(keys):
            rows = self._store.read_rows(some, [column(name) for name in ATTRIBUTES])
            for key in some:
                if key not in rows:
                    raise NodeNotFoundError(f"{self._store.place}: no node {int(key)}")
                for name in ATTRIBUTES:
                    value = self._value(key, rows[key], name)
                    if value is not None:
                        found[name][at] = value
                at += 1
        return {name: values[inverse.reshape(-1)] for name, values in found.items()}

    def physical(self, nodes: npt.ArrayLike) -> Table:
        """The attributes of nodes in physical units, as servers give them.

        Returns:
          As `stored`, but for ``size_nm3`` (n,), float64, in nm³, and ``rep_coord_nm`` (n, 3), float64: the
          lower corner of the voxel in nanometres, in the volume's coordinates.

        Raises:
          NodeNotFoundError: when the cache does not have one of the nodes.
          ConfigError: when the watershed cannot be opened.
        """
        ids, found, volume = _ids(nodes), self.stored(nodes), self._volume
        shape = np.array(volume.chunk_size(self._dataset.chunk_size))
        chunks = self._grid.coords(ids, ATOMIC_LAYER)
        voxels = found["rep_coord_nm"] + chunks * shape + np.array(volume.offset)
        resolution = np.array(volume.resolution)
        return found | {
            "size_nm3": found["size_nm3"] * np.prod(resolution),
            "rep_coord_nm": voxels * resolution,
        }

    def _value(self, key: bytes, row: Any, name: str) -> npt.NDArray[Any] | None:
        value = row[column(name)].value if column(name) in row else None
        try:
            return decode(name, b"\0" if value is None else value)
        except ValueError:
            expected = f"{name} of {ATTRIBUTES[name].nbytes} bytes"
            found = "none" if value is None else f"{len(value)}"
            raise damaged_row(self._store, key, expected, found) from None

    @functools.cached_property
    def _volume(self) -> WatershedVoxels:
        return WatershedVoxels(self._dataset.watershed, self._dataset.cv_mip)


def open_l2cache(
    dataset: str | Path, graph_id: str, store: str | None = None, cache_store: str | None = None
) -> L2CacheReader:
    """Open the L2 cache of a graph to read it.

    Args:
      dataset: path or URL of the dataset file, whose ``l2cache_config`` names the cache's table.
      graph_id: the graph.
      store: ``sqlite:PATH`` or ``bigtable:PROJECT/INSTANCE``, if the graph is not where the file says.
      cache_store: the same of the cache, if it is not beside the graph.

    Raises:
      ConfigError: when the dataset file cannot be read, or names no cache.
      StoreError: when there is no such cache.

    Examples:
      >>> with open_l2cache("sample/dataset.yml", "sample_graph") as cache:  # doctest: +SKIP
      ...     cache.physical(nodes)["size_nm3"]
    """
    file = Dataset.from_file(dataset)
    opened = open_store(cache_url(file, graph_id, store_url(file, graph_id, store), cache_store))
    manifest = read_product(opened, cache_name(file))
    if manifest.stage != L2CACHE or manifest.options.get("graph") != graph_id:
        raise StoreError(
            f"{opened.place}: expected the L2 cache of graph {graph_id}, found {manifest.stage} "
            f"{manifest.options.get('graph', manifest.graph_id)}"
        )
    begun = Dataset.from_text(manifest.dataset, file.path)  # the file may have changed since
    return L2CacheReader(opened, begun, ChunkGrid(manifest.chunks, begun.layer_id_bits, begun.spatial_bits))


def _ids(nodes: npt.ArrayLike) -> Ids:
    return np.asarray(nodes, np.uint64).reshape(-1)


def _batches(keys: list[bytes]) -> list[list[bytes]]:
    return [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]
