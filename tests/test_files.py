"""Places and files, compared with what cloud-files itself finds and writes, on names of every kind."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cloudfiles
import pytest
from cloudfiles import CloudFiles
from hypothesis import given
from hypothesis import strategies as st

from beam_ingest.errors import ConfigError
from beam_ingest.files import (
    ENCODINGS,
    FileError,
    Folder,
    PlaceError,
    folder_of,
    local_path,
    resolve,
    resolve_local,
)

ZOO = (
    "plain", "two words", "ä", "日本", "a#b", "a?b=c", "a%20b", "a%2Fb", "100%", "a&b;c", "a:b", "gs:", "~",
    "~x", "a~b", "x|y", "it's", '"quoted"', "[a]*", "back\\slash", "new\nline", "folder.gz", "a.zstd", "-x",
    "a+b", " a ", "@", "$HOME", "..a", "file:",
)  # fmt: skip
"""Names of folders."""
COMPRESSIONS = (None, "gzip", "br", "zstd", "xz", "bzip2")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is also the home directory's neighbour."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cloudfiles.paths.extract.cache_clear()  # it remembers what a relative path was elsewhere
    cloudfiles.paths.normalize.cache_clear()
    return folder


@pytest.mark.parametrize("name", ZOO)
def test_cloud_files_finds_what_we_write_and_we_what_it_writes(here: Path, name: str) -> None:
    folder = here / name / "below"
    for place in (
        str(folder),
        f"file://{folder}",
        f"file://./{name}/below",
        f"./{name}/below/",
        f"{folder}/",
    ):
        CloudFiles(place, progress=False).put("theirs", b"theirs")
        assert (folder / "theirs").read_bytes() == b"theirs"
        assert Folder(place).read(["theirs"]) == [b"theirs"]
        Folder(place).write({"ours": b"ours"})
        assert (folder / "ours").read_bytes() == b"ours"
        assert CloudFiles(place, progress=False).get("ours") == b"ours"
        assert resolve(place) == f"file://{folder}"
        assert sorted(Folder(place).names("")) == ["ours", "theirs"]
        for file in folder.iterdir():
            file.unlink()


LOCAL_PLACES = [
    ".", "..", "a", "a/", "./a", "../a", "a//b", "a/../b", "/", "//a", "///a", "/a/..", "~", "~/a",
    "~/a/../b",
    "~nobody/a", "a/~/b", "file://", "file:///", "file://a", "file://a/b/", "file://~", "file://~/a",
    "file://./~/a",
    "file:///~/a", "file://localhost/a", "file:////a//b/../c", "file:///a/gs://b", "file:///a?b#c%20d",
    "precomputed:///a", "precomputed://file:///a", "precomputed://file://~/a", "file:///a|precomputed:",
    "/a|neuroglancer-precomputed:", "a|precomputed:", "file:///a|zarr2:", "a|zarr2:", "zarr://file:///a",
    "file:///a|b", "file:///a|b:c",
]  # fmt: skip


@pytest.mark.parametrize("place", LOCAL_PLACES)
def test_local_places_are_those_of_cloud_files(here: Path, place: str) -> None:
    """Wherever programs run: a place that is resolved says the same in every folder."""
    expected = cloudfiles.paths.extract(cloudfiles.paths.normalize(place))
    resolved = resolve(place)
    assert resolve(resolved) == resolved
    os.chdir("/")
    found = cloudfiles.paths.extract(cloudfiles.paths.normalize(resolved))
    assert (found.protocol, found.path, found.format) == ("file", expected.path, expected.format)
    if expected.format == "precomputed":
        assert local_path(resolved) == expected.path


@pytest.mark.parametrize(
    "place",
    [
        "gs://bucket/a", "gs://bucket/a/", "gs://bucket", "gs://bucket/a b#c?d%20e/ä", "gs://bucket/a//b/../c",
        "precomputed://gs://bucket/a", "gs://bucket/a|precomputed:", "gs://bucket/a|zarr2:", "s3://bucket/a",
        "s3://https://host.org/bucket/a%20b", "https://host.org/a%20b/", "http://localhost:80/a", "mem://a/b",
        "nokura://bucket/a", "middleauth+https://host.org/a", "graphene://https://host.org/a", "gs:///bucket/a",
    ],
)  # fmt: skip
def test_other_places_are_those_of_cloud_files(place: str) -> None:
    expected, found = (
        cloudfiles.paths.extract(cloudfiles.paths.normalize(each)) for each in (place, resolve(place))
    )
    assert found._replace(path=None) == expected._replace(path=None)
    assert found.path.rstrip("/") == expected.path.rstrip("/")
    assert resolve(resolve(place)) == resolve(place)
    assert local_path(resolve(place)) is None


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_is_found_by_cloud_files(name: str) -> None:
    if name in (".", ".."):
        return
    path = f"/folder/{name}/edges"
    assert resolve(path) == f"file://{path}"
    assert cloudfiles.paths.extract(cloudfiles.paths.normalize(resolve(path))).path == path


@pytest.mark.parametrize(
    "place", ["nowhere://a", "GS://a", "gs://", "https:///", "/a://b", "a\0b", "://", "bad://a|n5:"]
)
def test_places_that_cloud_files_does_not_know(place: str) -> None:
    with pytest.raises(PlaceError, match="expected a"):
        resolve(place)


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("edges", "file:///a#b/c d", "file:///a#b/c d/edges"),
        ("../edges", "file:///a/b", "file:///a/edges"),
        ("/edges", "file:///a", "file:///edges"),
        ("edges/", "gs://bucket/a", "gs://bucket/a/edges"),
        ("./x/../edges", "gs://bucket/a", "gs://bucket/a/edges"),
        ("../../edges", "gs://bucket/a/b", "gs://bucket/edges"),
        ("/edges", "gs://bucket/a", "file:///edges"),
        ("gs://b/edges", "file:///a", "gs://b/edges"),
        ("precomputed://ws", "file:///a", "file:///a/ws"),
    ],
)
def test_relative_places(path: str, folder: str, expected: str) -> None:
    assert resolve(path, folder) == expected


def test_no_path_leads_out_of_a_bucket() -> None:
    with pytest.raises(PlaceError, match="within gs://bucket"):
        resolve("../../edges", "gs://bucket/a")


def test_files_of_this_machine(here: Path) -> None:
    home = str(here.parent / "home")
    assert resolve_local("a#b?c%20d") == f"{here}/a#b?c%20d"
    assert resolve_local("x|zarr2:") == f"{here}/x|zarr2:"
    assert resolve_local("~/a") == resolve_local("file://~/a") == f"{home}/a"
    assert resolve_local("a", "file:///b c") == "/b c/a"
    assert resolve_local("/a", "gs://b") == "/a"
    for path, folder in (("a", "gs://b"), ("gs://b/a", ""), ("a\0", "")):
        with pytest.raises(PlaceError, match="path on this machine"):
            resolve_local(path, folder)
    assert folder_of("v/x#y/dataset.yml") == f"file://{here}/v/x#y"
    assert folder_of("file://dataset.yml") == f"file://{here}"
    assert folder_of("gs://b/a%20/dataset.yml") == "gs://b/a%20"


# Compressed files


def test_the_suffixes_are_those_of_cloud_files() -> None:
    assert dict(cloudfiles.interfaces.EXT_TEST_SEQUENCE) == {"": None, **ENCODINGS}
    assert set(ENCODINGS) == set(cloudfiles.interfaces.COMPRESSION_EXTENSIONS)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("protocol", ["file", "mem"])
def test_files_that_cloud_files_compressed(tmp_path: Path, protocol: str, compress: str | None) -> None:
    place = f"{protocol}://{tmp_path}"
    theirs = CloudFiles(place, progress=False)
    theirs.put("components_0_0_0.proto", b"content", compress=compress)
    theirs.put("remap/done_0_0_0_0.data", b"other", compress=compress)
    ours = Folder(place)
    assert ours.read(["components_0_0_0.proto", "remap/done_0_0_0_0.data", "absent"]) == [
        b"content",
        b"other",
        None,
    ]
    for prefix in ("components_", "remap/done_"):
        assert list(ours.names(prefix)) == list(theirs.list(prefix, flat=True))
    ours.write({"components_0_0_0.proto": b"new"})
    if protocol == "file":  # in memory, cloud-files itself leaves the former content in the way
        assert theirs.get("components_0_0_0.proto") == b"new"
        assert ours.read(["components_0_0_0.proto"]) == [b"new"]


@contextmanager
def web_server(files: dict[str, tuple[bytes, str | None]]) -> Iterator[str]:
    """A web server that says how files are encoded, as Cloud Storage does; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, encoding = files.get(self.path, (b"", None))
            self.send_response(200 if self.path in files else 404)
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_files_that_a_server_has_compressed() -> None:
    """As PyChunkedGraph writes components to buckets: compressed with gzip."""
    packed = gzip.compress(b"content")
    files = {"/a/packed": (packed, "gzip"), "/a/plain": (b"content", None), "/a/bad": (b"content", "gzip")}
    with web_server(files) as url:
        assert CloudFiles(f"{url}/a", progress=False).get("packed") == b"content"
        packed_, plain, bad, absent = Folder(f"{url}/a").read_each(["packed", "plain", "bad", "absent"])
        assert (packed_, plain, absent) == (b"content", b"content", None)
        assert isinstance(bad, FileError)
        assert str(bad).startswith(f"{url}/a/bad: expected a file that can be read, found an error: gzip: ")
        (stored,) = Folder(f"{url}/a", as_stored=True).read_each(["packed"])
        assert isinstance(stored, FileError)
        assert "found one compressed with gzip" in str(stored)


def put(folder: Path, name: str, compress: str | None, content: bytes) -> None:
    CloudFiles(str(folder), progress=False).put(name, content, compress=compress)


def test_two_files_that_differ_are_an_error(tmp_path: Path) -> None:
    """cloud-files reads either, depending on what it read before."""
    put(tmp_path, "a", None, b"one")
    put(tmp_path, "a", "gzip", b"one")
    assert Folder(str(tmp_path)).read(["a"]) == [b"one"]
    put(tmp_path, "a", "br", b"two")
    with pytest.raises(
        FileError, match=r"/a: expected one file, or copies of it, found a and a\.gz and a\.br,"
    ):
        Folder(str(tmp_path)).read(["a"])


def test_files_that_cannot_be_meant_as_absent(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "a.gz").write_bytes(b"no gzip")
    (tmp_path / "b.zst").write_bytes(b"")
    (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.br").mkdir()
    (tmp_path / "e.xz").write_bytes(b"")
    found = folder.read_each(["a", "b", "c", "d", "e"])
    assert all(isinstance(each, FileError) for each in found)
    for each, text in zip(
        found,
        ("a.gz: expected a file", "b.zst: expected b, or", "a link to nothing", "d.br: ", "e.xz: "),
        strict=True,
    ):
        assert text in str(each)
    assert [str(each).count("\n") for each in found] == [0] * 5


def test_edges_are_read_as_they_are_stored(tmp_path: Path) -> None:
    """PyChunkedGraph takes the content of edges files for zstd frames, however they are stored."""
    name = "edges_0_0_0.proto.zst"
    stored = Folder(str(tmp_path), as_stored=True)
    put(tmp_path, name, "zstd", b"content")
    expected = CloudFiles(str(tmp_path), progress=False).get([name], raw=True)[0]["content"]
    assert stored.read([name]) == [expected]
    assert list(stored.names("edges_")) == [name]
    (tmp_path / f"{name}.zstd").unlink()
    put(tmp_path, name, "gzip", b"content")
    with pytest.raises(
        FileError, match=r"\.zst\.gz: expected an uncompressed file, found one compressed with gzip"
    ):
        stored.read([name])
    assert list(stored.names("edges_")) == [f"{name}.gz"]


def test_a_place_error_says_what_is_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        Folder("nowhere://a")
    assert str(caught.value).startswith(
        "nowhere://a: expected a path or a URL of a protocol that cloud-files"
    )
