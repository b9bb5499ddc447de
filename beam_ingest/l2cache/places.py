"""Where the L2 cache of a graph is."""

from __future__ import annotations

import re

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.stores import store_url, table_url
from beam_ingest.stores.names import TABLE, bigtable_url

SECTION = "l2cache_config"
"""The section of the dataset file."""
L2CACHE = "l2cache"
"""The stage."""


def cache_name(dataset: Dataset) -> str:
    """The name of the cache's table.

    Raises:
      ConfigError: when the dataset file does not name one, or it cannot be one.
    """
    section = dataset.stage_section(SECTION)
    name: str = section.text("table_id")
    if not re.fullmatch(TABLE, name):
        section.wrong("table_id", "up to 50 letters, digits, '_', '-' and '.', the name of a Bigtable table")
    return name


def cache_url(dataset: Dataset, graph_id: str, graph_store: str, option: str | None = None) -> str:
    """Where the cache of a graph is: where `option` (``--cache-store``) says, or else beside the graph.

    Args:
      dataset: the dataset file, which names the table.
      graph_id: the graph.
      graph_store: URL of the graph's table.
      option: a place given by hand.

    Raises:
      ConfigError: when no table is named, the option has another form, or the graph is there.
    """
    name = cache_name(dataset)
    profile = "" if graph_store.startswith("sqlite:") else "".join(graph_store.split("/")[3:])
    url = _beside(graph_store, name)
    if option is not None:
        url = table_url(option, name, profile, "--cache-store")
    if url == graph_store or name in (graph_id, dataset.id_prefix + graph_id):
        raise ConfigError(
            f"{dataset.path}: {SECTION}.table_id: expected another table than that of graph {graph_id}, "
            f"found {name}, in {url}"
        )
    return url


def named_cache(dataset: Dataset, name: str, option: str | None) -> str | None:
    """URL of the cache if `name` is its table's, for commands that take the name of any product.

    Args:
      dataset: the dataset file.
      name: what the command was given.
      option: the cache's place given by hand (``--store``).
    """
    section = dataset.stage_sections.get(SECTION)
    if not isinstance(section, dict) or section.get("table_id") != name:
        return None
    if option is not None:
        return table_url(option, cache_name(dataset))
    return _beside(store_url(dataset, name), cache_name(dataset))


def _beside(graph_store: str, name: str) -> str:
    kind, _, place = graph_store.partition(":")
    if kind == "sqlite":
        return f"sqlite:{place.rpartition('/')[0]}/{name}.sqlite"
    project, instance, _, *profile = place.split("/")
    return bigtable_url(project, instance, name, *profile)
