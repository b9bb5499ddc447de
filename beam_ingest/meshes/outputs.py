"""The files that say where meshes are, and whether a folder of meshes is this program's."""

from __future__ import annotations

import json
from importlib.metadata import version

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, FileError, GraphExistsError
from beam_ingest.files import Folder
from beam_ingest.meshes.config import SECTION, MeshConfig
from beam_ingest.meshes.shards import sharding
from beam_ingest.meshes.storage import MeshFolder
from beam_ingest.version import __version__

MARK = "beam_ingest"
"""The key of a folder's info that says that its meshes are this program's."""
KEPT_INFO = "info.before_mesh"
"""The watershed's info as it was before there were meshes."""
INITIAL = "initial"
_PROBE = ".beam_ingest"
LIBRARIES = ("zmesh", "DracoPy")
"""What decides how meshes look, byte for byte."""


def library_versions() -> dict[str, str]:
    """The installed versions of LIBRARIES."""
    return {name: version(name) for name in LIBRARIES}


def folder_url(dataset: Dataset, config: MeshConfig) -> str:
    """URL of the folder of meshes."""
    return f"{dataset.watershed}/{config.dir}"


def check_free(dataset: Dataset, config: MeshConfig, replace: bool) -> None:
    """Make sure that meshes can be written, and that none are in the way.

    Args:
      dataset: names the watershed.
      config: names the folder.
      replace: whether meshes of this program are to be replaced.

    Raises:
      GraphExistsError: when there are meshes already.
      ConfigError: when the folder holds what this program did not write, or cannot be written.
    """
    url = folder_url(dataset, config)
    try:
        with MeshFolder(url).writing(_PROBE) as file:
            file.write(b"\n")
        MeshFolder(url).remove(_PROBE)
    except FileError as error:
        where = f"{dataset.path}: data_source.WATERSHED"
        raise ConfigError(f"{where}: expected a place that can be written: {error}") from None
    (content,) = Folder(url).read(["info"])
    if content is not None and not _is_ours(content):
        raise ConfigError(
            f"{dataset.path}: {SECTION}.dir: expected a folder without meshes of another program, found its "
            f"info in {url}; name another folder"
        )
    if content is not None and not replace:
        raise GraphExistsError(
            f"{url}: meshes are there already; --resume finishes them, --overwrite makes them from scratch, "
            f"another {SECTION}.dir keeps them"
        )


def write_folder_info(dataset: Dataset, config: MeshConfig) -> None:
    """Write the info of the folder of meshes."""
    info = {
        "@type": "neuroglancer_legacy_mesh",
        "mip": config.mip,
        "chunk_size": list(dataset.chunk_size),
        "sharding": {str(layer): sharding(bits) for layer, bits in sorted(config.minishard_bits.items())},
        MARK: {"version": __version__, **library_versions()},
    }
    Folder(folder_url(dataset, config)).write({"info": json.dumps(info, indent=1).encode()})


def remove_shards(dataset: Dataset, config: MeshConfig) -> None:
    """Remove the shard files of an earlier run.

    Raises:
      FileError: when they cannot be removed.
    """
    MeshFolder(f"{folder_url(dataset, config)}/{INITIAL}").remove_all()


def write_watershed_info(dataset: Dataset, config: MeshConfig, bin_size: int) -> None:
    """Say in the watershed's info where meshes are; the info as it was is kept beside it.

    Args:
      dataset: names the watershed.
      config: how it was meshed.
      bin_size: of the grid that vertices of layer 2 are on, in nanometres.

    Raises:
      FileError: when it cannot be read or written.
    """
    folder = Folder(dataset.watershed)
    before, kept = folder.read(["info", KEPT_INFO])
    info = json.loads(before or b"{}")
    meshes = {
        "mesh": config.dir,
        "mesh_metadata": {
            "uniform_draco_grid_size": bin_size,
            "unsharded_mesh_dir": config.dynamic_mesh_dir,
            "max_meshed_layer": config.max_layer,
        },
    }
    if all(info.get(key) == value for key, value in meshes.items()):
        return
    if kept is None:
        folder.write({KEPT_INFO: before or b"{}"})
    folder.write({"info": json.dumps({**info, **meshes}, indent=1).encode()})


def _is_ours(info: bytes) -> bool:
    try:
        return MARK in json.loads(info)
    except (ValueError, TypeError):
        return False
