"""Stores: where a graph's table lives."""

from __future__ import annotations

import os

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import PlaceError, folder_of, resolve_local
from beam_ingest.stores.base import Cell, Row, Store, StoredCell, WriteReport
from beam_ingest.stores.names import bigtable_url, check_table

__all__ = ["Cell", "Row", "Store", "StoredCell", "WriteReport", "open_store", "store_url", "table_url"]

_FORMS = "sqlite:PATH or bigtable:PROJECT/INSTANCE"


def store_url(dataset: Dataset, graph_id: str, option: str | None = None, app_profile: str = "") -> str:
    """Where the graph goes: where `option` (``--store``) says, or else the file's ``backend_client``.

    Bigtable's project and instance come from the option, from ``backend_client.CONFIG``, or from
    BIGTABLE_PROJECT and BIGTABLE_INSTANCE. The table is the graph id behind ID_PREFIX, as in
    PyChunkedGraph.

    Args:
      dataset: the dataset file.
      graph_id: the graph.
      option: a place given by hand.
      app_profile: of Bigtable; "" for the instance's default.

    Returns:
      ``sqlite:`` and an absolute path, or ``bigtable:PROJECT/INSTANCE/TABLE/APP_PROFILE``.

    Raises:
      ConfigError: when nothing says where, the form is unknown, or Bigtable takes no such names.
    """
    if option is not None:
        if option.startswith("bigtable:"):
            check_table(graph_id, dataset.id_prefix)
        return table_url(option, dataset.id_prefix + graph_id, app_profile)
    if dataset.backend_type == "sqlite":
        path = dataset.backend_config.get("PATH")
        if not isinstance(path, str) or not path:
            raise ConfigError(f"{dataset.path}: backend_client.CONFIG: the key PATH is missing")
        try:
            return f"sqlite:{resolve_local(path, folder_of(dataset.path))}"
        except PlaceError as error:
            where = f"{dataset.path}: backend_client.CONFIG.PATH"
            raise ConfigError(f"{where}: expected {error.expected}, found {path!r}") from None
    elif dataset.backend_type == "bigtable":
        project, instance = (_bigtable_setting(dataset, key) for key in ("PROJECT", "INSTANCE"))
    else:
        raise ConfigError(f"{dataset.path}: no backend_client; add --store {_FORMS}")
    check_table(graph_id, dataset.id_prefix)
    return bigtable_url(project, instance, dataset.id_prefix + graph_id, app_profile)


def table_url(option: str, table: str, app_profile: str = "", name: str = "--store") -> str:
    """The URL of a table in a place that was given by hand.

    Args:
      option: the place, ``sqlite:PATH`` or ``bigtable:PROJECT/INSTANCE``.
      table: its name in Bigtable.
      app_profile: of Bigtable; "" for the instance's default.
      name: of the option, for messages.

    Raises:
      ConfigError: when the place has another form, or Bigtable takes no such names.
    """
    kind, _, given = option.partition(":")
    if kind == "sqlite" and given:
        try:
            return f"sqlite:{resolve_local(given)}"
        except PlaceError as error:
            raise ConfigError(f"{name} {option}: expected {error.expected}") from None
    project, _, instance = given.partition("/")
    if kind != "bigtable" or not project or not instance or "/" in instance:
        raise ConfigError(f"{name} {option}: expected {_FORMS}")
    return bigtable_url(project, instance, table, app_profile)


def _bigtable_setting(dataset: Dataset, key: str) -> str:
    value = dataset.backend_config.get(key) or os.environ.get(f"BIGTABLE_{key}")
    if not value or not isinstance(value, str):
        raise ConfigError(
            f"{dataset.path}: backend_client.CONFIG: the key {key} is missing, and BIGTABLE_{key} is "
            f"not set; or add --store {_FORMS}"
        )
    return value


def open_store(url: str) -> Store:
    """The store at a URL that `store_url` made.

    Raises:
      ConfigError: when it is another one.
    """
    kind, _, place = url.partition(":")
    if kind == "sqlite":
        from beam_ingest.stores.sqlite import SQLiteStore

        return SQLiteStore(place)
    names = place.split("/")
    if kind != "bigtable" or not 3 <= len(names) <= 4:
        raise ConfigError(f"{url}: expected sqlite:PATH or bigtable:PROJECT/INSTANCE/TABLE/APP_PROFILE")
    bigtable_url(*names)
    from beam_ingest.stores.bigtable import BigtableStore

    return BigtableStore(*names)
