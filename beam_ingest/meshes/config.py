"""The section ``mesh_config`` of a dataset file.

Source of the keys: PyChunkedGraph's pipelines, which keep them in ``custom_data["mesh"]`` of the meta row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from beam_ingest.format.grid import ATOMIC_LAYER


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
