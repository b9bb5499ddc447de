"""One ingest: what is built, from what, into which store, under which timestamp."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.format import table
from beam_ingest.format.table import Cells
from beam_ingest.ingest.meta import encode_meta
from beam_ingest.ingest.rollback import take_back
from beam_ingest.inputs.watershed import chunk_grid, read_watershed
from beam_ingest.stages.job import VOXELS_OF_A_CHUNK, StageJob
from beam_ingest.stages.manifest import GRAPH, GRAPH_OPTIONS, Manifest, OptionTypes
from beam_ingest.stages.start import start_job as start_job
from beam_ingest.stores import Store

if TYPE_CHECKING:
    import apache_beam as beam


@dataclass(frozen=True)
class IngestJob(StageJob):
    """The job that builds a graph; further attributes as of `beam_ingest.stages.job.StageJob`.

    Attributes:
      graph_version: 3 or 2, the major version of PyChunkedGraph that opens it.
      raw: read raw agglomeration instead of edges and components files.
      require_files: an absent edges or components file is an error.
      all_supervoxels: supervoxels that the watershed has and no edge mentions become nodes, too.
      replace_files: files that raw agglomeration becomes take the place of others in EDGES and COMPONENTS.
    """

    stage: ClassVar[str] = GRAPH
    option_types: ClassVar[OptionTypes] = GRAPH_OPTIONS

    graph_version: int = 3
    raw: bool = False
    require_files: bool = False
    all_supervoxels: bool = False
    replace_files: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.graph_version not in table.VERSIONS:
            raise ConfigError(f"graph version {self.graph_version}: expected one of {sorted(table.VERSIONS)}")
        for fault in self.dataset.missing_keys(self.raw):
            raise ConfigError(fault)

    @property
    def places(self) -> dict[str, str]:
        """URLs of what workers read and write, by the keys of the dataset file that name them."""
        source = self.dataset
        urls = {"data_source.EDGES": source.edges, "data_source.COMPONENTS": source.components}
        if self.raw:
            urls["ingest_config.AGGLOMERATION"] = source.agglomeration
        return {**super().places, **{key: url for key, url in urls.items() if url is not None}}

    @property
    def weight(self) -> int:
        """Raw agglomeration is up to three times the work a chunk (docs/performance.md), voxels more."""
        voxels = prod(self.dataset.chunk_size) if self.all_supervoxels else 0
        return (3 if self.raw else 1) + voxels // VOXELS_OF_A_CHUNK

    def first_cells(self) -> Cells:
        """The meta and version rows, which servers read."""
        version = table.VERSIONS[self.graph_version].encode()
        return [
            table.single(table.META, table.META_KEY, encode_meta(self.dataset, self.graph_id)),
            table.single(table.VERSION, table.VERSION_KEY, version),
        ]

    def begun(self, timestamp: int, overwrite: bool) -> IngestJob:
        """The job when it starts from scratch; with `overwrite` it may replace files, too."""
        return replace(self, timestamp=timestamp, replace_files=overwrite)

    def taken_up(self, manifest: Manifest) -> IngestJob:
        """The job when it goes on with what an earlier one began."""
        return replace(super().taken_up(manifest), replace_files=manifest.replace_files)

    def take_back(self, store: Store, manifest: Manifest, tablets: int | None) -> None:
        """Remove what was written of chunks whose files contradict each other."""
        take_back(self, store, manifest, tablets)

    def build(self, begin: beam.Pipeline | beam.pvalue.PBegin) -> beam.PCollection:
        """Apply the stages of the graph, without a name around them."""
        from beam_ingest.ingest.pipeline.ingest_graph import build_layers

        return build_layers(begin, self)

    def manifest(self, program: str, tablets: int | None) -> Manifest:
        """The manifest of the job, which has begun."""
        return replace(super().manifest(program, tablets), replace_files=self.replace_files)


def make_job(
    graph_id: str,
    dataset: Dataset,
    store: str,
    *,
    graph_version: int = 3,
    raw: bool = False,
    test: bool = False,
    require_files: bool = False,
    all_supervoxels: bool = False,
) -> IngestJob:
    """Make the job that builds a graph. The dataset and its watershed are checked; nothing is written.

    Args:
      graph_id: name of the graph.
      dataset: the dataset file.
      store: URL of the table, as `store_url` gives it.
      graph_version: 3 or 2, the major version of PyChunkedGraph that opens the graph.
      raw: read raw agglomeration instead of edges and components files.
      test: write only the eight chunks at the centre and their parent.
      require_files: take an absent edges or components file as an error, not as an empty chunk.
      all_supervoxels: make nodes of supervoxels, too, that the watershed has and no edge mentions.

    Raises:
      ConfigError: when the dataset file lacks a key, a folder or the watershed is missing, or the grid or
        the graph id cannot be.
    """
    watershed = read_watershed(dataset.watershed)
    for fault in dataset.missing_folders(raw):
        raise ConfigError(fault)
    return IngestJob(
        graph_id=graph_id,
        dataset=dataset,
        grid=chunk_grid(dataset, watershed),
        resolution=watershed.resolution,
        store=store,
        graph_version=graph_version,
        raw=raw,
        test=test,
        require_files=require_files,
        all_supervoxels=all_supervoxels,
    )
