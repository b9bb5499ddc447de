"""Build PyChunkedGraphs with Apache Beam, and read them.

Every public name is listed once, below, and imported when it is first used: ``import beam_ingest`` stays
fast, and reading a graph needs no Apache Beam. docs/api.md shows them all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_ingest.dataset import Dataset as Dataset
    from beam_ingest.errors import BeamIngestError as BeamIngestError
    from beam_ingest.errors import ChunksFailedError as ChunksFailedError
    from beam_ingest.errors import ConfigError as ConfigError
    from beam_ingest.errors import EmptyInputError as EmptyInputError
    from beam_ingest.errors import GraphExistsError as GraphExistsError
    from beam_ingest.errors import InputChangedError as InputChangedError
    from beam_ingest.errors import InputError as InputError
    from beam_ingest.errors import NodeNotFoundError as NodeNotFoundError
    from beam_ingest.errors import RunError as RunError
    from beam_ingest.errors import StoreError as StoreError
    from beam_ingest.errors import SubmitError as SubmitError
    from beam_ingest.files import FileError as FileError
    from beam_ingest.format.grid import ChunkGrid as ChunkGrid
    from beam_ingest.ingest.job import IngestJob as IngestJob
    from beam_ingest.ingest.job import make_job as make_job
    from beam_ingest.ingest.job import start_job as start_job
    from beam_ingest.ingest.pipeline.ingest_graph import IngestGraph as IngestGraph
    from beam_ingest.inputs.components import Mapping as Mapping
    from beam_ingest.inputs.components import read_components as read_components
    from beam_ingest.inputs.components import write_components as write_components
    from beam_ingest.inputs.edges import ChunkEdges as ChunkEdges
    from beam_ingest.inputs.edges import Edges as Edges
    from beam_ingest.inputs.edges import read_edges as read_edges
    from beam_ingest.inputs.edges import write_edges as write_edges
    from beam_ingest.l2cache.job import L2CacheJob as L2CacheJob
    from beam_ingest.l2cache.job import make_l2cache_job as make_l2cache_job
    from beam_ingest.l2cache.reader import L2CacheReader as L2CacheReader
    from beam_ingest.l2cache.reader import open_l2cache as open_l2cache
    from beam_ingest.meshes.job import MeshJob as MeshJob
    from beam_ingest.meshes.job import make_mesh_job as make_mesh_job
    from beam_ingest.reader import CrossEdges as CrossEdges
    from beam_ingest.reader import GraphReader as GraphReader
    from beam_ingest.reader import Groups as Groups
    from beam_ingest.reader import open_graph as open_graph
    from beam_ingest.runners.run import run_job as run_job
    from beam_ingest.sample import SampleSpec as SampleSpec
    from beam_ingest.sample import write_sample as write_sample
    from beam_ingest.stages.progress import read_status as read_status
    from beam_ingest.stores import open_store as open_store
    from beam_ingest.stores import store_url as store_url
    from beam_ingest.version import __version__ as __version__
    from beam_ingest.volumes.job import PrepareJob as PrepareJob
    from beam_ingest.volumes.job import make_prepare_job as make_prepare_job

_MODULES = {
    "dataset": ("Dataset",),
    "errors": (
        "BeamIngestError", "ChunksFailedError", "ConfigError", "EmptyInputError", "GraphExistsError",
        "InputChangedError", "InputError", "NodeNotFoundError", "RunError", "StoreError", "SubmitError",
    ),
    "files": ("FileError",),
    "format.grid": ("ChunkGrid",),
    "ingest.job": ("IngestJob", "make_job", "start_job"),
    "ingest.pipeline.ingest_graph": ("IngestGraph",),
    "inputs.components": ("Mapping", "read_components", "write_components"),
    "inputs.edges": ("ChunkEdges", "Edges", "read_edges", "write_edges"),
    "l2cache.job": ("L2CacheJob", "make_l2cache_job"),
    "l2cache.reader": ("L2CacheReader", "open_l2cache"),
    "meshes.job": ("MeshJob", "make_mesh_job"),
    "reader": ("CrossEdges", "GraphReader", "Groups", "open_graph"),
    "runners.run": ("run_job",),
    "sample": ("SampleSpec", "write_sample"),
    "stages.progress": ("read_status",),
    "stores": ("open_store", "store_url"),
    "version": ("__version__",),
    "volumes.job": ("PrepareJob", "make_prepare_job"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
