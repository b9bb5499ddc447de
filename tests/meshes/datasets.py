"""A small dataset with a graph: odd grid, offset, anisotropic voxels, chunks that the volume's end cuts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from cloudvolume import CloudVolume

from beam_ingest.cli import main
from beam_ingest.format.grid import ChunkGrid
from beam_ingest.meshes.lookup import MeshReader
from tests.graphs import read_cells
from tests.volumes.datasets import make_volumes, write_dataset, write_volume

GRID = ChunkGrid((3, 2, 2))
BITS = {2: 1, 3: 2, 4: 3}
PINKY_CONFIG = {"dir": "meshes", "mip": 0, "max_layer": 4, "max_error": 40, "minishard_bits": {2: 1, 3: 3}}
CONFIG = {"dir": "meshes", "mip": 0, "max_layer": 4, "max_error": 40, "minishard_bits": BITS}


def make_graph(folder: Path) -> Path:
    """Write volumes of 20 x 11 x 19 voxels in chunks of 8 x 6 x 10, and build the graph ``g`` of them."""
    supervoxels, segmentation = make_volumes()
    write_volume(folder / "supervoxels", supervoxels)
    write_volume(folder / "segmentation", segmentation)
    volumes = {"SUPERVOXELS": "./supervoxels", "SEGMENTATION": "./segmentation"}
    dataset = write_dataset(folder, volumes, mesh_config=CONFIG)
    assert main(["prepare", str(dataset)]) == 0
    add_mip(folder / "ws")
    assert main(["graph", "g", str(dataset)]) == 0
    return dataset


def add_mip(watershed: Path) -> None:
    """Add a mip 1, of every second voxel along x and y."""
    volume = CloudVolume(watershed.as_uri(), progress=False)
    voxels = np.asarray(volume[:])[::2, ::2]
    volume.add_scale((2, 2, 1), encoding="raw", chunk_size=(16, 16, 16))
    volume.commit_info()
    CloudVolume(watershed.as_uri(), mip=1, progress=False)[:] = voxels


def add_config(dataset: Path, config: dict[str, object]) -> None:
    """Give a dataset file the section mesh_config."""
    dataset.chmod(0o644)
    dataset.write_text(dataset.read_text() + yaml.safe_dump({"mesh_config": config}))


def configure(dataset: Path, **changes: object) -> None:
    """Change keys of mesh_config."""
    content = yaml.safe_load(dataset.read_text())
    content["mesh_config"] = {**content["mesh_config"], **changes}
    dataset.write_text(yaml.safe_dump(content))


def parents_of(dataset: Path) -> dict[int, int]:
    """The parent of every node, from the table itself."""
    cells = read_cells(dataset.parent / "graph.sqlite")
    return {
        int(key): int.from_bytes(value, "little")
        for (key, _, name), value in cells.items()
        if name == b"parents"
    }


def shards(dataset: Path) -> dict[str, bytes]:
    """Every shard file and the info of the meshes."""
    folder = dataset.parent / "ws" / "meshes"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def meshes_of(dataset: Path, nodes: list[int], grid: ChunkGrid = GRID) -> dict[int, bytes]:
    """The encoded meshes of those of `nodes` that have one."""
    reader = MeshReader(f"{dataset.parent}/ws/meshes/initial", grid, BITS)
    places = reader.locate(np.array(nodes, np.uint64))
    found = {node: place for node, place in zip(nodes, places, strict=True) if place is not None}
    return dict(zip(found, reader.read(list(found.values())), strict=True))
