"""One job of ``prepare``: from volumes to EDGES, COMPONENTS and WATERSHED."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import Folder, local_path
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Coordinates
from beam_ingest.inputs.watershed import Watershed, chunk_grid
from beam_ingest.stages import progress
from beam_ingest.stages.job import VOXELS_OF_A_CHUNK, StageJob
from beam_ingest.stages.manifest import digest
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.stores import Store, store_url
from beam_ingest.volumes.choose import choose
from beam_ingest.volumes.outputs import MARK, check_free, check_writable, output_places, remove_outputs
from beam_ingest.volumes.source import Extent, Triple, read_extent, volumes_of
from beam_ingest.volumes.tables import read_table
from beam_ingest.volumes.totals import read_label_totals
from beam_ingest.volumes.watershed import storage_block, watershed_info

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True)
class PrepareJob(StageJob):
    """The job that makes a dataset of volumes; further attributes as of `StageJob`.

    Its table is one of its own, which the graph's does not know.

    Attributes:
      extent: where the voxels are.
      chunked: whether the supervoxels are pieces already, with ids of their chunks: nothing is written to
        WATERSHED, which names them.
    """

    stage: ClassVar[str] = "prepare"
    noun: ClassVar[str] = "dataset"
    there: ClassVar[str] = "a prepared dataset is there"

    extent: Extent = field(kw_only=True)
    chunked: bool = False

    @property
    def top(self) -> int:
        """Files are written for chunks of layer 2 alone."""
        return ATOMIC_LAYER

    @property
    def bottom(self) -> int:
        """Chunks are marked when they are cut, and again when their files are written."""
        return SUPERVOXEL_LAYER

    def step(self, layer: int) -> str:
        """What is done at a layer."""
        return f"layer {layer} ({'files' if layer == ATOMIC_LAYER else 'cut'})"

    def is_complete(self, layers: list[LayerStatus]) -> bool:
        """Whether the files of every chunk are written."""
        return super().is_complete([status for status in layers if status.layer == ATOMIC_LAYER])

    @property
    def joins(self) -> bool:
        """Whether anything says which supervoxels are one object."""
        volumes = volumes_of(self.dataset)
        return bool(volumes.segmentation or volumes.equivalences)

    def is_finished(self, store: Store) -> bool:
        """Whether every chunk is done, and the labels of all are counted."""
        return super().is_finished(store) and read_label_totals(store) is not None

    @property
    def block(self) -> Triple:
        """Voxels of a storage block of the watershed."""
        return storage_block(self.dataset.chunk_size)

    def writes(self, coords: Coordinates) -> bool:
        """Whether the files of a chunk are written: of a test, those that ``graph --test`` reads."""
        if not self.test:
            return True
        low = [2 * (n // 2) for n in self.grid.bounds(ATOMIC_LAYER + 1)]
        return all(a - 1 <= c <= a + 2 for a, c in zip(low, coords, strict=True))

    def chunks(self, block: Coordinates) -> Iterator[Coordinates]:
        """The chunks of a block that are read: those that are written, and those that they touch."""
        for x, y, z in self.grid.children(ATOMIC_LAYER + 1, block).tolist():
            if self.writes((x, y, z)) or any(map(self.writes, self.neighbours((x, y, z)))):
                yield (x, y, z)

    def neighbours(self, coords: Coordinates) -> list[Coordinates]:
        """The up to six chunks that share a face with a chunk."""
        found = []
        for axis, step in product(range(3), (-1, 1)):
            x, y, z = (c + step * (i == axis) for i, c in enumerate(coords))
            if 0 <= (x, y, z)[axis] < self.grid.chunks[axis]:
                found.append((x, y, z))
        return found

    @property
    def title(self) -> str:
        """The product, for messages."""
        return f"{self.noun} {self.dataset.path}"

    @property
    def places(self) -> dict[str, str]:
        """URLs of what workers read and write, by the keys of the dataset file that name them."""
        outputs = {f"data_source.{key}": url for key, url in output_places(self.dataset).items()}
        return {**outputs, **volumes_of(self.dataset).places}

    @property
    def weight(self) -> int:
        """By the voxels of a chunk."""
        return 1 + int(np.prod(self.dataset.chunk_size)) // VOXELS_OF_A_CHUNK

    def written(self, layer: int) -> int:
        """How many chunks' files are written."""
        if not self.test:
            return self.grid.chunk_count(layer)
        return sum(self.writes((x, y, z)) for x, y, z in product(*map(range, self.grid.chunks)))

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the stages of `prepare`, without a name around them."""
        from beam_ingest.volumes.transform import build_prepare

        return build_prepare(begin, self)

    def check_files(self, store: Store, overwrite: bool) -> None:
        """Refuse folders that hold files already, unless the table says that they are ours to replace."""
        if not (overwrite and store.exists()):
            check_free(self.dataset, self.extent, not self.chunked)
        check_writable(self.dataset, not self.chunked)

    def make_ready(self, store: Store) -> None:
        """Remove what an earlier run wrote, and write the watershed's info, which the graph reads first.

        Files of another grid must not be left among new ones. They go when the new table is there, and not
        before: a table that marks chunks as done must not outlive their files.
        """
        if not progress.read_layer(store, self.grid, ATOMIC_LAYER).done:
            remove_outputs(self.dataset, self.extent, not self.chunked)
        if not self.chunked:
            Folder(self.dataset.watershed).write({"info": watershed_info(self.dataset, self.extent)})


def prepare_place(dataset: Dataset, option: str | None, app_profile: str = "") -> tuple[str, str]:
    """The name of a job, and the URL of its table: beside local EDGES, or else where graphs are.

    Raises:
      ConfigError: when nothing says where.
    """
    edges = output_places(dataset)["EDGES"]
    name = f"prepare-{digest(edges)[:12]}"
    local = local_path(edges)
    if option is None and local is not None:
        return name, f"sqlite:{local}/{MARK}/prepare.sqlite"
    if option is None and dataset.backend_type == "sqlite":
        raise ConfigError(
            f"{dataset.path}: EDGES is not on this machine; add --store, where progress is kept"
        )
    return name, store_url(dataset, name, option, app_profile)


def make_prepare_job(
    dataset: Dataset, store: str | None = None, app_profile: str = "", *, test: bool = False
) -> PrepareJob:
    """Check what is asked for against the volumes; nothing is written.

    Raises:
      ConfigError: when it cannot be done.
    """
    name, place = prepare_place(dataset, store, app_profile)
    extent = read_extent(dataset)
    dataset = choose(dataset, extent)
    grid = chunk_grid(dataset, Watershed(extent.size, extent.resolution))
    volumes = volumes_of(dataset)
    read_table(dataset)
    chunked = volumes.supervoxels == dataset.watershed
    if not chunked:
        storage_block(dataset.chunk_size)
    return PrepareJob(
        graph_id=name,
        dataset=dataset,
        grid=grid,
        resolution=extent.resolution,
        store=place,
        test=test,
        extent=extent,
        chunked=chunked,
    )
