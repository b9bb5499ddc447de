"""Checking the section ``volumes``, which ``prepare`` reads; no voxel is."""

from __future__ import annotations

import shlex

from beam_ingest.checks.findings import Findings
from beam_ingest.dataset import Dataset
from beam_ingest.errors import BeamIngestError, ConfigError
from beam_ingest.files import FileError, Folder
from beam_ingest.inputs.watershed import Watershed, chunk_grid
from beam_ingest.volumes.choose import choose
from beam_ingest.volumes.source import read_extent, volumes_of
from beam_ingest.volumes.tables import read_table
from beam_ingest.volumes.watershed import storage_block


def volumes_faults(dataset: Dataset, findings: Findings) -> list[str]:
    """What is wrong about the volumes, a line each; what they hold goes to the findings.

    Args:
      dataset: a dataset file with the section.
      findings: where what is found goes.
    """
    try:
        extent = read_extent(dataset)
        dataset = choose(dataset, extent)
        grid = chunk_grid(dataset, Watershed(extent.size, extent.resolution))
        if volumes_of(dataset).supervoxels != dataset.watershed:
            storage_block(dataset.chunk_size)
        read_table(dataset)
    except BeamIngestError as error:
        return [str(error)]
    size = " x ".join(map(str, extent.size))
    findings.note(f"volumes: {size} voxels, {grid.chunk_count(2):,} chunks")
    return []


def unprepared(dataset: Dataset) -> str | None:
    """A line, if what ``prepare`` makes of the volumes is not there yet."""
    if dataset.volumes is None:
        return None
    try:
        (info,) = Folder(dataset.watershed).read(["info"])
    except (ConfigError, FileError):  # which is told of when it is read next
        return None
    if info is not None:
        return None
    command = f"beam-ingest prepare {shlex.quote(dataset.path)}"
    place = dataset.watershed
    return f"{dataset.path}: nothing is at {place} yet: `{command}` makes EDGES, COMPONENTS and WATERSHED"
