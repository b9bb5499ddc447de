"""``beam-ingest report``: its numbers against counts by numpy, its pictures, and that it needs no network."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from cloudvolume import CloudVolume
from PIL import Image

from beam_ingest import Dataset, FileError, GraphReader, open_graph, store_url
from beam_ingest.report.facts import gather, read_verdict
from beam_ingest.report.make_report import write_file
from beam_ingest.report.page import PICTURES, make_page
from beam_ingest.report.pictures import histogram, object_colours, supervoxel_colours
from beam_ingest.report.voxels import read_sections
from beam_ingest.view.palette import OBJECTS
from tests.conftest import Cli


class Page(HTMLParser):
    """What is on a page.

    Attributes:
      tables: rows of texts.
      pictures: PNG files by what stands for them in text.
      places: everything that a browser would fetch.
      text: all text.
    """

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.pictures: dict[str, Image.Image] = {}
        self.places: list[str] = []
        self.text = ""
        self._in_cell = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True
        self.places += [given[name] or "" for name in ("src", "href", "data", "action") if name in given]
        if tag == "img":
            kind, _, data = (given["src"] or "").partition(",")
            assert kind == "data:image/png;base64"
            self.pictures[given["alt"] or ""] = Image.open(BytesIO(base64.b64decode(data)))

    def handle_endtag(self, tag: str) -> None:
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.tables[-1][-1][-1] += data

    def table(self, first: str) -> list[list[str]]:
        """The rows below a heading."""
        (found,) = [table[1:] for table in self.tables if table and table[0][0] == first]
        return found


@pytest.fixture
def built(built_sample: Path) -> Path:
    return built_sample


@pytest.fixture
def reader(built: Path) -> Iterator[GraphReader]:
    with open_graph(built, "graph") as opened:
        yield opened


def test_the_numbers_are_numpys(cli: Cli, built: Path, reader: GraphReader, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "report.html"
    assert cli("report", "graph", built, out).out == f"report: {out}\n"
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    page = Page(content := out.read_text())
    assert set(page.pictures) == set(PICTURES.values())
    seen = set(map(tuple, np.asarray(page.pictures[PICTURES["slice"]]).reshape(-1, 4)[:, :3].tolist()))
    assert sum(tuple(bytes.fromhex(colour[1:])) in seen for colour in OBJECTS) >= 2
    assert all(place.startswith("data:image/png;base64,") for place in page.places)
    assert not re.search(r"https?://|@import|url\(", content)
    status = cli("status", "graph", built, "--json").json
    (run,) = status["usage"]
    assert [row[:2] for row in page.table("run")] == [["1", str(layer["layer"])] for layer in run]
    assert [row[4] for row in page.table("run")] == [f"{layer['nbytes']:,}" for layer in run]
    for row, layer in zip(page.table("layer"), status["layers"], strict=True):
        counts = layer["counts"]
        assert row[0].split()[0] == str(layer["layer"])
        assert row[1] == f"{layer['done']:,} of {layer['total']:,}"
        assert row[2:6] == [f"{counts[name]:,}" for name in ("nodes", "edges", "rows", "cells")]
        assert row[6] == f"{layer['milliseconds'] / 1000:,.2f}"
    roots = np.concatenate(list(reader.root_ids()))
    volume = np.asarray(CloudVolume((built.parent / "ws").as_uri(), progress=False)[:])[..., 0]
    ids, voxels = np.unique(volume, return_counts=True)
    root_of = reader.roots(ids, missing="zero")
    expected = sorted(
        ((int(size), int(root)) for size, root in zip(reader.sizes(roots), roots, strict=True)),
        key=lambda pair: (-pair[0], pair[1]),
    )
    for row, (size, root) in zip(page.table("largest objects"), expected[:20], strict=True):
        assert row[:3] == [str(root), f"{size:,}", f"{voxels[root_of == np.uint64(root)].sum():,}"]
    loose = voxels[(root_of == 0) & (ids != 0)].sum()
    assert f"{voxels[root_of != 0].sum():,} voxels in objects, {loose:,} in supervoxels" in page.text
    assert "The graph is complete" in page.text
    assert "It was not verified" in page.text
    absent = sum(layer["counts"]["missing"] for layer in status["layers"])
    assert f"taken as empty chunks: {absent:,}." in page.text


def test_sections_are_the_watersheds(built: Path, reader: GraphReader) -> None:
    volume = np.asarray(CloudVolume((built.parent / "ws").as_uri(), progress=False)[:])[..., 0]
    x, y, z = (n // 2 for n in volume.shape)
    sections = read_sections(reader, Dataset.from_file(built))
    assert [section.axes for section in sections] == ["xy", "xz", "zy"]
    assert [section.depth for section in sections] == [z, y, x]
    planes = (volume[:, :, z], volume[:, y, :], volume[x].T)
    for section, plane in zip(sections, planes, strict=True):
        assert (section.supervoxels == plane).all()
        ids, inverse = np.unique(plane, return_inverse=True)
        assert (section.roots == reader.roots(ids, missing="zero")[inverse].reshape(plane.shape)).all()


def test_colours() -> None:
    """The largest objects have theirs, all others are greys, and black lies where two meet."""
    roots = np.repeat(np.array([[5, 9, 0, 7]], np.uint64), 4, axis=1).repeat(3, axis=0)
    colours = object_colours(roots, np.array([9, 5], np.uint64))
    first, second = (list(bytes.fromhex(colour[1:])) for colour in OBJECTS[:2])
    assert colours[1, 5].tolist() == first
    assert colours[1, 1].tolist() == second
    assert colours[1, 9].tolist() == [0, 0, 0]
    assert len(set(colours[1, 14].tolist())) == 1, "a grey"
    assert colours[1, 4].tolist() == [0, 0, 0], "a border"
    assert len(set(OBJECTS)) == len(OBJECTS)
    shown = supervoxel_colours(roots, np.where(roots == 7, 0, roots).astype(np.uint64))
    assert shown[1, 14].tolist() == [255, 255, 255]
    assert shown[1, 9].tolist() == [0, 0, 0]


def test_pictures_alone(cli: Cli, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the ones of the page, and the same each time."""
    drawn = [histogram(np.array([1, 2, 70]), "voxels") for _ in range(2)]
    assert drawn[0] == drawn[1]
    monkeypatch.setattr("beam_ingest.report.make_report.draw", lambda *_: ({"voxels": drawn[0]}, ""))
    outcome = cli("report", "graph", built, "--png", tmp_path / "png")
    assert outcome.out == f"wrote 1 picture to {tmp_path / 'png'}\n"
    (file,) = (tmp_path / "png").iterdir()
    assert (file.name, file.read_bytes()) == ("voxels.png", drawn[0])


def test_a_verdict_is_shown(cli: Cli, built: Path, tmp_path: Path) -> None:
    verdict, dataset = tmp_path / "verify.json", Dataset.from_file(built)

    def page() -> Page:
        facts = gather(dataset, "graph", store_url(dataset, "graph"), read_verdict(str(verdict), "graph"))
        return Page(make_page(facts, {}))

    verdict.write_text(cli("verify", "graph", built, "--json").out)
    assert "verify found no difference from its inputs (" in page().text
    found = json.loads(verdict.read_text())
    worse = found | {"total": 2, "differences": {"a <kind>": {"count": 2, "examples": ["one", "two"]}}}
    verdict.write_text(json.dumps(worse))
    assert "verify found 2 differences" in page().text
    assert page().table("difference") == [["a <kind>", "2", "one; two"]]
    for content, message in {
        json.dumps(found | {"graph_id": "other"}): "expected a verdict on graph, found one on other",
        "[]": "expected what beam-ingest verify --json prints, found something else",
    }.items():
        verdict.write_text(content)
        refused = cli.refused("report", "graph", built, tmp_path / "r.html", "--verify", verdict)
        assert refused == f"{verdict}: {message}"


def test_what_is_not_finished_or_failed_or_cannot_be_read(cli: Cli, sample: Path, tmp_path: Path) -> None:
    edges = sample.parent / "edges" / "edges_0_0_0.proto.zst"
    edges.write_bytes(b"not zstd")
    assert cli("graph", "graph", sample).status == 1
    shutil.rmtree(sample.parent / "ws" / next(p.name for p in (sample.parent / "ws").iterdir() if p.is_dir()))
    dataset = Dataset.from_file(sample)
    page = Page(make_page(gather(dataset, "graph", store_url(dataset, "graph")), {}))
    assert "The graph is not complete" in page.text
    assert "1 chunk failed at layer 2" in page.text
    assert "edges_0_0_0.proto.zst" in page.text
    (sample.parent / "ws" / "info").write_text("{}")
    out = tmp_path / "report.html"
    outcome = cli("report", "graph", sample, out)
    assert outcome.err.startswith("note: the watershed cannot be read, and is not shown: ")
    assert "The watershed cannot be read" in (page := Page(out.read_text())).text
    assert len(page.pictures) == 2


def test_what_cannot_be_written(cli: Cli, built: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    assert "expected a folder to write to" in cli.refused(
        "report", "graph", built, tmp_path / "file" / "r.html"
    )
    (tmp_path / "folder").mkdir()
    assert "found a folder" in cli.refused("report", "graph", built, tmp_path / "folder")
    with pytest.raises(FileError, match="cannot be written"):
        write_file(tmp_path / "folder", b"")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "dear"
    both = cli.refused("report", "graph", built, tmp_path / "r.html", "--png", tmp_path)
    assert (
        both
        == cli.refused("report", "graph", built)
        == ("expected OUT.html, or --png DIR for the pictures alone")
    )


def test_a_graph_of_a_test(cli: Cli, sample: Path) -> None:
    assert cli("graph", "graph", sample, "--test").status == 0
    dataset = Dataset.from_file(sample)
    page = Page(make_page(gather(dataset, "graph", store_url(dataset, "graph")), {}))
    assert "The graph is complete" in page.text
    assert "test True" in page.text
    assert len(page.table("largest objects")) == 20
