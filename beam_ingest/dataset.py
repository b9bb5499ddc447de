"""The dataset file: what PyChunkedGraph's users write, read and checked.

Source of the keys: pychunkedgraph/ingest/utils.py (``bootstrap``), graph/meta.py (``GraphConfig``,
``DataSource``) and ingest/__init__.py (``IngestConfig``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beam_ingest import document
from beam_ingest.errors import ConfigError
from beam_ingest.file_kind import open_regular
from beam_ingest.files import FileError, Folder, folder_of, resolve
from beam_ingest.format.grid import FANOUT
from beam_ingest.redact import redacted
from beam_ingest.section import Section

DATA_VERSIONS = (2, 3, 4)
"""The known layouts of raw edge records."""
_SECTIONS = ("data_source", "graph_config", "ingest_config", "backend_client", "volumes")
_UNSTORED = ("view",)
"""Sections that say how to look at a graph: no fact of what is built, so a resume does not compare them."""
STAGE_SECTIONS = {
    "l2cache_config": ("table_id", "cv_path"),
    "mesh_config": ("dir", "mip", "max_layer", "max_error", "minishard_bits", "dynamic_mesh_dir"),
}
"""Sections of stages that come after the graph, and the keys of them that are ours: the graph is the same
whatever they say, and other programs may have keys of their own there."""
_OTHERS = ("meshing_config", "meshing", "l2cache", "cave_config", "cave")
"""Sections for other programs that read the same file; accepted and left alone."""
_DATA_SOURCE = ("EDGES", "COMPONENTS", "WATERSHED", "DATA_VERSION", "CV_MIP")
_GRAPH_CONFIG = (
    "CHUNK_SIZE", "FANOUT", "LAYER_ID_BITS", "SPATIAL_BITS", "ID_PREFIX", "OVERWRITE", "ROOT_COUNTERS",
)  # fmt: skip
_USE_RAW = ("USE_RAW_EDGES", "USE_RAW_COMPONENTS")
"""How PyChunkedGraph notes that input is raw; here --raw says so."""
_INGEST_CONFIG = ("AGGLOMERATION", "WATERSHED", "CLUSTER", "ALLOW_UNJOINED_CHUNKS", *_USE_RAW)
_VIEW = ("IMAGE",)
_VOLUMES = ("SUPERVOXELS", "SEGMENTATION", "EQUIVALENCES", "AFFINITIES", "MIP", "FILL_MISSING")
_FORMAT = re.compile(r"^\w+://(?=\w+://)")
CHOICES = ("CHUNK_SIZE", "SPATIAL_BITS")
"""Keys of ``graph_config`` that may be left out where there is a section ``volumes``,"""
INFO_KEY = "beam_ingest"
"""and the key of the watershed's info that then holds them."""
_BACKEND_CLIENT = ("TYPE", "CONFIG")
_BACKEND_CONFIG = {
    "bigtable": ("PROJECT", "INSTANCE", "ADMIN", "READ_ONLY", "CREDENTIALS", "MAX_ROW_KEY_COUNT"),
    "sqlite": ("PATH",),
}
_SECRETS = ("CREDENTIALS",)
"""Keys of ``backend_client.CONFIG`` that are neither kept nor printed: PyChunkedGraph's servers take them."""


@dataclass(frozen=True)
class Volumes:
    """The section ``volumes``: what EDGES, COMPONENTS and WATERSHED are made from.

    Attributes:
      supervoxels: URL of the volume of supervoxels, or of any over-segmentation.
      segmentation: URL of the agglomerated volume, or of a table of labels (.npy, .csv, .parquet), or None.
      equivalences: URL of a table of pairs of supervoxels that are joined, or None.
      affinities: URL of the volume of affinities, or None.
      mip: mip level at which supervoxels and affinities are read.
      fill_missing: whether blocks of the volumes that are not stored are background.
    """

    supervoxels: str
    segmentation: str | None
    equivalences: str | None
    affinities: str | None
    mip: int
    fill_missing: bool

    @property
    def places(self) -> dict[str, str]:
        """URLs of what is read, by the keys that name them; of zarr and N5, without the format's name."""
        urls = {
            "volumes.SUPERVOXELS": self.supervoxels,
            "volumes.SEGMENTATION": self.segmentation,
            "volumes.EQUIVALENCES": self.equivalences,
            "volumes.AFFINITIES": self.affinities,
        }
        return {key: _FORMAT.sub("", url) for key, url in urls.items() if url is not None}


@dataclass(frozen=True)
class Dataset:
    """A dataset file, checked.

    Attributes:
      path: where it was read from, for messages.
      text: its normalised content, which a resume is compared with: keys in order, without comments,
        secrets and the sections of other programs.
      edges: URL of the folder of edges files, or None.
      components: URL of the folder of components files, or None.
      watershed: URL of the precomputed volume.
      data_version: layout of raw edge records (2, 3 or 4), or None.
      cv_mip: mip level that servers read the watershed at.
      chunk_size: voxels of a layer-2 chunk along x, y and z.
      fanout: child chunks per axis of a parent; always 2.
      layer_id_bits: bits of an id that hold the layer.
      spatial_bits: bits per axis of an id of layers 1 and 2.
      id_prefix: what PyChunkedGraph puts before the graph id.
      root_counters: a setting of servers, written to the meta row.
      agglomeration: URL of the raw agglomeration, or None.
      use_raw: those of USE_RAW_EDGES and USE_RAW_COMPONENTS that are true.
      allow_unjoined_chunks: whether data without active edges between chunks are accepted.
      backend_type: ``sqlite`` or ``bigtable``, or None.
      backend_config: its settings, without credentials: those of the application default are used.
      volumes: what EDGES, COMPONENTS and WATERSHED are made from, or None.
      image: URL of the volume of images that is shown beside a graph, or None.
      unchosen: keys of graph_config that `prepare` chooses, and has not chosen yet: chunk_size is 0 then.
      stage_sections: what stands under the names of STAGE_SECTIONS, not yet checked.
    """

    path: str
    text: str
    edges: str | None
    components: str | None
    watershed: str
    data_version: int | None
    cv_mip: int
    chunk_size: tuple[int, int, int]
    fanout: int
    layer_id_bits: int
    spatial_bits: int
    id_prefix: str
    root_counters: int
    agglomeration: str | None
    use_raw: tuple[str, ...]
    allow_unjoined_chunks: bool
    backend_type: str | None
    backend_config: Mapping[str, Any]
    volumes: Volumes | None = None
    image: str | None = None
    unchosen: tuple[str, ...] = ()
    stage_sections: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_file(cls, path: str | Path) -> Dataset:
        """Read and check the dataset file at `path`, a local path or a URL that cloud-files knows.

        What it leaves to `prepare` is what that chose, as the watershed's info tells.

        Raises:
          ConfigError: naming the file, the key, what it should hold and what it holds.
        """
        dataset = cls.from_text(_read(str(path)), str(path))
        return dataset.choosing(_chosen(dataset)) if dataset.unchosen else dataset

    def choosing(self, chosen: Mapping[str, Any]) -> Dataset:
        """The dataset with values for keys of graph_config that are left to `prepare`."""
        values = {key: chosen[key] for key in self.unchosen if key in chosen}
        if not values:
            return self
        content = document.parse(self.text, self.path)
        content["graph_config"] = values | (content.get("graph_config") or {})
        return type(self).from_text(document.dump(content), self.path)

    @classmethod
    def from_text(cls, text: str, path: str) -> Dataset:
        """Check the `text` of a dataset file; relative paths in it start from the folder of `path`.

        Raises:
          ConfigError: naming the file, the key, what it should hold and what it holds.
        """
        content = document.parse(text, path)
        foreign = (*STAGE_SECTIONS, *_OTHERS)
        names = (*_SECTIONS, *_UNSTORED, *foreign)
        file = Section(path, "", content, names, required=True, foreign=foreign)
        source = file.section("data_source", _DATA_SOURCE, required=True)
        left_open = CHOICES if content.get("volumes") else ()
        graph = file.section("graph_config", _GRAPH_CONFIG, required=not left_open)
        unchosen = tuple(key for key in left_open if graph.content.get(key) is None)
        ingest = file.section("ingest_config", _INGEST_CONFIG)
        backend = file.section("backend_client", _BACKEND_CLIENT)
        backend_type = backend.text("TYPE", None)
        if backend_type is not None and backend_type not in _BACKEND_CONFIG:
            backend.wrong("TYPE", f"one of {', '.join(sorted(_BACKEND_CONFIG))}")
        settings = backend.section("CONFIG", _BACKEND_CONFIG.get(backend_type or "", ()))
        data_version = source.integer("DATA_VERSION", None)
        if data_version is not None and data_version not in DATA_VERSIONS:
            source.wrong("DATA_VERSION", f"one of {', '.join(map(str, DATA_VERSIONS))}")
        fanout = graph.integer("FANOUT", FANOUT)
        if fanout != FANOUT:
            graph.wrong("FANOUT", f"{FANOUT}, the only one that PyChunkedGraph's layer bounds support")
        return cls(
            path=redacted(path),
            text=_stored_text(content),
            edges=source.url("EDGES", None),
            components=source.url("COMPONENTS", None),
            watershed=source.url("WATERSHED"),
            data_version=data_version,
            cv_mip=source.integer("CV_MIP", 0),
            chunk_size=(0, 0, 0) if "CHUNK_SIZE" in unchosen else graph.triple("CHUNK_SIZE"),
            fanout=fanout,
            layer_id_bits=graph.integer("LAYER_ID_BITS", 8),
            spatial_bits=graph.integer("SPATIAL_BITS", 10),
            id_prefix=graph.text("ID_PREFIX", ""),
            root_counters=graph.integer("ROOT_COUNTERS", 8),
            agglomeration=ingest.url("AGGLOMERATION", None),
            use_raw=tuple(key for key in _USE_RAW if ingest.flag(key)),
            allow_unjoined_chunks=ingest.flag("ALLOW_UNJOINED_CHUNKS"),
            backend_type=backend_type,
            backend_config={key: value for key, value in settings.content.items() if key not in _SECRETS},
            volumes=_volumes(file) if "volumes" in content else None,
            image=file.section("view", _VIEW).url("IMAGE", None),
            unchosen=unchosen,
            stage_sections=_stage_sections(content),
        )

    def stage_section(self, name: str) -> Section:
        """The section of a stage that comes after the graph, with the keys that STAGE_SECTIONS names.

        Raises:
          ConfigError: when it is not there, or is no mapping.
        """
        if name not in self.stage_sections:
            raise ConfigError(f"{self.path}: the section {name} is missing")
        return Section(self.path, name, self.stage_sections[name], STAGE_SECTIONS[name])

    def difference(self, before: str) -> tuple[str, str, str] | None:
        """The first key of what makes a graph that the text `before` of another file has otherwise.

        With what each says of it; None if they make the same graph.
        """
        return document.difference(before, self.text, self.path, tuple(STAGE_SECTIONS))

    def missing_keys(self, raw: bool) -> list[str]:
        """One line for each input that the dataset file must name and does not."""
        where = self.path
        faults = []
        if self.use_raw and not raw:
            asked = " and ".join(self.use_raw)
            faults = [
                f"{where}: ingest_config.{asked}: true means raw agglomeration: add --raw, or set it to false"
            ]
        only_raw = " (only --raw works without it)"
        if self.agglomeration:
            only_raw = ": to read ingest_config.AGGLOMERATION instead, add --raw"
        if raw:
            keys = [
                ("ingest_config", "AGGLOMERATION", self.agglomeration, ", which --raw reads"),
                ("data_source", "DATA_VERSION", self.data_version, ", which --raw needs"),
            ]
        else:
            keys = [
                ("data_source", "EDGES", self.edges, only_raw),
                ("data_source", "COMPONENTS", self.components, only_raw),
            ]
        return faults + [
            f"{where}: {section}: the key {key} is missing{why}"
            for section, key, value, why in keys
            if value is None
        ]

    def missing_folders(self, raw: bool) -> list[str]:
        """One line for each named folder of inputs that certainly does not exist."""
        faults = []
        for key in ("AGGLOMERATION",) if raw else ("EDGES", "COMPONENTS"):
            url = getattr(self, key.lower())
            if url is not None and not Folder(url).may_exist():
                section = "ingest_config" if raw else "data_source"
                faults.append(
                    f"{self.path}: {section}.{key}: expected a folder, found none at {Folder(url).path('')}"
                )
        return faults


def _chosen(dataset: Dataset) -> Mapping[str, Any]:
    """What `prepare` chose, from the info of the watershed; nothing if it has not run."""
    (info,) = Folder(dataset.watershed).read(["info"])
    if info is None:
        return {}
    try:
        chosen = json.loads(info).get(INFO_KEY, {})
    except (ValueError, AttributeError):  # which is told of when it is read as an info
        return {}
    return chosen if isinstance(chosen, dict) else {}


def _volumes(file: Section) -> Volumes:
    section = file.section("volumes", _VOLUMES, required=True)
    segmentation, equivalences = section.url("SEGMENTATION", None), section.url("EQUIVALENCES", None)
    if segmentation and equivalences:
        section.wrong("EQUIVALENCES", "either this or SEGMENTATION, not both")
    return Volumes(
        supervoxels=section.url("SUPERVOXELS"),
        segmentation=segmentation,
        equivalences=equivalences,
        affinities=section.url("AFFINITIES", None),
        mip=section.integer("MIP", 0),
        fill_missing=section.flag("FILL_MISSING"),
    )


def _stored_text(content: Mapping[str, Any]) -> str:
    """What is kept of a checked file."""
    kept = {key: value for key, value in content.items() if key in _SECTIONS}
    return document.dump(_without_secrets(kept | _stage_sections(content)))


def _stage_sections(content: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of stages, without keys of other programs."""
    found = {}
    for name, keys in STAGE_SECTIONS.items():
        section = content.get(name)
        if isinstance(section, dict):
            found[name] = {key: value for key, value in section.items() if key in keys}
        elif section is not None:
            found[name] = section
    return found


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(each) for key, each in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return redacted(value) if isinstance(value, str) else value


def _read(path: str) -> str:
    try:
        if "://" in path:
            (content,) = Folder(folder_of(path)).read([resolve(path).rpartition("/")[2]])
            if content is None:
                raise ConfigError(f"{path}: no such dataset file")
            return content.decode("utf-8")
        with open(path, encoding="utf-8", opener=open_regular) as file:
            return file.read(document.MOST_CHARACTERS + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such dataset file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not YAML: it is not UTF-8 text") from None
    except FileError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{path}: the dataset file cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL
        raise ConfigError(f"{path!r}: expected the path of a dataset file: {error}") from None
