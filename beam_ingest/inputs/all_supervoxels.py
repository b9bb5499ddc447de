"""All supervoxels of a chunk, those that no edge mentions among them: the watershed's voxels tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_ingest.dataset import Dataset
from beam_ingest.errors import InputError
from beam_ingest.files import FileError, Folder
from beam_ingest.format.grid import SUPERVOXEL_LAYER, ChunkGrid, Coordinates, Ids, chunk_name
from beam_ingest.inputs.edges import ChunkEdges
from beam_ingest.inputs.voxels import is_of_network
from beam_ingest.inputs.watershed import open_watershed, read_labels


@dataclass(frozen=True, eq=False)
class Unmentioned:
    """Supervoxels that a chunk has in the watershed alone, and what it took to find them.

    Attributes:
      ids: of the supervoxels, shape (n,), uint64, ascending.
      voxels: voxels that were read.
      unstored: blocks of the volume that are not stored: background.
    """

    ids: Ids
    voxels: int = 0
    unstored: int = 0


NONE = Unmentioned(np.empty(0, np.uint64))
"""What is found where the watershed is not read."""


class WatershedReader:
    """Finds the supervoxels of chunks that no edge mentions.

    Args:
      grid: the chunk grid.
      dataset: names the watershed.
    """

    def __init__(self, grid: ChunkGrid, dataset: Dataset) -> None:
        self._grid = grid
        self._url = dataset.watershed
        self._chunk_size = dataset.chunk_size
        self._volume: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_volume": None}

    def unmentioned(self, coords: Coordinates, edges: ChunkEdges) -> Unmentioned:
        """The supervoxels of the chunk at `coords` that are not in its edges.

        Raises:
          InputError: when the chunk's box holds other ids than the chunk's, or cannot be read.
          FileError: when it cannot be read for a reason that may pass.
          UndecodableError: when a package that decodes it is not installed.
        """
        folder, name = Folder(self._url), chunk_name(coords)
        try:
            if self._volume is None:
                self._volume = open_watershed(self._url)
            labels = read_labels(self._url, self._chunk_size, coords, self._volume)
        except FileError as error:
            if not folder.is_local and error.__cause__ is not None and is_of_network(error.__cause__):
                raise
            raise InputError(
                folder.path(""),
                name,
                "voxels that can be read",
                f"an error: {error.reason}",
                "write the damaged blocks again, or leave --all-supervoxels out",
            ) from None
        own = self._grid.chunk_id(SUPERVOXEL_LAYER, coords)
        strange = labels.ids[labels.ids - self._grid.segments(labels.ids, SUPERVOXEL_LAYER) != np.uint64(own)]
        if strange.size:
            raise InputError(
                folder.path(""),
                name,
                "supervoxels of this chunk in its box",
                f"{strange.size:,} that are not, such as {strange[0]}",
                "correct CHUNK_SIZE or SPATIAL_BITS, or name the watershed that was cut into chunks",
            )
        within, between, cut = edges.in_chunk, edges.between_chunk, edges.cross_chunk
        known = np.concatenate([within.node_ids1, within.node_ids2, between.node_ids1, cut.node_ids1])
        alone = np.setdiff1d(labels.ids, known)
        return Unmentioned(alone, labels.voxels, labels.absent)
