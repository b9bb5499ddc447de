"""Small datasets of volumes, written by cloud-volume, and what prepare made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from cloudvolume import CloudVolume

from beam_ingest.format.grid import ChunkGrid
from tests.volumes.oracle import Coords, Piece

OFFSET, RESOLUTION = (7, 100, 33), (8, 8, 40)
SIZE: Coords = (8, 6, 10)
"""Voxels of a chunk."""


def write_volume(
    place: Path, voxels: np.ndarray, offset: Coords = OFFSET, resolution: Coords = RESOLUTION, **more: Any
) -> str:
    """Write a precomputed volume of labels (3 dimensions) or affinities (4)."""
    info = CloudVolume.create_new_info(
        num_channels=voxels.shape[3] if voxels.ndim == 4 else 1,
        layer_type="image" if voxels.ndim == 4 else "segmentation",
        data_type=str(voxels.dtype),
        encoding=more.get("encoding", "raw"),
        resolution=resolution,
        voxel_offset=offset,
        volume_size=voxels.shape[:3],
        chunk_size=more.get("block", (16, 8, 8)),
    )
    volume = CloudVolume(place.as_uri(), info=info, progress=False)
    volume.commit_info()
    volume[:] = voxels
    return place.as_uri()


def make_volumes(shape: Coords = (20, 11, 19), dtype: type = np.uint32) -> tuple[np.ndarray, np.ndarray]:
    """Supervoxels in bricks of odd sizes with background between some, and what they agglomerate to."""
    rng = np.random.default_rng(5)
    bricks = rng.permutation(np.arange(1, 1 + 6 * 5 * 8)).reshape(6, 5, 8)
    bricks[rng.random(bricks.shape) < 0.2] = 0
    supervoxels = (
        bricks.repeat(4, 0).repeat(3, 1).repeat(4, 2)[: shape[0], : shape[1], : shape[2]].astype(dtype)
    )
    supervoxels[3, 3, 3] = 250  # a voxel in the midst of another
    segmentation = (supervoxels % 11).astype(np.uint64) * (1 << 40)
    segmentation[:, :, 10] = 77  # which is the label of most voxels of no piece, or of all
    segmentation[supervoxels == 0] = 0
    return supervoxels, segmentation


def write_dataset(folder: Path, volumes: dict[str, Any], size: Coords = SIZE, **sections: Any) -> Path:
    """Write the dataset file."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "data_source": {"EDGES": "./edges", "COMPONENTS": "./components", "WATERSHED": "./ws"},
        "graph_config": {"CHUNK_SIZE": list(size)},
        "backend_client": {"TYPE": "sqlite", "CONFIG": {"PATH": "./graph.sqlite"}},
        "volumes": volumes,
        **sections,
    }
    path = folder / "dataset.yml"
    path.write_text(yaml.safe_dump(content))
    return path


def outputs(dataset: Path) -> dict[str, bytes]:
    """Every file that prepare wrote, but for its own table and what a killed process was about to write."""
    folders = [dataset.parent / name for name in ("edges", "components", "ws")]
    files = [file.relative_to(dataset.parent) for f in folders for file in f.rglob("*") if file.is_file()]
    shown = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    return {str(file): (dataset.parent / file).read_bytes() for file in shown}


def named_pieces(dataset: Path, supervoxels: np.ndarray, size: Coords = SIZE) -> dict[int, Piece]:
    """The piece that each id in the watershed stands for, by the voxels themselves."""
    written = np.asarray(CloudVolume((dataset.parent / "ws").as_uri(), progress=False)[:])[..., 0]
    assert ((written == 0) == (supervoxels == 0)).all()
    found: dict[int, Piece] = {}
    for at in np.ndindex(*supervoxels.shape):
        if written[at]:
            x, y, z = (a // c for a, c in zip(at, size, strict=True))
            assert found.setdefault(int(written[at]), ((x, y, z), int(supervoxels[at]))) == (
                (x, y, z),
                int(supervoxels[at]),
            )
    return found


def grid_of(supervoxels: np.ndarray, size: Coords = SIZE) -> ChunkGrid:
    x, y, z = (-(-n // c) for n, c in zip(supervoxels.shape, size, strict=True))
    return ChunkGrid((x, y, z))
