"""One job of ``mesh``: from a finished graph and its watershed to shard files of meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, GraphExistsError, StoreError
from beam_ingest.format import table
from beam_ingest.format.grid import ATOMIC_LAYER
from beam_ingest.inputs.voxels import WatershedVoxels
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.meshes.build import mesh_space
from beam_ingest.meshes.config import SECTION, MeshConfig, read_config
from beam_ingest.meshes.meta_row import meshes_in, read_meta, with_meshes
from beam_ingest.meshes.outputs import (
    LIBRARIES,
    check_free,
    library_versions,
    remove_shards,
    write_folder_info,
    write_watershed_info,
)
from beam_ingest.meshes.places import mesh_name, mesh_url
from beam_ingest.meshes.quantisation import MOST_BITS, MeshSpace
from beam_ingest.stages import progress
from beam_ingest.stages.finished import read_finished_graph
from beam_ingest.stages.job import StageJob
from beam_ingest.stages.manifest import OptionTypes
from beam_ingest.stores import Store, open_store

if TYPE_CHECKING:
    import apache_beam as beam

BYTES_PER_VOXEL = 24
"""Memory that a chunk of layer 2 needs: supervoxels, their numbers, labels, and triangles of surfaces,"""
FIXED_BYTES = 200 << 20
"""and what any chunk needs besides: indices of shard files, encoded parts and one object's mesh."""
_VOXELS_OF_A_GRAPHS_CHUNK = 10_000
"""Voxels whose surfaces take as long as a chunk of a graph does."""


@dataclass(frozen=True, kw_only=True)
class MeshJob(StageJob):
    """The job that meshes a graph; further attributes as of `StageJob`.

    Its `graph_id` is the name of its own table, which keeps progress.

    Attributes:
      graph: id of the graph.
      graph_store: URL of its table.
      graph_built: when the job began that built it: meshes are finished from the graph they were begun with.
      config: how it is meshed.
      space: where chunks are at the level that is meshed.
      size: voxels of the volume at that level.
    """

    stage: ClassVar[str] = "mesh"
    noun: ClassVar[str] = "meshes"
    verb: ClassVar[str] = "are"
    there: ClassVar[str] = "meshes are there"
    store_option: ClassVar[str] = ""
    rows_per_chunk: ClassVar[Mapping[int, int]] = {ATOMIC_LAYER: 3}
    option_types: ClassVar[OptionTypes] = {
        "test": bool,
        "graph": str,
        "graph_built": str,
        "dir": str,
        "mip": int,
        "max_layer": int,
        "max_error": float,
        "minishard_bits": str,
        "dynamic_mesh_dir": str,
        "zmesh": str,
        "DracoPy": str,
    }

    graph: str
    graph_store: str
    graph_built: str
    config: MeshConfig
    space: MeshSpace
    size: tuple[int, int, int]

    @property
    def options(self) -> dict[str, object]:
        """What changes the meshes, for the manifest."""
        config = self.config
        return {
            "test": self.test,
            "graph": self.graph,
            "graph_built": self.graph_built,
            "dir": config.dir,
            "mip": config.mip,
            "max_layer": config.max_layer,
            "max_error": config.max_error,
            "minishard_bits": config.bits_text,
            "dynamic_mesh_dir": config.dynamic_mesh_dir,
            **library_versions(),
        }

    def key_of(self, option: str) -> str:
        """Keys of the section, and packages."""
        if option in MeshConfig.__dataclass_fields__:
            return f"{SECTION}.{option}"
        return option if option in LIBRARIES else ""

    @property
    def top(self) -> int:
        """Nodes of higher layers get no meshes."""
        return self.config.max_layer

    @property
    def last(self) -> int:
        """The highest layer that this job meshes."""
        return min(self.top, ATOMIC_LAYER + 1) if self.test else self.top

    @property
    def weight(self) -> int:
        """By the voxels of a chunk."""
        return 1 + int(np.prod(self.space.block)) // _VOXELS_OF_A_GRAPHS_CHUNK

    @property
    def chunk_bytes(self) -> int:
        """Memory that a chunk of layer 2 needs."""
        return int(np.prod(np.array(self.space.block) + 1)) * BYTES_PER_VOXEL + FIXED_BYTES

    def check_files(self, store: Store, overwrite: bool) -> None:
        """Refuse meshes that are there already, and a watershed that cannot be written."""
        with open_store(self.graph_store) as graph:
            told = meshes_in(read_meta(graph).value)
        if told and not overwrite:
            raise GraphExistsError(
                f"{self.graph_store}: meshes are there already, in {told.get('dir')}, as its meta row says; "
                "--overwrite makes others, and tells servers of these"
            )
        check_free(self.dataset, self.config, self.graph, overwrite)

    def make_ready(self, store: Store) -> None:
        """Remove what an earlier run wrote, or left half written, and write the info of the folder.

        Shard files go when the new table is there, and not before: a table that marks chunks as done must not
        outlive their files. Servers are told last of meshes, and first that there are none.
        """
        begun = progress.read_layer(store, self.grid, ATOMIC_LAYER).done > 0
        if not begun:
            with open_store(self.graph_store) as graph:
                self._write_meta(graph, None)
        remove_shards(self.dataset, self.config, only_half_written=begun)
        write_folder_info(self.dataset, self.config, self.graph)

    def is_finished(self, store: Store) -> bool:
        """Whether every chunk is done, and servers are told."""
        if not super().is_finished(store):
            return False
        if self.test:
            return True
        with open_store(self.graph_store) as graph:
            value = read_meta(graph).value
            return value == with_meshes(value, self.mesh_data)

    @property
    def mesh_data(self) -> dict[str, object]:
        """What servers find in the meta row; as PyChunkedGraph's own meshing leaves it."""
        return {
            "max_layer": self.config.max_layer,
            "mip": self.config.mip,
            "max_error": self.config.max_error,
            "dir": self.config.dir,
            "verify": True,
            "initial_ts": self.timestamp / 1_000_000,
            "dynamic_mesh_dir": self.config.dynamic_mesh_dir,
        }

    def tell_servers(self) -> None:
        """Name the meshes in the watershed's info and then in the graph's meta row.

        Raises:
          FileError: when the info cannot be written.
          StoreError: when the row cannot be, or the graph was edited meanwhile.
        """
        write_watershed_info(self.dataset, self.config, self.space.largest_bin)
        with open_store(self.graph_store) as graph:
            read_finished_graph(graph, self.graph, self.dataset, self.grid, self.test)
            self._write_meta(graph, self.mesh_data)

    def _write_meta(self, graph: Store, data: dict[str, object] | None) -> None:
        before = read_meta(graph)
        value = with_meshes(before.value, data)
        if value == before.value:
            return
        # In the cell's own place: it stays the graph's, with the graph's time.
        graph.write([table.single(table.META, table.META_KEY, value)], before.timestamp)
        if read_meta(graph).value != value:
            raise StoreError(
                f"{graph.place}: row meta: expected what was just written, found another value: another "
                "program has changed it; --resume tries again"
            )

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the stages of meshing, without a name around them."""
        from beam_ingest.meshes.transform import build_meshes

        return build_meshes(begin, self)


def make_mesh_job(graph_id: str, dataset: Dataset, graph_store: str, *, test: bool = False) -> MeshJob:
    """Make the job that meshes a graph. Graph and volume are checked; nothing is written.

    Args:
      graph_id: the graph.
      dataset: the dataset file, with the section ``mesh_config``.
      graph_store: URL of the graph's table, as `beam_ingest.store_url` gives it.
      test: mesh only the eight chunks at the centre, and their parent.

    Raises:
      ConfigError: when the section or the volume is not as it should be.
      StoreError: when the graph is not there, not complete, edited, or another dataset's.
    """
    job = mesh_job(graph_id, dataset, graph_store, test=test)
    with open_store(graph_store) as store:
        manifest = read_finished_graph(store, graph_id, dataset, job.grid, test)
        read_meta(store)
    built = datetime.fromtimestamp(manifest.timestamp / 1_000_000, timezone.utc)
    return replace(job, graph_built=built.isoformat(timespec="milliseconds"))


def mesh_job(graph_id: str, dataset: Dataset, graph_store: str, *, test: bool = False) -> MeshJob:
    """The job of `make_mesh_job` for a graph that is not looked at, and need not be there yet.

    Raises:
      ConfigError: when the section or the volume is not as it should be.
    """
    grid = chunk_grid(dataset, read_watershed(dataset.watershed))
    config = read_config(dataset, grid)
    watershed = WatershedVoxels(dataset.watershed, config.mip)
    space = mesh_space(watershed, dataset.chunk_size)
    bits = space.at(config.max_layer, (0, 0, 0)).bits
    if bits > MOST_BITS:
        raise ConfigError(
            f"{dataset.path}: mesh_config.max_layer: expected a layer whose chunks take up to "
            f"{MOST_BITS} bits an axis, found {config.max_layer}, of {bits} bits"
        )
    return MeshJob(
        graph_id=mesh_name(graph_id),
        dataset=dataset,
        grid=grid,
        resolution=watershed.resolution,
        store=mesh_url(dataset, graph_id, graph_store),
        test=test,
        graph=graph_id,
        graph_store=graph_store,
        graph_built="",
        config=config,
        space=space,
        size=watershed.size,
    )
