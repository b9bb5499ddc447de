"""Writing the watershed: a precomputed volume of piece ids, whose storage blocks divide the chunks."""

from __future__ import annotations

import json
from itertools import product

import deflate

from beam_ingest.arrays import Ids
from beam_ingest.dataset import INFO_KEY, Dataset
from beam_ingest.errors import ConfigError
from beam_ingest.files import Folder
from beam_ingest.volumes.compressed import CELL, encode_labels
from beam_ingest.volumes.contacts import Labels
from beam_ingest.volumes.source import Extent, Triple

MOST_BLOCK, LEAST_BLOCK = 128, 16
"""Voxels of a storage block along an axis, where a chunk has more."""


def storage_block(chunk_size: Triple) -> Triple:
    """The largest blocks that divide a chunk of `chunk_size` voxels, at most 128 along each axis.

    Raises:
      ConfigError: when only tiny ones would.

    >>> storage_block((512, 64, 320))
    (128, 64, 80)
    """
    found = []
    for axis, voxels in zip("xyz", chunk_size, strict=True):
        block = next(n for n in range(min(voxels, MOST_BLOCK), 0, -1) if voxels % n == 0)
        if block < LEAST_BLOCK < voxels:
            near = max(MOST_BLOCK, round(voxels / MOST_BLOCK) * MOST_BLOCK)
            raise ConfigError(
                f"graph_config.CHUNK_SIZE: expected a size along {axis} that storage blocks of "
                f"{LEAST_BLOCK} to {MOST_BLOCK} voxels divide, found {voxels}; {near} would do"
            )
        found.append(block)
    x, y, z = found
    return (x, y, z)


def scale_key(extent: Extent) -> str:
    """The folder of the blocks."""
    return "_".join(f"{r:g}" for r in extent.resolution)


def watershed_info(dataset: Dataset, extent: Extent) -> bytes:
    """The content of the file ``info``, which tells other commands what a dataset file leaves open."""
    scale = {
        "key": scale_key(extent),
        "size": extent.size,
        "resolution": [int(r) if r == int(r) else r for r in extent.resolution],
        "voxel_offset": extent.offset,
        "chunk_sizes": [storage_block(dataset.chunk_size)],
        "encoding": "compressed_segmentation",
        "compressed_segmentation_block_size": CELL,
    }
    info = {"type": "segmentation", "data_type": "uint64", "num_channels": 1, "scales": [scale]}
    info[INFO_KEY] = {"CHUNK_SIZE": dataset.chunk_size, "SPATIAL_BITS": dataset.spatial_bits}
    return json.dumps(info, indent=1).encode()


def write_chunk(folder: Folder, extent: Extent, block: Triple, low: Triple, numbers: Labels, ids: Ids) -> int:
    """Write the blocks of a chunk; gives their bytes.

    Args:
      folder: of the watershed.
      extent: of the volume.
      block: voxels of a storage block.
      low: where the chunk begins.
      numbers: of the piece at each voxel, shape (x, y, z), in Fortran order; 0 is background.
      ids: by number, shape (n + 1,), uint64, ascending; the first is 0.

    Raises:
      FileError: when they cannot be written.
    """
    contents = encode_chunk(extent, block, low, numbers, ids)
    folder.write(contents, gzipped=True)
    return sum(map(len, contents.values()))


def encode_chunk(extent: Extent, block: Triple, low: Triple, numbers: Labels, ids: Ids) -> dict[str, bytes]:
    """The blocks of a chunk as files, compressed, by their names; arguments as of `write_chunk`."""
    contents = {}
    for at in product(*(range(0, n, b) for n, b in zip(numbers.shape, block, strict=True))):
        x, y, z = (slice(a, a + b) for a, b in zip(at, block, strict=True))
        voxels = numbers[x, y, z]
        begin = [a + b for a, b in zip(low, at, strict=True)]
        ranges = [f"{a}-{a + n}" for a, n in zip(begin, voxels.shape, strict=True)]
        # Level 1 is worth it, others are not; the header has no time: equal voxels are equal bytes.
        packed = deflate.gzip_compress(encode_labels(voxels, ids), 1)
        contents[f"{scale_key(extent)}/{'_'.join(ranges)}"] = packed
    return contents
