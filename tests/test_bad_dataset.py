"""Dataset files, watersheds and command lines that cannot be right: refused before anything is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import COUNTS, Cli
from tests.oracle.datasets import Grid, OracleDataset, write

DELETED: Any = object()


def change(dataset: Path, key: str, value: object) -> None:
    """Set the value at a dotted key of a dataset file."""
    content = yaml.safe_load(dataset.read_text())
    *path, last = key.split(".")
    section = content
    for name in path:
        section = section.setdefault(name, {})
    if value is DELETED:
        del section[last]
    else:
        section[last] = value
    dataset.write_text(yaml.safe_dump(content))


def refused(cli: Cli, dataset: Path, *options: str, status: int = 2) -> str:
    """The one line by which a graph of `dataset` is refused, before its store is made."""
    line = cli.refused("graph", "g", dataset, *options, status=status)
    assert not (dataset.parent / "graph.sqlite").exists()
    return line


def test_the_dataset_these_tests_spoil_is_sound(cli: Cli, dataset: Path) -> None:
    outcome = cli("graph", "g", dataset)
    assert outcome.status == 0, outcome
    assert cli.done(dataset) == list(COUNTS)
    assert f"supervoxels  {4 * COUNTS[0]}\n" in outcome.out


@pytest.mark.parametrize("verb", ["graph", "status"])
def test_dataset_file_missing(cli: Cli, tmp_path: Path, verb: str) -> None:
    path = tmp_path / "nowhere.yml"
    assert cli.refused(verb, "g", path) == f"{path}: no such dataset file"


def test_dataset_file_is_a_folder(cli: Cli, tmp_path: Path) -> None:
    line = cli.refused("graph", "g", tmp_path)
    assert line == f"{tmp_path}: the dataset file cannot be read: Is a directory"


def test_dataset_file_of_an_unknown_protocol(cli: Cli) -> None:
    line = cli.refused("graph", "g", "gss://bucket/dataset.yml")
    assert line.startswith("gss://bucket/dataset.yml: expected a path or a URL of a protocol")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"data_source: [", "not YAML: line 1, column 15: expected the node content"),
        (b"data_source:\n\tEDGES: ./edges\n", "not YAML: line 2, column 1: found character '\\t'"),
        (b"a: *b\n", "not YAML: line 1, column 4: found undefined alias"),
        (b"a: !!python/object:os.system {}\n", "not YAML: line 1, column 4: could not determine a constr"),
        (b"\xff\xfe", "not YAML: it is not UTF-8 text"),
        (b"a: \x00", "not YAML: unacceptable character"),
        (b"", "expected a mapping of data_source, graph_config, ingest_config, backend_client, volumes, "),
        (b"# nothing\n", "found nothing"),
        (b"- data_source\n", "found list ['data_source']"),
        (b"just text\n", "found str 'just text'"),
        (b"data_source: text\n", "data_source: expected a mapping of EDGES, COMPONENTS, "),
        (b"data_source:\n", "data_source: expected a mapping of EDGES, COMPONENTS, "),
        (b"data_source: {WATERSHED: ./ws}\ngraph_config: 5\n", "graph_config: expected a mapping of CHUNK_S"),
    ],
)
def test_dataset_file_is_no_mapping_of_sections(cli: Cli, dataset: Path, content: bytes, found: str) -> None:
    dataset.write_bytes(content)
    line = refused(cli, dataset)
    assert line.startswith(f"{dataset}: ")
    assert found in line


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("data_source", "the key data_source is missing"),
        ("graph_config", "the key graph_config is missing"),
        ("data_source.WATERSHED", "data_source: the key WATERSHED is missing"),
        ("data_source.EDGES", "data_source: the key EDGES is missing (only --raw works without it)"),
        (
            "data_source.COMPONENTS",
            "data_source: the key COMPONENTS is missing (only --raw works without it)",
        ),
        ("graph_config.CHUNK_SIZE", "graph_config: the key CHUNK_SIZE is missing"),
        ("backend_client", "no backend_client; add --store sqlite:PATH or bigtable:PROJECT/INSTANCE"),
        ("backend_client.CONFIG.PATH", "backend_client.CONFIG: the key PATH is missing"),
    ],
)
def test_key_missing(cli: Cli, dataset: Path, key: str, message: str) -> None:
    change(dataset, key, DELETED)
    assert refused(cli, dataset) == f"{dataset}: {message}"


TRIPLE = "expected three whole numbers above 0, [x, y, z], found"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data_source.EDGES", 5, "expected a text, found int 5"),
        ("data_source.COMPONENTS", ["./components"], "expected a text, found list ['./components']"),
        ("data_source.WATERSHED", True, "expected a text, found bool True"),
        ("data_source.WATERSHED", {"a": 1}, "expected a text, found a mapping"),
        ("data_source.EDGES", "gss://bucket/edges", "expected a path or a URL of a protocol that cloud-fil"),
        ("data_source.DATA_VERSION", "four", "expected a whole number, found str 'four'"),
        ("data_source.DATA_VERSION", 1, "expected one of 2, 3, 4, found int 1"),
        ("data_source.DATA_VERSION", 5, "expected one of 2, 3, 4, found int 5"),
        ("graph_config.CHUNK_SIZE", 64, f"{TRIPLE} int 64"),
        ("graph_config.CHUNK_SIZE", [64, 64], f"{TRIPLE} list [64, 64]"),
        ("graph_config.CHUNK_SIZE", [64, 64, 64, 64], f"{TRIPLE} list [64, 64, 64, 64]"),
        ("graph_config.CHUNK_SIZE", [64, 64, 0], f"{TRIPLE} list [64, 64, 0]"),
        ("graph_config.CHUNK_SIZE", [64, 64, -64], f"{TRIPLE} list [64, 64, -64]"),
        ("graph_config.CHUNK_SIZE", [64, 64, 64.0], f"{TRIPLE} list [64, 64, 64.0]"),
        ("graph_config.CHUNK_SIZE", [64, True, 64], f"{TRIPLE} list [64, True, 64]"),
        ("graph_config.CHUNK_SIZE", "64 64 64", f"{TRIPLE} str '64 64 64'"),
        ("graph_config.FANOUT", 3, "expected 2, the only one that PyChunkedGraph's layer bounds support, fo"),
        ("graph_config.FANOUT", 2.0, "expected a whole number, found float 2.0"),
        ("graph_config.LAYER_ID_BITS", -8, "expected a whole number, found int -8"),
        ("graph_config.SPATIAL_BITS", "ten", "expected a whole number, found str 'ten'"),
        ("graph_config.ID_PREFIX", 7, "expected a text, found int 7"),
        ("backend_client.TYPE", "postgres", "expected one of bigtable, sqlite, found str 'postgres'"),
        ("backend_client.TYPE", 1, "expected a text, found int 1"),
    ],
)
def test_value_of_the_wrong_kind(cli: Cli, dataset: Path, key: str, value: object, message: str) -> None:
    change(dataset, key, value)
    assert refused(cli, dataset).startswith(f"{dataset}: {key}: {message}")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("data_sorce", "unknown key 'data_sorce'; did you mean data_source?"),
        ("data_source.EDGE", "data_source: unknown key 'EDGE'; did you mean EDGES?"),
        ("graph_config.CHUNKSIZE", "graph_config: unknown key 'CHUNKSIZE'; did you mean CHUNK_SIZE?"),
        ("ingest_config.AGGLOMERATON", "unknown key 'AGGLOMERATON'; did you mean AGGLOMERATION?"),
        ("backend_client.CONFIG.PTH", "backend_client.CONFIG: unknown key 'PTH'; did you mean PATH?"),
        ("backend_client.kind", "backend_client: unknown key 'kind'; known are TYPE, CONFIG"),
        ("zzz", "unknown key 'zzz'; known are data_source, "),
    ],
)
def test_unknown_key(cli: Cli, dataset: Path, key: str, message: str) -> None:
    change(dataset, key, "value")
    line = refused(cli, dataset)
    assert line.startswith(f"{dataset}: ")
    assert message in line


def test_keys_that_are_no_texts(cli: Cli, dataset: Path) -> None:
    dataset.write_text(f"{dataset.read_text()}\n5: five\n")
    assert "unknown key 5" in refused(cli, dataset)


def test_sections_of_other_programs_are_left_alone(cli: Cli, dataset: Path) -> None:
    change(dataset, "mesh_config", {"dir": "mesh", "max_layer": 6})
    change(dataset, "meshing_config", ["anything"])
    change(dataset, "l2cache_config", "text")
    change(dataset, "cave_config", {"server": 1})
    assert cli("graph", "g", dataset).status == 0


@pytest.mark.parametrize(
    ("chunks", "bits", "needed"), [((4, 2, 2), 1, 2), ((1, 1, 9), 3, 4), ((2, 1, 1), 0, 1)]
)
def test_too_few_spatial_bits(
    cli: Cli, tmp_path: Path, chunks: tuple[int, int, int], bits: int, needed: int
) -> None:
    path = write(OracleDataset(Grid(chunks)), tmp_path / "dataset")
    change(path, "graph_config.SPATIAL_BITS", bits)
    expected = (
        f"{path}: graph_config.SPATIAL_BITS is {bits}, but {max(chunks)} chunks along an axis "
        f"need at least {needed}"
    )
    assert refused(cli, path) == expected


@pytest.mark.parametrize(
    ("key", "bits", "message"),
    [
        ("SPATIAL_BITS", 20, "LAYER_ID_BITS 8 and SPATIAL_BITS 20 leave no bits of 64 for segments"),
        ("LAYER_ID_BITS", 2, "graph_config.LAYER_ID_BITS is 2, but 4 layers need at least 3"),
        ("LAYER_ID_BITS", 0, "graph_config.LAYER_ID_BITS is 0, but 4 layers need at least 3"),
        ("LAYER_ID_BITS", 99, "graph_config.LAYER_ID_BITS is 99, but 4 layers need at least 3 (at most 32)"),
    ],
)
def test_bits_that_hold_no_ids(cli: Cli, dataset: Path, key: str, bits: int, message: str) -> None:
    change(dataset, f"graph_config.{key}", bits)
    assert refused(cli, dataset).startswith(f"{dataset}: {message}")


def test_grid_of_one_chunk(cli: Cli, dataset: Path) -> None:
    change(dataset, "graph_config.CHUNK_SIZE", [256, 128, 128])
    line = refused(cli, dataset)
    assert line.startswith(f"{dataset}: the volume is one single chunk, ")
    assert line.endswith("take more chunks, or a smaller CHUNK_SIZE")


def test_watershed_without_info(cli: Cli, dataset: Path) -> None:
    info = dataset.parent / "ws" / "info"
    info.unlink()
    expected = f"{info}: no such file; data_source.WATERSHED must be a precomputed volume"
    assert refused(cli, dataset) == expected
    info.mkdir()
    line = refused(cli, dataset, status=1)
    assert line == f"{info}: expected a file that can be read, found an error: Is a directory"


def _info(**changes: object) -> bytes:
    return json.dumps({"scales": [{"size": [256, 128, 128], "resolution": [8, 8, 40]} | changes]}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a precomputed info, found no JSON: "),
        (b"<html>", "expected a precomputed info, found no JSON: "),
        (b"\xff\xff", "expected a precomputed info, found no JSON: "),
        (b"[]", "expected a precomputed info with scales[0].size and .resolution, found none"),
        (b"{}", "expected a precomputed info with scales[0].size and .resolution, found none"),
        (b'{"scales": []}', "expected a precomputed info with scales[0].size and .resolution, found none"),
        (b'{"scales": [5]}', "expected a precomputed info with scales[0].size and .resolution, found none"),
        (_info(size=[256, 128]), "expected scales[0].size of three whole numbers above 0, found [256, 128]"),
        (_info(size=[256, 128, 0]), "of three whole numbers above 0, found [256, 128, 0]"),
        (_info(size=[256, 128, 1.5]), "of three whole numbers above 0, found [256, 128, 1.5]"),
        (_info(size="large"), 'of three whole numbers above 0, found "large"'),
        (_info(size=None), "of three whole numbers above 0, found null"),
        (_info(resolution=[8, 8]), "expected scales[0].resolution of three numbers above 0, found [8, 8]"),
        (_info(resolution=[8, 8, -40]), "of three numbers above 0, found [8, 8, -40]"),
        (_info(resolution=[8, 8, float("inf")]), "of three numbers above 0, found [8, 8, Infinity]"),
    ],
)
def test_watershed_with_a_broken_info(cli: Cli, dataset: Path, content: bytes, message: str) -> None:
    info = dataset.parent / "ws" / "info"
    info.write_bytes(content)
    line = refused(cli, dataset)
    assert line.startswith(f"{info}: ")
    assert message in line


@pytest.mark.parametrize("key", ["EDGES", "COMPONENTS"])
def test_input_folder_missing(cli: Cli, dataset: Path, key: str) -> None:
    change(dataset, f"data_source.{key}", "./nowhere")
    expected = f"{dataset}: data_source.{key}: expected a folder, found none at {dataset.parent}/nowhere/"
    assert refused(cli, dataset) == expected


def test_input_folder_is_a_file(cli: Cli, dataset: Path) -> None:
    change(dataset, "data_source.EDGES", "./dataset.yml")
    assert "data_source.EDGES: expected a folder, found none at " in refused(cli, dataset)


def test_raw_without_its_keys(cli: Cli, sample: Path) -> None:
    change(sample, "data_source.DATA_VERSION", DELETED)
    expected = f"{sample}: data_source: the key DATA_VERSION is missing, which --raw needs"
    assert refused(cli, sample, "--raw") == expected
    change(sample, "data_source.DATA_VERSION", 4)
    change(sample, "ingest_config.AGGLOMERATION", "./nowhere")
    assert "ingest_config.AGGLOMERATION: expected a folder, found none at " in refused(cli, sample, "--raw")
    change(sample, "ingest_config", DELETED)
    expected = f"{sample}: ingest_config: the key AGGLOMERATION is missing, which --raw reads"
    assert refused(cli, sample, "--raw") == expected


def test_folders_without_any_edges_make_no_graph(cli: Cli, dataset: Path) -> None:
    """A path that is wrong in a bucket looks like this, too: folders are not there, but empty."""
    (dataset.parent / "empty").mkdir()
    change(dataset, "data_source.EDGES", "./empty")
    line = cli.refused("graph", "g", dataset, status=1)
    assert line == (
        f"{dataset.parent}/empty/: expected files with edges, found no supervoxel in any chunk (16 files are "
        f"absent); correct EDGES in {dataset}, then use --overwrite"
    )
    assert cli.done(dataset) == [16, 0, 0]
