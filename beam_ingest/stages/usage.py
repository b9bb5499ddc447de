"""What runs took, by layer - CPU, wall time, bytes, memory - and what they were planned to take.

They are kept in the manifest's row, in columns of their own, since they differ from run to run.
`beam_ingest.stages.meter` measures.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from beam_ingest.errors import StoreError
from beam_ingest.format import table
from beam_ingest.format.table import ColumnName
from beam_ingest.stages.manifest import MANIFEST_KEY
from beam_ingest.stores.base import Store

USAGE, PLAN = ColumnName("0", b"usage"), ColumnName("0", b"plan")
"""Columns of the manifest's row: runs that ended, and the plan that was made before."""


@dataclass(frozen=True)
class LayerUsage:
    """What a layer took in one run.

    Attributes:
      layer: the layer; shares of the roots count for the root layer.
      cpu_seconds: of reading, building and writing, of all workers together.
      wall_seconds: from its first bundle to the end of its last.
      nbytes: bytes of keys, qualifiers and values written.
      peak_bytes: the most memory that one process had taken by the end of the layer.
    """

    layer: int
    cpu_seconds: float
    wall_seconds: float
    nbytes: int
    peak_bytes: int


def add_usage(store: Store, timestamp: int, layers: list[LayerUsage]) -> None:
    """Keep what a run took, with those before it.

    Args:
      store: the table.
      timestamp: of the manifest.
      layers: what its layers took.
    """
    if layers:
        runs = [*read_usage(store), [asdict(layer) for layer in layers]]
        _keep(store, timestamp, USAGE, runs)


def read_usage(store: Store) -> list[list[dict[str, Any]]]:
    """What each run took, by layer, as `LayerUsage` has it; those of `add_usage`."""
    found = _read(store, USAGE)
    return found if isinstance(found, list) else []


def keep_plan(store: Store, timestamp: int, plan: dict[str, Any]) -> None:
    """Keep the plan that was made of a product, as ``plan --json`` prints it."""
    _keep(store, timestamp, PLAN, plan)


def read_plan(store: Store) -> dict[str, Any] | None:
    """The plan that was made; None without one."""
    found = _read(store, PLAN)
    return found if isinstance(found, dict) else None


def _keep(store: Store, timestamp: int, name: ColumnName, content: object) -> None:
    store.write([table.single(name, MANIFEST_KEY, json.dumps(content).encode())], timestamp)


def _read(store: Store, name: ColumnName) -> Any:
    cell = store.read_rows([MANIFEST_KEY], [name]).get(MANIFEST_KEY, {}).get(name)
    try:
        return None if cell is None else json.loads(cell.value)
    except (ValueError, RecursionError):
        key = f"{name.qualifier.decode()} in row {MANIFEST_KEY.decode()}"
        raise StoreError(f"{store.place}: {key}: expected JSON, found something else") from None
