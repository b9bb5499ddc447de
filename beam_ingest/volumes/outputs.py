"""The folders that ``prepare`` fills: whether they are free, and removing what an earlier run put there."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import Any

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, GraphExistsError
from beam_ingest.files import FileError, first_line, local_path
from beam_ingest.volumes.source import Extent
from beam_ingest.volumes.watershed import scale_key

MARK = ".beam_ingest"
"""The folder in EDGES that holds the table of a local job: the sign that its files are ours."""
_EDGES = re.compile(r"edges_\d+_\d+_\d+\.proto\.zst")
_COMPONENTS = re.compile(r"components_\d+_\d+_\d+\.proto")
_PER_REMOVAL = 1000


def output_places(dataset: Dataset) -> dict[str, str]:
    """URLs of the folders by the key that names them.

    Raises:
      ConfigError: when one is not named, or two are the same.
    """
    places = {"WATERSHED": dataset.watershed}
    for key, url in (("EDGES", dataset.edges), ("COMPONENTS", dataset.components)):
        if url is None:
            raise ConfigError(
                f"{dataset.path}: data_source: the key {key} is missing: it names a folder to fill"
            )
        places[key] = url
    return places


def check_free(dataset: Dataset, extent: Extent, writes_watershed: bool) -> None:
    """Make sure that no output is there yet.

    Raises:
      GraphExistsError: naming the first file that is.
    """
    for key, url in output_places(dataset).items():
        if key == "WATERSHED" and not writes_watershed:
            continue
        for name in _outputs(key, url, extent):
            raise GraphExistsError(
                f"{dataset.path}: data_source.{key}: expected nothing at {url}, found {name}; --resume "
                "finishes what prepare began, --overwrite replaces what it wrote, another folder keeps both"
            )


def check_writable(dataset: Dataset, writes_watershed: bool) -> None:
    """Make the folders of this machine that are not there yet, and make sure that files can be put there.

    Raises:
      ConfigError: naming the first folder where they cannot.
    """
    for key, url in output_places(dataset).items():
        path = local_path(url)
        if path is None or (key == "WATERSHED" and not writes_watershed):
            continue
        try:
            os.makedirs(path, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise ConfigError(
                f"{dataset.path}: data_source.{key}: expected a folder that files can be written to, found "
                f"an error at {path}: {error.strerror}; make it writable, or name another one"
            ) from None


def remove_outputs(dataset: Dataset, extent: Extent, writes_watershed: bool) -> None:
    """Remove the files of an earlier run, whose table was found; other files in the folders stay.

    Raises:
      FileError: when one cannot be removed.
    """
    for key, url in output_places(dataset).items():
        if key == "WATERSHED" and not writes_watershed:
            continue
        names = _outputs(key, url, extent)
        while some := list(islice(names, _PER_REMOVAL)):
            try:
                _files(url).delete(some)
            except Exception as error:
                raise FileError(f"{url}: cannot be removed: {first_line(error)}") from error
            names = _outputs(key, url, extent)


def _outputs(key: str, url: str, extent: Extent) -> Iterator[str]:
    """Names of the outputs in a folder."""
    files = _files(url)
    try:
        if key == "WATERSHED":
            if files.exists("info"):
                yield "info"
            yield from files.list(f"{scale_key(extent)}/", flat=True)
            return
        form = _EDGES if key == "EDGES" else _COMPONENTS
        prefix = "edges_" if key == "EDGES" else "components_"
        yield from (name for name in files.list(prefix, flat=True) if form.fullmatch(name))
    except (FileNotFoundError, NotADirectoryError):
        return
    except Exception as error:
        raise FileError(f"{url}: cannot be listed: {first_line(error)}") from error


def _files(url: str) -> Any:
    from cloudfiles import CloudFiles  # slow

    return CloudFiles(url, progress=False)
