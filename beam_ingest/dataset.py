"""The dataset file: what PyChunkedGraph's users write, read and checked.

Source of the keys: pychunkedgraph/ingest/utils.py (``bootstrap``), graph/meta.py (``GraphConfig``,
``DataSource``) and ingest/__init__.py (``IngestConfig``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from beam_ingest import document
from beam_ingest.errors import ConfigError
from beam_ingest.file_kind import open_regular
from beam_ingest.files import FileError, Folder, PlaceError, folder_of, resolve
from beam_ingest.format.grid import FANOUT
from beam_ingest.redact import redacted

DATA_VERSIONS = (2, 3, 4)
"""The known layouts of raw edge records."""
_SECTIONS = ("data_source", "graph_config", "ingest_config", "backend_client", "volumes")
_UNSTORED = ("view",)
"""Sections that say how to look at a graph: no fact of what is built, so a resume does not compare them."""
_OTHERS = ("mesh_config", "meshing_config", "meshing", "l2cache_config", "l2cache", "cave_config", "cave")
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
_BACKEND_CLIENT = ("TYPE", "CONFIG")
_BACKEND_CONFIG = {
    "bigtable": ("PROJECT", "INSTANCE", "ADMIN", "READ_ONLY", "CREDENTIALS", "MAX_ROW_KEY_COUNT"),
    "sqlite": ("PATH",),
}
_SECRETS = ("CREDENTIALS",)
"""Keys of ``backend_client.CONFIG`` that are neither kept nor printed: PyChunkedGraph's servers take them."""
_SECRET_SECTIONS = ("backend_client", "backend_client.CONFIG")
_MOST_NUMBER = (1 << 31) - 1
_MOST_TEXT = 4096


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
        """URLs of what is read, by the keys that name them."""
        urls = {
            "volumes.SUPERVOXELS": self.supervoxels,
            "volumes.SEGMENTATION": self.segmentation,
            "volumes.EQUIVALENCES": self.equivalences,
            "volumes.AFFINITIES": self.affinities,
        }
        return {key: url for key, url in urls.items() if url is not None}


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

    @classmethod
    def from_file(cls, path: str | Path) -> Dataset:
        """Read and check the dataset file at `path`, a local path or a URL that cloud-files knows.

        Raises:
          ConfigError: naming the file, the key, what it should hold and what it holds.
        """
        return cls.from_text(_read(str(path)), str(path))

    @classmethod
    def from_text(cls, text: str, path: str) -> Dataset:
        """Check the `text` of a dataset file; relative paths in it start from the folder of `path`.

        Raises:
          ConfigError: naming the file, the key, what it should hold and what it holds.
        """
        content = document.parse(text, path)
        file = _Section(path, "", content, (*_SECTIONS, *_UNSTORED, *_OTHERS), required=True)
        source = file.section("data_source", _DATA_SOURCE, required=True)
        graph = file.section("graph_config", _GRAPH_CONFIG, required=True)
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
            chunk_size=graph.triple("CHUNK_SIZE"),
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
        )

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


def _volumes(file: _Section) -> Volumes:
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
    kept = {key: _without_secrets(value) for key, value in content.items() if key in _SECTIONS}
    return document.dump(kept)


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


_MISSING: Any = object()


class _Section:
    """One mapping of the file, whose values are taken out by type."""

    def __init__(
        self, path: str, name: str, content: object, keys: tuple[str, ...], required: bool = False
    ) -> None:
        self._path = path
        self._name = name
        self._where = f"{path}: {name}" if name else path
        if content is None and not required:
            content = {}
        if not isinstance(content, dict):
            ours = [key for key in keys if key not in _OTHERS]
            what = f"expected a mapping of {', '.join(ours)}" if ours else "expected a mapping"
            # Where a mapping with a secret should stand, a text may be one.
            found = (
                f"a value of type {type(content).__name__}" if name in _SECRET_SECTIONS else _kind(content)
            )
            raise ConfigError(f"{self._where}: {what}, found {found}")
        self.content: Mapping[str, Any] = content
        for key in content:
            if key not in keys:
                near = difflib.get_close_matches(document.shortened(str(key)), keys, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(keys) or 'none'}"
                raise ConfigError(f"{self._where}: unknown key {document.shown(key)}; {hint}")

    def section(self, key: str, keys: tuple[str, ...], required: bool = False) -> _Section:
        """The mapping under `key`; an absent one is empty unless it is required."""
        name = f"{self._name}.{key}" if self._name else key
        if required and key not in self.content:
            raise ConfigError(f"{self._where}: the key {key} is missing")
        return _Section(self._path, name, self.content.get(key), keys, required)

    def wrong(self, key: str, expected: str) -> NoReturn:
        """Refuse the value under `key`."""
        found = _kind(self.content[key])
        raise ConfigError(f"{self._where}.{key}: expected {expected}, found {found}")

    def _value(self, key: str, default: Any) -> Any:
        value = self.content.get(key)
        if value is not None:
            return value
        if default is _MISSING:
            raise ConfigError(f"{self._where}: the key {key} is missing")
        return default

    def integer(self, key: str, default: Any = _MISSING) -> Any:
        """A whole number from 0."""
        value = self._value(key, default)
        if value is not default and not _is_number(value, 0):
            self.wrong(key, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false when it is not there."""
        value = self._value(key, False)
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
        return value

    def text(self, key: str, default: Any = _MISSING) -> Any:
        """A text."""
        value = self._value(key, default)
        if value is not default and not isinstance(value, str):
            self.wrong(key, "a text")
        if isinstance(value, str) and not (value.isprintable() and len(value) <= _MOST_TEXT):
            self.wrong(key, f"a text of one line and up to {_MOST_TEXT:,} characters")
        return value

    def triple(self, key: str) -> tuple[int, int, int]:
        """Three whole numbers from 1: along x, y and z."""
        value = self._value(key, _MISSING)
        if not isinstance(value, list) or len(value) != 3 or not all(_is_number(n, 1) for n in value):
            self.wrong(key, "three whole numbers above 0, [x, y, z]")
        return (value[0], value[1], value[2])

    def url(self, key: str, default: Any = _MISSING) -> Any:
        """A URL as `resolve` gives it; relative paths begin in the file's folder."""
        if self.content.get(key) == "":  # PyChunkedGraph's own examples leave paths empty
            self.content = {k: v for k, v in self.content.items() if k != key}
        value = self.text(key, default)
        if value is default:
            return value
        try:
            return resolve(value, folder_of(self._path))
        except PlaceError as error:
            self.wrong(key, error.expected)


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_NUMBER


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "nothing" if value is None else f"{type(value).__name__} {document.shown(value)}"
