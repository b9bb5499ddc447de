"""Which files are there, by their names; and what the names say about the grid."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from beam_ingest.checks.findings import Findings
from beam_ingest.checks.listing import conclude, file_kinds, list_part, parts
from beam_ingest.dataset import Dataset
from beam_ingest.format.grid import ChunkGrid
from tests.checks import ALL, checked, lines, problems
from tests.conftest import GRID, Cli
from tests.runners.dataflow.conftest import storage  # noqa: F401  (a fixture)
from tests.runners.dataflow.jobs import BUCKET
from tests.runners.dataflow.storage import StorageEmulator

NO_FIT = "a grid that does not fit the files"
CONFIGURATION = "configuration"


def resize(dataset: Path, size: int) -> None:
    """Chunks of `size` voxels along each axis, which are 64 in truth."""
    dataset.write_text(dataset.read_text().replace("CHUNK_SIZE: [64, 64, 64]", f"CHUNK_SIZE: {3 * [size]}"))


@pytest.mark.parametrize("key", ["edges", "components"])
def test_a_missing_folder(cli: Cli, dataset: Path, key: str) -> None:
    """It is told as what it is, a fault of the dataset file, and not as sixteen absent files."""
    shutil.rmtree(dataset.parent / key)
    found = checked(cli, dataset, ALL, status=2)
    assert lines(found, CONFIGURATION) == [
        f"{dataset}: data_source.{key.upper()}: expected a folder, found none at {dataset.parent}/{key}/"
    ]
    assert not [name for name in found["counts"] if name.startswith(f"{key} files")]
    assert "no files" not in found["problems"]
    assert "chunks with edges but no components file" not in found["notes"]


def test_both_folders_missing_and_a_bad_watershed(cli: Cli, dataset: Path) -> None:
    for name in ("edges", "components"):
        shutil.rmtree(dataset.parent / name)
    (dataset.parent / "ws" / "info").write_text("{}")
    dataset.write_text(
        dataset.read_text().replace("TYPE: sqlite", "TYPE: bigtable").replace("PATH:", "PROJECT:")
    )
    found = checked(cli, dataset, status=2)
    assert found["grid"] is None
    assert found["problems"].keys() == {CONFIGURATION}
    assert len(lines(found, CONFIGURATION)) == found["wrong"] == 4
    text = cli("check", dataset)
    assert text.status == 2
    assert f"PROBLEM: {CONFIGURATION}: 4\n" in text.out


def test_missing_keys(cli: Cli, dataset: Path) -> None:
    text = dataset.read_text().replace("  EDGES: ./edges\n", "").replace("  COMPONENTS: ./components\n", "")
    dataset.write_text(text)
    found = lines(checked(cli, dataset, status=2), CONFIGURATION)
    assert found == [
        f"{dataset}: data_source: the key {key} is missing (only --raw works without it)"
        for key in ("COMPONENTS", "EDGES")
    ]


def test_a_dataset_file_that_is_none(cli: Cli, tmp_path: Path) -> None:
    assert cli.refused("check", tmp_path / "none.yml") == f"{tmp_path}/none.yml: no such dataset file"


def test_chunks_that_are_too_large(cli: Cli, dataset: Path) -> None:
    """2x1x1 chunks by CHUNK_SIZE, but files of 4x2x2."""
    resize(dataset, 128)
    found = checked(cli, dataset)
    assert found["problems"]["files outside the grid"]["count"] == 2 * (16 - 2)
    (line,) = lines(found, NO_FIT)
    assert line == (
        f"{dataset.parent}/edges/: files are named for 4x2x2 chunks, but CHUNK_SIZE "
        "[128, 128, 128] makes 2x1x1 of this watershed: correct CHUNK_SIZE or WATERSHED"
    )


def test_chunks_that_are_too_small(cli: Cli, dataset: Path) -> None:
    resize(dataset, 32)
    found = checked(cli, dataset)
    (line,) = lines(found, NO_FIT)
    assert line.endswith(
        "files are named for 4x2x2 chunks, but CHUNK_SIZE [32, 32, 32] makes 8x4x4 of this watershed: "
        "correct CHUNK_SIZE or WATERSHED, unless the other chunks are empty"
    )
    assert found["counts"]["edges files absent"] == 8 * 4 * 4 - 16


def test_a_grid_that_ids_cannot_hold(cli: Cli, dataset: Path) -> None:
    dataset.write_text(dataset.read_text().replace("SPATIAL_BITS: 10", "SPATIAL_BITS: 1"))
    (line,) = lines(checked(cli, dataset, status=2), CONFIGURATION)
    assert line == f"{dataset}: graph_config.SPATIAL_BITS is 1, but 4 chunks along an axis need at least 2"


def test_files_under_other_names(cli: Cli, dataset: Path) -> None:
    folder = dataset.parent / "edges"
    for file in folder.iterdir():
        file.rename(folder / file.name.replace("edges_", "edge-"))
    found = checked(cli, dataset, ALL)
    (line,) = lines(found, "no files")
    assert line.startswith(
        f"{folder}/: expected files edges_x_y_z.proto.zst, found none; another file there is edge-"
    )


STRAYS = ["edges_0_0.proto.zst", "edges_00_0_0.proto.zst", "edges_0_0_0.proto", "edges_1_0_0.proto.zst.gz"]


def test_names_of_no_chunk(cli: Cli, dataset: Path) -> None:
    folder = dataset.parent / "edges"
    for name in [*STRAYS, ".edges_0_0_0.proto.zst.half", "README", f"edges_{10**30}_0_0.proto.zst"]:
        (folder / name).write_bytes(b"")
    found = problems(checked(cli, dataset, ALL))
    expected = {(f"{folder}/{name}", "") for name in [*STRAYS, f"edges_{10**30}_0_0.proto.zst"]}
    assert set(found.pop("names of no chunk")) == expected
    # Of two files that cloud-files may read, one is empty here.
    assert found == {"files that cannot be read": [(f"{folder}/edges_1_0_0.proto.zst", "1_0_0")]}


def test_edges_without_components(cli: Cli, dataset: Path) -> None:
    """Nothing is joined there, and a neighbour's components say otherwise."""
    (dataset.parent / "components" / "components_0_0_0.proto").unlink()
    found = checked(cli, dataset, ALL)
    note = found["notes"]["chunks with edges but no components file"]
    assert (note["count"], note["examples"][0]["line"]) == (
        1,
        f"{dataset.parent}/edges/edges_0_0_0.proto.zst",
    )
    assert found["problems"].keys() == {"pairs of chunks with different active edges"}


def test_listing_in_parts_gives_the_same(
    dataset: Path,
    storage: StorageEmulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a bucket, where one listing after the other would take an hour for millions of files."""
    folder = dataset.parent
    (folder / "components" / "components_2_0_0.proto").unlink()
    names = [f"edges_{x}_0_0.proto.zst" for x in (4, 9, 10, 12, 100, 99)] + STRAYS
    for name in names:
        (folder / "edges" / name).write_bytes(b"")
    for file in [f for name in ("edges", "components") for f in (folder / name).iterdir()]:
        storage.write(f"gs://{BUCKET}/{file.relative_to(folder)}", file.read_bytes())
    text = dataset.read_text()
    remote = Dataset.from_text(text.replace(": ./", f": gs://{BUCKET}/"), "dataset.yml")
    grid = ChunkGrid(GRID.chunks)
    found = []
    for source, part_chunks, expected in (
        (Dataset.from_file(dataset), 1, 1),
        (remote, 10_000, 1),
        (remote, 2, 10),
        (remote, 1, 110),
    ):
        monkeypatch.setattr("beam_ingest.checks.listing._PART_CHUNKS", part_chunks)
        kinds = file_kinds(source, grid, raw=False)
        some = parts(kinds[0].folder, grid)
        assert len(some) == expected
        findings = Findings()
        for part in some:
            list_part(kinds, part, findings)
        conclude(kinds, (64, 64, 64), findings)
        content = findings.encode().decode()
        found.append(content.replace(f"gs://{BUCKET}", str(folder)).replace("file://", ""))
    assert found == found[:1] * 4
    assert Findings.decode(found[0].encode()).counts == {
        "edges files": 16,
        "edges files absent": 0,
        "components files": 15,
        "components files absent": 1,
    }
    kinds_found = Findings.decode(found[0].encode())
    assert kinds_found.problems["files outside the grid"].count == 6
    assert kinds_found.problems["names of no chunk"].count == 4
    assert kinds_found.extents["edges"] == [101, 2, 2]
    assert kinds_found.notes["chunks with edges but no components file"].count == 1


class _NoListing(SimpleHTTPRequestHandler):
    """Serves files, and shows no folder."""

    def list_directory(self, path: object) -> None:
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


def test_files_on_a_web_server(cli: Cli, dataset: Path) -> None:
    """A graph can be built from there; which files there are, no server tells."""
    (dataset.parent / "edges" / "edges_1_0_1.proto.zst").write_bytes(b"hello")
    server = ThreadingHTTPServer(("localhost", 0), partial(_NoListing, directory=str(dataset.parent)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://localhost:{server.server_port}"
    dataset.write_text(dataset.read_text().replace(": ./edges", f": {url}/edges"))
    try:
        found = checked(cli, dataset, ALL)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert problems(found) == {"damaged edges files": [(f"{url}/edges/edges_1_0_1.proto.zst", "1_0_1")]}
    assert f"{url}/edges/: which files are there: files cannot be listed over HTTP" in found["not_checked"]
    assert (found["counts"]["components files"], found["counts"]["components files absent"]) == (16, 0)
    assert "edges files" not in found["counts"]


def test_a_whole_check_of_files_in_a_bucket(
    cli: Cli,
    dataset: Path,
    storage: StorageEmulator,  # noqa: F811
) -> None:
    folder = dataset.parent
    (folder / "edges" / "edges_1_0_1.proto.zst").write_bytes(b"hello")
    for file in [f for f in folder.rglob("*") if f.is_file() and f != dataset]:
        storage.write(f"gs://{BUCKET}/{file.relative_to(folder)}", file.read_bytes())
    dataset.write_text(dataset.read_text().replace(": ./edges", f": gs://{BUCKET}/edges"))
    dataset.write_text(dataset.read_text().replace(": ./components", f": gs://{BUCKET}/components"))
    dataset.write_text(dataset.read_text().replace(": ./ws", f": gs://{BUCKET}/ws"))
    found = checked(cli, dataset, ALL)
    assert problems(found) == {
        "damaged edges files": [(f"gs://{BUCKET}/edges/edges_1_0_1.proto.zst", "1_0_1")]
    }
