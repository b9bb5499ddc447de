"""The cells of a cache table: what PCGL2Cache's server and its clients read.

Every fact of that format stands here. Source: pcgl2cache/core/attributes.py and
pcgl2cache/pipeline/l2cache/setup.py (June 2026). Values are little endian, all in column family "0" of the
node's row.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from beam_ingest.arrays import Ids
from beam_ingest.format import table
from beam_ingest.format.table import Cells, Column, ColumnName

if TYPE_CHECKING:
    from beam_ingest.l2cache.attributes import Attributes

Values: TypeAlias = npt.NDArray[Any]


class Attribute(NamedTuple):
    """A column of the table.

    Attributes:
      dtype: of its values.
      shape: of the value of one node.
      optional: whether a value may be empty: small nodes have no principal axes.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    optional: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of a value that is not empty."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape))


ATTRIBUTES: Mapping[str, Attribute] = {
    "size_nm3": Attribute("<u4"),
    "area_nm2": Attribute("<u4"),
    "max_dt_nm": Attribute("<u2"),
    "mean_dt_nm": Attribute("<f2"),
    "rep_coord_nm": Attribute("<u2", (3,)),
    "chunk_intersect_count": Attribute("<u2", (2, 3)),
    "pca": Attribute("<f2", (3, 3), optional=True),
    "pca_val": Attribute("<f4", (3,), optional=True),
}
"""By name. `size_nm3` is stored in voxels and `rep_coord_nm` as a voxel of the chunk: servers scale both."""
TABLE_VERSION = "1.3.1"
"""PCGL2Cache's version whose tables these are."""


def column(name: str) -> ColumnName:
    """The column of an attribute."""
    return ColumnName("0", name.encode())


def meta_cells(graph_id: str, cv_path: str, timestamp: int) -> Cells:
    """The rows that tell what the table belongs to.

    Args:
      graph_id: the graph.
      cv_path: the volume that the server reads, as the dataset file names it.
      timestamp: microseconds since 1970 at which the graph was as it is here.
    """
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(timestamp // 1_000_000))
    meta = pickle.dumps({"graph_id": graph_id, "cv_path": cv_path, "timestamp": when}, protocol=4)
    return [
        table.single(table.META, table.META_KEY, meta),
        table.single(table.VERSION, table.VERSION_KEY, TABLE_VERSION.encode()),
    ]


def node_cells(nodes: Ids, found: Attributes) -> tuple[Cells, int]:
    """The rows of nodes, and how many values were clamped because they do not fit their type.

    Args:
      nodes: ids, shape (n,), uint64.
      found: their attributes.
    """
    keys = table.node_keys(nodes)
    values: dict[str, Values] = {
        "size_nm3": found.voxels,
        "area_nm2": found.area_nm2,
        "max_dt_nm": found.max_dt_nm,
        "mean_dt_nm": found.mean_dt_nm,
        "rep_coord_nm": found.representative,
        "chunk_intersect_count": found.intersections,
        "pca": found.components,
        "pca_val": found.singular_values,
    }
    cells, clamped = [], 0
    for name, attribute in ATTRIBUTES.items():
        has = found.has_pca if attribute.optional else np.ones(nodes.size, bool)
        stored, changed = _stored(values[name][has], attribute.dtype)
        clamped += changed
        ends = np.append(0, np.cumsum(has * attribute.nbytes))
        cells.append(Column(column(name), keys, stored.reshape(-1).view(np.uint8), ends))
    return cells, clamped


def _stored(values: Values, dtype: str) -> tuple[Values, int]:
    """Values in another type, and how many of them it does not hold: they become the nearest that it does."""
    kind = np.dtype(dtype)
    most = float(np.finfo(kind).max) if kind.kind == "f" else np.iinfo(kind).max
    # Rounding to the type may still reach infinity, so what is compared is the rounded value.
    with np.errstate(over="ignore"):
        rounded = values.astype(kind) if kind.kind == "f" else values
    over = rounded > most
    return np.where(over, most, values).astype(kind), int(np.count_nonzero(over))


def decode(name: str, value: bytes) -> Values | None:
    """The value of a cell; None if it is empty.

    Raises:
      ValueError: when it has another size than it should have.
    """
    attribute = ATTRIBUTES[name]
    if not value and attribute.optional:
        return None
    if len(value) != attribute.nbytes:
        raise ValueError(f"{len(value)}")
    return np.frombuffer(value, attribute.dtype).reshape(attribute.shape)
