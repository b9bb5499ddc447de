"""What the jobs of all stages have in common.

A *stage* makes one product over the chunk grid, such as a graph, in a table of its own. It consists of

1. kernels: functions from arrays to arrays, without Beam, files or stores;
2. one transform, which begins with `beam_ingest.stages.planning.PlanBlocks`, calls the kernels, and gives
   a `beam_ingest.stages.coding.WriteUnit` for each chunk to `beam_ingest.stages.sink.Write`: the chunk's
   cells, `Counts`, and the key of its progress row (`beam_ingest.stages.progress.chunk_key`). A chunk with
   bad input becomes a `beam_ingest.stages.sink.failed_unit`, and the others go on;
   `beam_ingest.stages.stop.StopIfFailed` ends the run afterwards;
3. a verb: the command that runs it, and its job, a subclass of `StageJob`.

The subclass names its `stage`, its `option_types` and, if it does not build the root layer, its `top`, and
applies its transform in `build`. In return it gets starting, refusing and replacing
(`beam_ingest.stages.start.start_job`), resuming (chunks that are marked done are not written again; other
options or input are refused), ``--test``, ``status`` and ``failures``, and every runner
(`beam_ingest.runners.run.run_job`).

Row keys of a product are decimal node ids (`beam_ingest.format.table.node_key`), or such keys behind ``i``:
a table with any others is not removed by ``--overwrite``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.format.table import Cells
from beam_ingest.stages import progress
from beam_ingest.stages.manifest import Manifest, OptionTypes, digest
from beam_ingest.stages.progress import LayerStatus
from beam_ingest.stages.scope import Scope
from beam_ingest.stages.splits import ROWS_PER_CHUNK, split_keys, tablet_count
from beam_ingest.stores import Store, open_store, store_url
from beam_ingest.stores.names import check_table

if TYPE_CHECKING:
    import apache_beam as beam

VOXELS_OF_A_CHUNK = 100_000
"""Voxels whose reading takes as long as a chunk of a graph does."""
SomeJob = TypeVar("SomeJob", bound="StageJob")


@dataclass(frozen=True)
class StageJob:
    """One job of a stage; travels to the workers with every transform.

    Attributes:
      graph_id: the graph that is built, or that the stage belongs to.
      dataset: what it is built from.
      grid: the chunk grid.
      resolution: size of a voxel in nanometres along x, y and z.
      store: URL of the table (`beam_ingest.stores.store_url`).
      test: write only the eight chunks at the centre, and their parent.
      timestamp: of every cell, microseconds since 1970, whole milliseconds; 0 until it is started.
      resume: chunks that are marked done are not written again.
    """

    stage: ClassVar[str] = ""
    """The command that runs the stage."""
    noun: ClassVar[str] = "graph"
    """What the stage makes, for messages,"""
    verb: ClassVar[str] = "is"
    """whether it is or they are,"""
    there: ClassVar[str] = "a graph is there"
    """and that its table is in the way of another."""
    store_option: ClassVar[str] = "--store"
    """The option that says where the table goes; empty if that is beside another."""
    rows_per_chunk: ClassVar[Mapping[int, int]] = ROWS_PER_CHUNK
    """Rows by layer that a layer-2 chunk brings, roughly: a new table is divided by them."""
    option_types: ClassVar[OptionTypes] = {"test": bool}
    """Attributes of the job that change the product, `test` among them, named as the command's options."""

    graph_id: str
    dataset: Dataset
    grid: ChunkGrid
    resolution: tuple[float, float, float]
    store: str
    test: bool = False
    timestamp: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        check_table(self.graph_id, self.dataset.id_prefix)
        if self.test and self.grid.layer_count < 4:
            raise ConfigError(
                f"{self.dataset.path}: --test takes eight chunks at the centre; this grid has no more"
            )

    def key_of(self, option: str) -> str:
        """How messages name one of `option_types` that is no option of the command; empty if it is one."""
        return ""

    @property
    def options(self) -> dict[str, object]:
        """What changes the product, for the manifest: the attributes that `option_types` names."""
        return {name: getattr(self, name) for name in self.option_types}

    @property
    def top(self) -> int:
        """The highest layer whose chunks the stage builds; 0 for the root layer."""
        return 0

    @property
    def bottom(self) -> int:
        """The lowest layer whose chunks are marked when they are done."""
        return ATOMIC_LAYER

    def step(self, layer: int) -> str:
        """What is done at a layer, for bars of progress."""
        return f"layer {layer}"

    @property
    def scope(self) -> Scope:
        """Which chunks are read, built and written."""
        return Scope(self.grid, self.test)

    @property
    def title(self) -> str:
        """The product, for messages."""
        return f"{self.noun} {self.graph_id}"

    @property
    def where(self) -> str:
        """Arguments by which other commands find the table: ``GRAPH_ID DATASET.yml [--store PLACE]``."""
        kind, _, place = self.store.partition(":")
        if kind == "bigtable":
            place = "/".join(place.split("/")[:2])
        try:
            named = store_url(self.dataset, self.graph_id)
        except ConfigError:  # the dataset file names no place
            named = ""
        known = named == self.store or (kind == "bigtable" and named.startswith(f"{kind}:{place}/"))
        more = [] if known else ["--store", f"{kind}:{place}"]
        return shlex.join([self.graph_id, self.dataset.path, *more])

    @property
    def places(self) -> dict[str, str]:
        """URLs of what workers read and write, by the keys of the dataset file that name them."""
        return {"data_source.WATERSHED": self.dataset.watershed}

    @property
    def weight(self) -> int:
        """Work of a chunk, as a multiple of that of a graph from edges and components files."""
        return 1

    def written(self, layer: int) -> int:
        """How many chunks of `layer` are written."""
        return self.scope.written(layer)

    def is_complete(self, layers: list[LayerStatus]) -> bool:
        """Whether every chunk that is to be written is done, by the progress of all layers."""
        return all(layer.done >= self.written(layer.layer) for layer in layers)

    def is_finished(self, store: Store) -> bool:
        """Whether everything is done. Where a root chunk is built last, its row alone is read."""
        if not self.top:
            return progress.is_finished(store, self.scope)
        return self.is_complete(progress.read_status(store, self.grid, self.top))

    def check_files(self, store: Store, overwrite: bool) -> None:
        """Refuse files that are in the way; called before a table is made, with the one that is there."""

    def make_ready(self, store: Store) -> None:
        """Write or remove files that come before the first chunk; called when the table is there."""

    def splits(self, tablets: int | None) -> list[bytes]:
        """Row keys at which a new table is divided, by the estimated number of rows if `tablets` is None."""
        rows = self.rows_per_chunk
        return split_keys(self.scope, tablet_count(self.scope, rows) if tablets is None else tablets, rows)

    def first_cells(self) -> Cells:
        """What a new table begins with, besides the manifest."""
        return []

    def begun(self: SomeJob, timestamp: int, overwrite: bool) -> SomeJob:
        """The job when it starts from scratch."""
        return replace(self, timestamp=timestamp)

    def taken_up(self: SomeJob, manifest: Manifest) -> SomeJob:
        """The job when it goes on with what an earlier one began."""
        return replace(self, timestamp=manifest.timestamp, resume=True)

    def take_back(self, store: Store, manifest: Manifest, tablets: int | None) -> None:
        """Remove what an earlier attempt wrote and correct input will change; called before a resume."""

    def manifest(self, program: str, tablets: int | None) -> Manifest:
        """The manifest of the job, which has begun."""
        return Manifest(
            graph_id=self.graph_id,
            dataset=self.dataset.text,
            digest=digest(self.dataset.text),
            chunks=self.grid.chunks,
            options=self.options,
            program=program,
            timestamp=self.timestamp,
            tablets=tablets,
            stage=self.stage,
            top=self.top,
            bottom=self.bottom,
        )

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the stage's transform, to a pipeline without other transforms; gives its last `Counts`."""
        raise NotImplementedError

    def open_store(self) -> Store:
        """Open the table's store."""
        return open_store(self.store)
