"""One job of ``l2cache``: from a finished graph and its watershed to a table of attributes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.format.table import Cells
from beam_ingest.inputs.voxels import Triple, WatershedVoxels
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.l2cache.cells import meta_cells
from beam_ingest.l2cache.places import L2CACHE, SECTION, cache_name, cache_url
from beam_ingest.stages.finished import read_finished_graph
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import OptionTypes
from beam_ingest.stages.splits import ROWS_PER_CHUNK
from beam_ingest.stores import open_store

if TYPE_CHECKING:
    import apache_beam as beam


BYTES_PER_VOXEL = 16
"""Memory that a chunk needs: 10 to 12 bytes a voxel for supervoxels, numbers and distances,"""
FIXED_BYTES = 100 << 20
"""and what the slabs of it need that are worked on, whatever its size."""
_VOXELS_OF_A_GRAPHS_CHUNK = 1 << 17
"""Voxels whose attributes take as long as building a chunk of a graph."""


@dataclass(frozen=True, kw_only=True)
class L2CacheJob(StageJob):
    """The job that fills a cache table; further attributes as of `StageJob`.

    Its `graph_id` is the name of the table, ``table_id`` of the dataset file.

    Attributes:
      graph: id of the graph.
      graph_store: URL of its table.
      graph_built: when the job began that built it; a cache is finished from the graph it was begun with.
      cv_path: the volume that servers read, as the dataset file names it.
      shape: voxels of a chunk at the level that is read.
    """

    stage: ClassVar[str] = L2CACHE
    noun: ClassVar[str] = "cache"
    there: ClassVar[str] = "a cache is there"
    store_option: ClassVar[str] = "--cache-store"
    rows_per_chunk: ClassVar[Mapping[int, int]] = {ATOMIC_LAYER: ROWS_PER_CHUNK[ATOMIC_LAYER]}
    option_types: ClassVar[OptionTypes] = {"test": bool, "graph": str, "graph_built": str, "cv_path": str}

    graph: str
    graph_store: str
    graph_built: str
    cv_path: str
    shape: Triple

    @property
    def title(self) -> str:
        """The product, for messages."""
        return f"L2 cache {self.graph_id}"

    def key_of(self, option: str) -> str:
        """A key of the section."""
        return f"{SECTION}.{option}" if option == "cv_path" else ""

    @property
    def weight(self) -> int:
        """By the voxels of a chunk."""
        return 1 + prod(self.shape) // _VOXELS_OF_A_GRAPHS_CHUNK

    @property
    def chunk_bytes(self) -> int:
        """Memory that a chunk needs."""
        return prod(self.shape) * BYTES_PER_VOXEL + FIXED_BYTES

    @property
    def top(self) -> int:
        """Rows are those of layer-2 nodes."""
        return ATOMIC_LAYER

    def first_cells(self) -> Cells:
        """The meta and version rows, which servers read."""
        return meta_cells(self.graph, self.cv_path, self.timestamp)

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the stages of the cache, without a name around them."""
        from beam_ingest.l2cache.transform import build_l2cache

        return build_l2cache(begin, self)


def make_l2cache_job(
    graph_id: str,
    dataset: Dataset,
    graph_store: str,
    cache_store: str | None = None,
    *,
    test: bool = False,
) -> L2CacheJob:
    """Make the job that fills the cache of a graph. Graph and volume are checked; nothing is written.

    Args:
      graph_id: the graph.
      dataset: the dataset file, with the section ``l2cache_config``.
      graph_store: URL of the graph's table, as `beam_ingest.store_url` gives it.
      cache_store: where the cache goes, ``sqlite:PATH`` or ``bigtable:PROJECT/INSTANCE``; None for beside
        the graph.
      test: compute only the eight chunks at the centre.

    Raises:
      ConfigError: when the section or the volume is not as it should be.
      StoreError: when the graph is not there, not complete, edited, or another dataset's.
    """
    job = l2cache_job(graph_id, dataset, graph_store, cache_store, test=test)
    with open_store(graph_store) as store:
        manifest = read_finished_graph(store, graph_id, dataset, job.grid, test)
    return replace(job, graph_built=_moment(manifest.timestamp))


def l2cache_job(
    graph_id: str,
    dataset: Dataset,
    graph_store: str,
    cache_store: str | None = None,
    *,
    test: bool = False,
) -> L2CacheJob:
    """The job of `make_l2cache_job` for a graph that is not looked at, and need not be there yet.

    Raises:
      ConfigError: when the section or the volume is not as it should be.
    """
    place = cache_url(dataset, graph_id, graph_store, cache_store)
    grid = chunk_grid(dataset, read_watershed(dataset.watershed))
    watershed = WatershedVoxels(dataset.watershed, dataset.cv_mip)
    return L2CacheJob(
        graph_id=cache_name(dataset),
        dataset=dataset,
        grid=grid,
        resolution=watershed.resolution,
        store=place,
        test=test,
        graph=graph_id,
        graph_store=graph_store,
        graph_built="",
        cv_path=dataset.stage_section(SECTION).text("cv_path"),
        shape=watershed.chunk_size(dataset.chunk_size),
    )


def _moment(timestamp: int) -> str:
    """A timestamp in microseconds, for people and to the millisecond."""
    seconds = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(timestamp // 1_000_000))
    return f"{seconds}.{timestamp // 1000 % 1000:03d} UTC"
