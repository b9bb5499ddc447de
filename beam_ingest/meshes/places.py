"""Where the progress of meshing a graph is kept, and its files."""

from __future__ import annotations

from beam_ingest.dataset import Dataset
from beam_ingest.meshes.config import SECTION
from beam_ingest.stores import store_url
from beam_ingest.stores.names import bigtable_url

_SUFFIX = "-mesh"


def mesh_name(graph_id: str) -> str:
    """The name of the table that says how far the meshes of a graph are."""
    return f"{graph_id}{_SUFFIX}"


def mesh_url(dataset: Dataset, graph_id: str, graph_store: str) -> str:
    """Where that table is: beside the graph.

    Args:
      dataset: the dataset file.
      graph_id: the graph.
      graph_store: URL of its table.
    """
    kind, _, place = graph_store.partition(":")
    if kind == "sqlite":
        return f"sqlite:{place}.mesh"
    project, instance, _, *profile = place.split("/")
    return bigtable_url(project, instance, dataset.id_prefix + mesh_name(graph_id), *profile)


def named_meshes(dataset: Dataset, name: str, option: str | None) -> str | None:
    """URL of that table if `name` is its name, for commands that take the name of any product.

    Args:
      dataset: the dataset file.
      name: what the command was given.
      option: the table's place given by hand (``--store``).
    """
    if SECTION not in dataset.stage_sections or not name.endswith(_SUFFIX):
        return None
    url = store_url(dataset, name, option)
    return url if option is not None else mesh_url(dataset, name.removesuffix(_SUFFIX), url)
