"""Stores: where a graph's table lives."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.stores.base import Cell, Row, Store

__all__ = ["Cell", "Row", "Store", "open_store", "store_url"]

_FORMS = "sqlite:PATH"


def store_url(dataset: Dataset, option: str | None) -> str:
    """The store of `option` (``--store``), or of the dataset file's ``backend_client``.

    Returns:
      ``sqlite:`` and an absolute path.

    Raises:
      ConfigError: when neither says where, or the form is unknown.
    """
    if option is not None:
        kind, _, given = option.partition(":")
        if kind != "sqlite" or not given:
            raise ConfigError(f"--store {option}: expected {_FORMS}")
        return f"sqlite:{Path(given).absolute()}"
    if dataset.backend_type == "sqlite":
        path = dataset.backend_config.get("PATH")
        if not isinstance(path, str) or not path:
            raise ConfigError(f"{dataset.path}: backend_client.CONFIG: the key PATH is missing")
        return f"sqlite:{(Path(unquote(urlsplit(dataset.path).path)).parent / path).absolute()}"
    where = (
        f"backend_client.TYPE is {dataset.backend_type!r}" if dataset.backend_type else "no backend_client"
    )
    raise ConfigError(f"{dataset.path}: {where}, which this version cannot write; add --store {_FORMS}")


def open_store(url: str) -> Store:
    """The store at a URL that `store_url` made."""
    from beam_ingest.stores.sqlite import SQLiteStore

    return SQLiteStore(url.partition(":")[2])
