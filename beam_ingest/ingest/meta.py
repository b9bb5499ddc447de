"""The value of the ``meta`` row: a pickle of ``pychunkedgraph.graph.meta.ChunkedGraphMeta``.

It is written without pychunkedgraph, byte for byte as pychunkedgraph 2.21 and 3.1.7 write it, and never
read: a pickle out of a table is code out of a table.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections import namedtuple
from datetime import timedelta
from types import ModuleType
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.redact import redacted

_MODULE = "pychunkedgraph.graph.meta"
_LOCK = threading.Lock()

# Field order is the pickle's: these are positional arguments there.
GraphConfig = namedtuple(
    "GraphConfig",
    "ID ID_PREFIX CHUNK_SIZE FANOUT LAYER_ID_BITS SPATIAL_BITS OVERWRITE ROOT_LOCK_EXPIRY ROOT_COUNTERS",
)
DataSource = namedtuple("DataSource", "EDGES COMPONENTS WATERSHED DATA_VERSION CV_MIP")


class ChunkedGraphMeta:
    """Stands for the class of that name when the pickle is written."""

    def __init__(self, graph_config: GraphConfig, data_source: DataSource) -> None:
        self.graph_config = graph_config
        self.data_source = data_source
        self.custom_data: dict[str, Any] = {}

    def __getnewargs__(self) -> tuple[GraphConfig, DataSource]:
        return (self.graph_config, self.data_source)


def encode_meta(dataset: Dataset, graph_id: str) -> bytes:
    """The meta row's value for a graph of `dataset` called `graph_id`."""
    graph_config = GraphConfig(
        ID=graph_id,
        ID_PREFIX=dataset.id_prefix,
        CHUNK_SIZE=list(dataset.chunk_size),
        FANOUT=dataset.fanout,
        LAYER_ID_BITS=dataset.layer_id_bits,
        SPATIAL_BITS=dataset.spatial_bits,
        OVERWRITE=False,  # an order to the program that makes the table, not a fact of the graph
        ROOT_LOCK_EXPIRY=timedelta(minutes=3),
        ROOT_COUNTERS=dataset.root_counters,
    )
    data_source = DataSource(
        EDGES=dataset.edges and redacted(dataset.edges),
        COMPONENTS=dataset.components and redacted(dataset.components),
        WATERSHED=redacted(dataset.watershed),
        DATA_VERSION=dataset.data_version,
        CV_MIP=dataset.cv_mip,
    )
    return _pickle_as_pychunkedgraph(ChunkedGraphMeta(graph_config, data_source))


def _pickle_as_pychunkedgraph(meta: ChunkedGraphMeta) -> bytes:
    """Pickle `meta` with its classes named as pychunkedgraph's.

    pickle looks every class up under the name it writes; for that moment our stand-ins are there.
    """
    module: Any = ModuleType(_MODULE)
    packages = ("pychunkedgraph", "pychunkedgraph.graph", _MODULE)
    classes: tuple[Any, ...] = (ChunkedGraphMeta, GraphConfig, DataSource)
    with _LOCK:
        present = {name: sys.modules.get(name) for name in packages}
        own = [cls.__module__ for cls in classes]
        try:
            sys.modules.update(dict.fromkeys(packages, module))
            for cls in classes:
                setattr(module, cls.__name__, cls)
                cls.__module__ = _MODULE
            return pickle.dumps(meta, protocol=4)
        finally:
            for cls, name in zip(classes, own, strict=True):
                cls.__module__ = name
            for name, original in present.items():
                del sys.modules[name]
                if original is not None:
                    sys.modules[name] = original
