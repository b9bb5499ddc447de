"""The section ``mesh_config`` of a dataset file.

Source of the keys: PyChunkedGraph's pipelines, which keep them in ``custom_data["mesh"]`` of the meta row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.format.grid import ATOMIC_LAYER, ChunkGrid
from beam_ingest.meshes.shards import MOST_MINISHARD_BITS

SECTION = "mesh_config"
INITIAL = "initial"
"""Folder of the shard files, within `MeshConfig.dir`."""
_MOST_ERROR = 1_000_000


@dataclass(frozen=True)
class MeshConfig:
    """How a graph is meshed.

    Attributes:
      dir: folder of the meshes, within the watershed's.
      mip: level of the watershed that is meshed.
      max_layer: the highest layer whose nodes get meshes.
      max_error: how far simplifying may move a surface, in nanometres.
      minishard_bits: by layer, from 2 to `max_layer`: the chunks' shard files have 2**bits minishards.
      dynamic_mesh_dir: folder within `dir` where servers put meshes of edited nodes.
    """

    dir: str
    mip: int
    max_layer: int
    max_error: float
    minishard_bits: Mapping[int, int]
    dynamic_mesh_dir: str

    @property
    def bits_text(self) -> str:
        """`minishard_bits` as one text."""
        return json.dumps({str(layer): bits for layer, bits in sorted(self.minishard_bits.items())})


def default_bits(layer: int) -> int:
    """Minishard bits of a layer for which the file names none: chunks hold more nodes layer by layer."""
    return min(12, 1 + 2 * (layer - ATOMIC_LAYER))


def read_config(dataset: Dataset, grid: ChunkGrid) -> MeshConfig:
    """The section of a dataset file, checked.

    Raises:
      ConfigError: when it is missing, or asks for what cannot be.
    """
    section = dataset.stage_section(SECTION)
    max_layer = section.integer("max_layer")
    if not ATOMIC_LAYER <= max_layer <= grid.root_layer:
        section.wrong("max_layer", f"a layer from {ATOMIC_LAYER} to {grid.root_layer}, the root layer")
    max_error = section.content.get("max_error", 40)
    if type(max_error) not in (int, float) or not 0 <= max_error <= _MOST_ERROR:
        section.wrong("max_error", f"nanometres from 0 to {_MOST_ERROR:,}")
    dynamic = _folder(dataset, "dynamic_mesh_dir", section.text("dynamic_mesh_dir", "dynamic"))
    if PurePosixPath(dynamic).parts[0] == INITIAL:
        section.wrong("dynamic_mesh_dir", f"another folder than {INITIAL}, where the meshes of this job go")
    return MeshConfig(
        dir=_folder(dataset, "dir", section.text("dir", "graphene_meshes")),
        mip=section.integer("mip"),
        max_layer=max_layer,
        max_error=float(max_error),
        minishard_bits=_bits(dataset, section.content.get("minishard_bits"), max_layer),
        dynamic_mesh_dir=dynamic,
    )


def _folder(dataset: Dataset, key: str, name: str) -> str:
    path = PurePosixPath(name)
    if "://" in name or path.is_absolute() or not path.parts or {"..", "."} & set(name.split("/")):
        raise ConfigError(
            f"{dataset.path}: {SECTION}.{key}: expected the name of a folder in the watershed's, "
            f"found {name!r}"
        )
    return str(path)


def _bits(dataset: Dataset, given: object, max_layer: int) -> dict[int, int]:
    bits = {layer: default_bits(layer) for layer in range(ATOMIC_LAYER, max_layer + 1)}
    where = f"{dataset.path}: {SECTION}.minishard_bits"
    if given is None:
        return bits
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected a mapping of layers to bits, found {type(given).__name__}")
    for key, value in given.items():
        if not str(key).isdecimal() or type(value) is not int or not 0 <= value <= MOST_MINISHARD_BITS:
            raise ConfigError(
                f"{where}: expected bits from 0 to {MOST_MINISHARD_BITS} for each layer, "
                f"found {key}: {value!r}"
            )
        if int(key) in bits:
            bits[int(key)] = value
    return bits
