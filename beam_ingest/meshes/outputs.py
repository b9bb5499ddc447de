"""The files that say where meshes are, and whether a folder of meshes is this program's."""

from __future__ import annotations

import json
from importlib.metadata import version

from beam_ingest.dataset import Dataset
from beam_ingest.errors import ConfigError, FileError, GraphExistsError
from beam_ingest.files import Folder
from beam_ingest.meshes.config import INITIAL, SECTION, MeshConfig
from beam_ingest.meshes.shards import sharding
from beam_ingest.meshes.storage import MeshFolder
from beam_ingest.version import __version__

MARK = "beam_ingest"
"""The key of a folder's info that says that its meshes are this program's."""
KEPT_INFO = "info.before_mesh"
"""The watershed's info as it was before there were meshes."""
_PROBE = ".beam_ingest"
LIBRARIES = ("zmesh", "DracoPy")
"""What decides how meshes look, byte for byte."""


def library_versions() -> dict[str, str]:
    """The installed versions of LIBRARIES."""
    return {name: version(name) for name in LIBRARIES}


def folder_url(dataset: Dataset, config: MeshConfig) -> str:
    """URL of the folder of meshes."""
    return f"{dataset.watershed}/{config.dir}"


def check_free(dataset: Dataset, config: MeshConfig, graph: str, replace: bool) -> None:
    """Make sure that meshes can be written, and that none are in the way.

    Args:
      dataset: names the watershed.
      config: names the folder.
      graph: whose meshes they are.
      replace: whether meshes of the graph are to be replaced.

    Raises:
      GraphExistsError: when there are meshes already.
      ConfigError: when the folder holds what this program did not write, or another graph's meshes, or cannot
        be read and written.
    """
    url, where = folder_url(dataset, config), f"{dataset.path}: {SECTION}.dir"
    try:
        (content,) = Folder(url).read(["info"])
    except FileError as error:
        raise ConfigError(f"{where}: expected a folder that can be read and written: {error}") from None
    mark = None if content is None else _mark(content)
    if content is not None and mark is None:
        raise ConfigError(
            f"{where}: expected a folder without meshes of another program, found its info in {url}; name "
            "another folder"
        )
    if content is None and any(True for _ in MeshFolder(f"{url}/{INITIAL}").names()):
        raise ConfigError(
            f"{where}: expected a folder without files of another program, found some in {url}/{INITIAL}, "
            "and no info of this program; name another folder"
        )
    if mark is not None and mark.get("graph", graph) != graph:
        raise ConfigError(
            f"{where}: expected a folder without meshes of another graph, found those of {mark['graph']} in "
            f"{url}; name another folder"
        )
    if mark is not None and not replace:
        raise GraphExistsError(
            f"{url}: meshes are there already; --resume finishes them, --overwrite makes them from scratch; "
            f"with another {SECTION}.dir, --overwrite leaves these files"
        )
    try:
        for folder in (MeshFolder(dataset.watershed), MeshFolder(url)):
            for _ in range(2):  # infos are replaced, which some places do not allow
                with folder.writing(_PROBE) as file:
                    file.write(b"\n")
            folder.remove(_PROBE)
    except FileError as error:
        raise ConfigError(
            f"{dataset.path}: data_source.WATERSHED: expected a place that can be written: {error}"
        ) from None


def write_folder_info(dataset: Dataset, config: MeshConfig, graph: str) -> None:
    """Write the info of the folder of meshes."""
    info = {
        "@type": "neuroglancer_legacy_mesh",
        "mip": config.mip,
        "chunk_size": list(dataset.chunk_size),
        "sharding": {str(layer): sharding(bits) for layer, bits in sorted(config.minishard_bits.items())},
        MARK: {"graph": graph, "version": __version__, **library_versions()},
    }
    Folder(folder_url(dataset, config)).write({"info": json.dumps(info, indent=1).encode()})


def remove_shards(dataset: Dataset, config: MeshConfig, only_half_written: bool = False) -> None:
    """Remove the shard files of an earlier run, or what it left half written.

    Raises:
      FileError: when they cannot be removed.
    """
    MeshFolder(f"{folder_url(dataset, config)}/{INITIAL}").remove_shards(only_half_written)


def watershed_keys(name: str, bin_size: int, dynamic: str, max_layer: int) -> dict[str, object]:
    """What the watershed's info says of meshes.

    Source of the keys: PyChunkedGraph's pipelines; cloud-volume's datasource/graphene/metadata.py reads them.

    Args:
      name: the folder of the meshes.
      bin_size: of the grid that vertices of layer 2 are on, in nanometres.
      dynamic: the folder within it for meshes of edited nodes.
      max_layer: the highest layer whose nodes have meshes.
    """
    metadata = {
        "uniform_draco_grid_size": bin_size,
        "unsharded_mesh_dir": dynamic,
        "max_meshed_layer": max_layer,
    }
    return {"mesh": name, "mesh_metadata": metadata}


def write_watershed_info(dataset: Dataset, config: MeshConfig, bin_size: int) -> None:
    """Say in the watershed's info where meshes are; the info as it was is kept beside it.

    Args:
      dataset: names the watershed.
      config: how it was meshed.
      bin_size: of the grid that vertices of layer 2 are on, in nanometres.

    Raises:
      FileError: when it cannot be read or written, or is there no longer.
    """
    folder = Folder(dataset.watershed)
    before, kept = folder.read(["info", KEPT_INFO])
    try:
        info = dict(json.loads(before or b""))
    except (ValueError, TypeError):
        found = "no such file" if before is None else "something else"
        raise FileError(
            f"{folder.path('info')}: expected the watershed's info, found {found}; restore it, and finish "
            "with --resume"
        ) from None
    meshes = watershed_keys(config.dir, bin_size, config.dynamic_mesh_dir, config.max_layer)
    if all(info.get(key) == value for key, value in meshes.items()):
        return
    if kept is None:
        folder.write({KEPT_INFO: before or b""})
    folder.write({"info": json.dumps({**info, **meshes}, indent=1).encode()})


def _mark(info: bytes) -> dict[str, object] | None:
    """What this program has written into a folder's info; None if another has written the info."""
    try:
        found = json.loads(info).get(MARK)
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, dict) else None
