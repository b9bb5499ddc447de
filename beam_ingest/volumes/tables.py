"""Tables of labels: supervoxel → agglomerated label, or pairs that are joined, as .npy, .csv or Parquet."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import FileError, Folder, first_line, folder_of
from beam_ingest.volumes.agglomerate import LabelTable

SUFFIXES = (".npy", ".csv", ".parquet")


def is_table(url: str) -> bool:
    """Whether a place is a file with a table; else it is a volume."""
    return url.endswith(SUFFIXES)


def read_table(dataset: Dataset) -> LabelTable | None:
    """The table that SEGMENTATION or EQUIVALENCES names; None when there is none.

    Raises:
      ConfigError: when it is not there, or no table of two columns of labels.
      FileError: when it cannot be read for a reason that may pass.
    """
    volumes = dataset.volumes
    if volumes is not None and volumes.equivalences:
        first, second = _read(dataset, "EQUIVALENCES", volumes.equivalences).T
        return LabelTable.from_pairs(first, second)
    if volumes is None or not volumes.segmentation or not is_table(volumes.segmentation):
        return None
    rows = _read(dataset, "SEGMENTATION", volumes.segmentation)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    again = np.append(False, rows[1:, 0] == rows[:-1, 0])
    contradicting = np.flatnonzero(again & np.append(False, rows[1:, 1] != rows[:-1, 1]))
    if contradicting.size:
        label, *_ = rows[contradicting[0]].tolist()
        raise ConfigError(
            f"{dataset.path}: volumes.SEGMENTATION: {volumes.segmentation}: expected one agglomerated label "
            f"for each supervoxel, found several for {label}"
        )
    return LabelTable(rows[~again, 0].copy(), rows[~again, 1].copy(), whole=True)


def _read(dataset: Dataset, key: str, url: str) -> npt.NDArray[np.uint64]:
    where = f"{dataset.path}: volumes.{key}: {url}"
    if not is_table(url):
        raise ConfigError(f"{where}: expected a file that ends with {', '.join(SUFFIXES)}")
    folder, name = folder_of(url), url.rpartition("/")[2]
    try:
        (content,) = Folder(folder).read([name])
    except FileError as error:
        raise ConfigError(f"{dataset.path}: volumes.{key}: {error}") from None
    if content is None:
        raise ConfigError(f"{where}: expected a table, found no file")
    try:
        rows = _parse(content, name)
    except Exception as error:  # every format has its own
        raise ConfigError(f"{where}: expected a table of labels, found {first_line(error)}") from None
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "ui":
        found = f"shape {rows.shape} of {rows.dtype}"
        raise ConfigError(f"{where}: expected two columns of whole numbers, found {found}")
    if rows.dtype.kind == "i" and rows.size and rows.min() < 0:
        raise ConfigError(f"{where}: expected labels from 0, found {rows.min()}")
    return rows.astype(np.uint64)


def _parse(content: bytes, name: str) -> npt.NDArray[np.generic]:
    """The columns of a table; those of a .csv file may have a line of names above."""
    if name.endswith(".npy"):
        return np.load(io.BytesIO(content), allow_pickle=False)  # type: ignore[no-any-return]
    import pyarrow as pa
    from pyarrow import csv, parquet

    if name.endswith(".csv"):
        named = not content.lstrip()[:1].isdigit()
        options = csv.ReadOptions(column_names=["f0", "f1"], skip_rows=int(named))
        convert = csv.ConvertOptions(column_types={"f0": pa.uint64(), "f1": pa.uint64()})
        table = csv.read_csv(io.BytesIO(content), read_options=options, convert_options=convert)
    else:
        table = parquet.read_table(io.BytesIO(content))
    return np.stack([column.to_numpy() for column in table.columns], axis=1)
