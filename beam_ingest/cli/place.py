"""Where the graph is that a command speaks of: one rule for all of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from beam_ingest.cli.options import DEFAULT_SETTINGS
from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.l2cache.places import named_cache
from beam_ingest.meshes.places import named_meshes
from beam_ingest.runners.settings import Settings, names_store
from beam_ingest.stores import store_url
from beam_ingest.stores.names import check_table


def place_option(arguments: argparse.Namespace, dataset: Dataset) -> str | None:
    """``--store``, or the instance that Terraform made; None if the dataset file says where its graphs are.

    Raises:
      ConfigError: when the settings are needed, and are not there or not whole.
    """
    option: str | None = arguments.store
    if option is not None or names_store(dataset):
        return option
    if arguments.settings is None and not Path(DEFAULT_SETTINGS).exists():
        return None
    return Settings.from_file(arguments.settings or DEFAULT_SETTINGS).store_option(dataset, option)


def worker_of(arguments: argparse.Namespace, place: str) -> str | None:
    """The account that builds graphs of the instance of `place` when they are launched.

    None when nothing is known of launching: without settings, or when they are of another instance.

    Raises:
      ConfigError: when settings are named, and are not there or not whole.
    """
    try:
        settings = Settings.from_file(arguments.settings or DEFAULT_SETTINGS)
    except ConfigError:
        if arguments.settings:
            raise
        return None
    instance = f"bigtable:{settings.bigtable_project}/{settings.bigtable_instance}/"
    return settings.worker_service_account if place.startswith(instance) else None


def graph_place(arguments: argparse.Namespace, dataset: Dataset) -> str:
    """URL of the store of the graph, or of what another stage made of it, that the arguments name.

    Raises:
      ConfigError: when neither ``--store``, the dataset file nor the settings say where it is.
    """
    return product_place(arguments, dataset)[0]


def product_place(arguments: argparse.Namespace, dataset: Dataset) -> tuple[str, str]:
    """The same, and the stage that makes what has such a name; raises as `graph_place`."""
    option, name = place_option(arguments, dataset), arguments.graph_id
    cache = named_cache(dataset, name, option)
    if cache is not None:
        return cache, "l2cache"
    meshes = named_meshes(dataset, name, option)
    if meshes is not None:
        return meshes, "mesh"
    return store_url(dataset, name, option), "graph"


def bigtable_place(arguments: argparse.Namespace, settings: Settings) -> str:
    """URL of the graph's Bigtable table; without a dataset file, one without ID_PREFIX.

    Raises:
      ConfigError: when the graph is not in Bigtable.
    """
    if arguments.dataset:
        place = graph_place(arguments, Dataset.from_file(arguments.dataset))
    else:
        instance = arguments.store or f"bigtable:{settings.bigtable_project}/{settings.bigtable_instance}"
        check_table(arguments.graph_id)
        place = f"{instance}/{arguments.graph_id}/"
    if not place.startswith("bigtable:") or place.count("/") != 3:
        raise ConfigError(
            f"{place}: expected a graph in bigtable:PROJECT/INSTANCE; Dataflow builds no others"
        )
    return place
