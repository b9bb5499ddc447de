"""Build PyChunkedGraphs with Apache Beam.

The names a program needs, each imported when it is first used, so that ``import beam_ingest`` and
the commands that run no pipeline stay fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset
    from beam_ingest.errors import BeamIngestError, ConfigError, GraphExistsError, InputError, StoreError
    from beam_ingest.format.grid import ChunkGrid
    from beam_ingest.ingest.job import IngestJob, make_job, start_job
    from beam_ingest.ingest.pipeline.ingest_graph import IngestGraph
    from beam_ingest.reader import GraphReader
    from beam_ingest.runners.run import run_job
    from beam_ingest.sample import SampleSpec, write_sample
    from beam_ingest.stages.progress import read_status
    from beam_ingest.stores import open_store, store_url
    from beam_ingest.version import __version__

__all__ = [
    "BeamIngestError",
    "ChunkGrid",
    "ConfigError",
    "Dataset",
    "GraphExistsError",
    "GraphReader",
    "IngestGraph",
    "IngestJob",
    "InputError",
    "SampleSpec",
    "StoreError",
    "__version__",
    "make_job",
    "open_store",
    "read_status",
    "run_job",
    "start_job",
    "store_url",
    "write_sample",
]

_MODULES = {
    "dataset": {"Dataset"},
    "errors": {"BeamIngestError", "ConfigError", "GraphExistsError", "InputError", "StoreError"},
    "graphene": {"ChunkGrid"},
    "job": {"IngestJob", "make_job", "start_job"},
    "pipeline.ingest": {"IngestGraph"},
    "progress": {"read_status"},
    "reader": {"GraphReader"},
    "run": {"run_job"},
    "sample": {"SampleSpec", "write_sample"},
    "stores": {"open_store", "store_url"},
    "version": {"__version__"},
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"beam_ingest.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
