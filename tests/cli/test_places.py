"""Graphs of datasets in folders of every name, and of files as other programs store them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cloudfiles import CloudFiles
from kvdbclient import attributes

from beam_ingest import Dataset, open_store, store_url
from tests.conftest import Cli, graph_cells, store_of
from tests.examples import slow
from tests.graphs import read_cells

NAMES = ("x#y", "x?y%20z ä")


def meta_places(store: Path) -> list[str]:
    """EDGES, COMPONENTS and WATERSHED of a graph's meta row, as kvdbclient reads them."""
    meta = attributes.TableMeta.Meta.deserialize(read_cells(store)[b"meta", "0", b"meta"])
    return list(meta.data_source._surrogate_args[:3])


@pytest.mark.parametrize("name", NAMES)
def test_overwrite_stays_in_the_folder_of_the_dataset(cli: Cli, dataset: Path, name: str) -> None:
    """Where a part of the folder's name looks like one of a URL."""
    parent = dataset.parent
    assert cli("graph", "g", dataset).status == 0
    before = store_of(dataset).read_bytes()
    folder = parent / name
    shutil.copytree(parent, folder, ignore=shutil.ignore_patterns("graph.sqlite*", name))
    assert cli("graph", "g", folder / "dataset.yml", "--overwrite", "--yes").status == 0
    assert store_of(dataset).read_bytes() == before
    assert graph_cells(folder / "dataset.yml") == graph_cells(dataset)
    for place, inside in zip(
        meta_places(folder / "graph.sqlite"), ("edges", "components", "ws"), strict=True
    ):
        assert CloudFiles(place, progress=False)._path.path == str(folder / inside)
    assert cli("verify", "g", folder / "dataset.yml").status == 0


def test_sound_data_in_a_folder_with_an_odd_name(cli: Cli, sample: Path) -> None:
    """Voxels, which cloud-volume reads, and raw agglomeration too."""
    folder = shutil.copytree(sample.parent, sample.parent / "ä b#c?d%20e")
    for raw in ([], ["--raw"]):
        found = cli("check", folder / "dataset.yml", "--all", "--json", *raw)
        assert (found.status, found.json["problems"]) == (0, {}), found
        assert raw or found.json["counts"]["chunks with voxels"] > 0


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a#b?mode=ro&c%20d.sqlite", "FOLDER/a#b?mode=ro&c%20d.sqlite"),
        ("~/a.sqlite", "FOLDER/home/a.sqlite"),
        ("file://FOLDER/b%20.sqlite", "FOLDER/b%20.sqlite"),
        ("/a/../b/./c", "/b/c"),
    ],
)
def test_where_a_graph_goes(dataset: Path, monkeypatch: pytest.MonkeyPatch, path: str, file: str) -> None:
    folder = str(dataset.parent)
    path, file = path.replace("FOLDER", folder), file.replace("FOLDER", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", f"{folder}/home")
    source = Dataset.from_file("dataset.yml")
    assert store_url(source, "g", f"sqlite:{path}") == f"sqlite:{file}"
    dataset.write_text(dataset.read_text().replace("PATH: ", f"PATH: '{path}' # "))
    monkeypatch.chdir("/")
    assert store_url(Dataset.from_file(dataset), "g") == f"sqlite:{file}"


def test_a_graph_in_a_file_with_an_odd_name(cli: Cli, dataset: Path) -> None:
    file = dataset.parent / "a#b?mode=ro&c%20d.sqlite"
    assert cli("graph", "g", dataset, "--store", f"sqlite:{file}").status == 0
    assert read_cells(file)
    assert cli("status", "g", dataset, "--store", f"sqlite:{file}").status == 0
    assert list(dataset.parent.glob("a*")) == [file]


def test_a_store_elsewhere_is_refused(cli: Cli, dataset: Path) -> None:
    line = cli.refused("graph", "g", dataset, "--store", "sqlite:gs://bucket/graph.sqlite")
    assert line == "--store sqlite:gs://bucket/graph.sqlite: expected a path on this machine"
    remote = Dataset.from_text(dataset.read_text(), "gs://bucket/a/dataset.yml")
    with pytest.raises(Exception, match=r"CONFIG.PATH: expected an absolute path on this machine, found '"):
        store_url(remote, "g")


@pytest.mark.parametrize("compress", ["gzip", slow("br"), slow("zstd")])
def test_components_that_cloud_files_compressed(cli: Cli, dataset: Path, compress: str) -> None:
    """PyChunkedGraph writes components so; taken as absent, nothing would be joined."""
    assert cli("graph", "g", dataset).status == 0
    plain = graph_cells(dataset)
    folder = dataset.parent / "components"
    for file in list(folder.iterdir()):
        content = file.read_bytes()
        file.unlink()
        CloudFiles(str(folder), progress=False).put(file.name, content, compress=compress)
    assert cli("graph", "g", dataset, "--overwrite", "--yes").status == 0
    assert graph_cells(dataset) == plain
    assert cli("verify", "g", dataset).status == 0
    found = cli("check", dataset, "--all", "--json")
    assert (found.status, found.json["counts"]["components files"]) == (0, 16)


@pytest.mark.parametrize("name", ["components_1_0_0.proto.gz", "components_1_0_0.proto.zst"])
def test_components_that_cannot_be_meant_as_absent(cli: Cli, dataset: Path, name: str) -> None:
    file = dataset.parent / "components" / "components_1_0_0.proto"
    if name.endswith(".zst"):
        file.rename(file.with_name(name))
    else:
        CloudFiles(str(file.parent), progress=False).put(file.name, b"other", compress="gzip")
    outcome = cli("graph", "g", dataset)
    assert outcome.status == 1
    assert name in outcome.err


@pytest.mark.sampled(1)
@pytest.mark.parametrize("form", ["file://rel", "file://~", "~"])
def test_places_in_the_dataset_file(
    cli: Cli, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """What cloud-files finds, from wherever it is asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "dataset"))
    prefix = {"file://rel": "file://dataset", "file://~": "file://~", "~": "~"}[form]
    other = dataset.parent / "other" / "dataset.yml"
    other.parent.mkdir()
    other.write_text(dataset.read_text().replace(": ./", f": {prefix}/"))
    assert cli("graph", "g", other, "--store", f"sqlite:{other.parent / 'graph.sqlite'}").status == 0
    monkeypatch.chdir("/")
    places = meta_places(other.parent / "graph.sqlite")
    assert places == [f"file://{dataset.parent}/{name}" for name in ("edges", "components", "ws")]
    store = open_store(f"sqlite:{other.parent / 'graph.sqlite'}")
    assert store.exists()
    store.close()
