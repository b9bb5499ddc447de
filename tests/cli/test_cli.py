"""The command line, and the package as a library."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from beam_ingest.cli import main
from beam_ingest.sample import SampleSpec, write_sample
from tests.graphs import comparable, ingest, read_cells

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "dataset"
    write_sample(folder, SampleSpec(chunks=(4, 4, 4), chunk_size=(16, 16, 16)), processes=1)
    return folder / "dataset.yml"


def test_test_run_writes_eight_chunks_and_their_parent(
    dataset: Path, tmp_path: Path, capsys: Capture
) -> None:
    part, whole = tmp_path / "part.sqlite", tmp_path / "whole.sqlite"
    assert ingest(dataset, part, "--test") == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "2       : 8 / 64",
        "3       : 1 / 8",
        "4       : 0 / 1",
    ]
    assert ingest(dataset, whole) == 0
    assert read_cells(part).items() <= read_cells(whole).items()
    written = {int(key) for key, _, qualifier in read_cells(part) if qualifier == b"children"}
    assert {node >> 56 for node in written} == {2, 3}


def test_status_for_people_and_programs(dataset: Path, tmp_path: Path, capsys: Capture) -> None:
    store = tmp_path / "graph.sqlite"
    assert ingest(dataset, store) == 0
    capsys.readouterr()
    where = ["graph", str(dataset), "--store", f"sqlite:{store}"]
    assert main(["status", *where]) == 0
    assert capsys.readouterr().out == "2       : 64 / 64\n3       : 8 / 8\n4       : 1 / 1\n"
    assert main(["status", *where, "--json", "--watch"]) == 0  # complete: it watches no longer
    content = json.loads(capsys.readouterr().out)
    assert [(layer["done"], layer["total"]) for layer in content["layers"]] == [(64, 64), (8, 8), (1, 1)]
    cells = read_cells(store)
    nodes = {int(key) for key, _, qualifier in cells if qualifier == b"children"}
    for layer in content["layers"]:
        assert layer["counts"]["nodes"] == sum(node >> 56 == layer["layer"] for node in nodes)
    rows = {key for key, _, _ in cells} - {b"meta", b"version"}
    assert sum(layer["counts"]["rows"] for layer in content["layers"]) == len(rows)
    in_rows = [key for key in cells if key[0] in rows]
    assert sum(layer["counts"]["cells"] for layer in content["layers"]) == len(in_rows)


def test_summary_says_what_was_built_and_where(dataset: Path, tmp_path: Path, capsys: Capture) -> None:
    store = tmp_path / "graph.sqlite"
    assert ingest(dataset, store) == 0
    out = capsys.readouterr().out
    cells = read_cells(store)
    parents = [int(key) for key, _, qualifier in cells if qualifier == b"parents"]
    children = [int(key) for key, _, qualifier in cells if qualifier == b"children"]
    supervoxels = sum(node >> 56 == 1 for node in parents)
    roots = sum(node >> 56 == 4 for node in children)
    assert f"supervoxels  {supervoxels:,}\n" in out
    assert f"roots        {roots:,}\n" in out
    for layer in (2, 3):
        assert f"{sum(node >> 56 == layer for node in children):,} at layer {layer}" in out
    assert f"in           {store}\n" in out
    assert "absent files 2, taken as empty chunks" in out


def test_the_dataset_file_says_where_the_graph_goes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # its relative paths start from its own folder all the same
    assert main(["graph", "graph", str(dataset)]) == 0
    assert (dataset.parent / "graph.sqlite").exists()
    assert main(["graph", "graph", str(dataset), "--overwrite"]) == 0
    assert ingest(dataset, tmp_path / "other.sqlite") == 0
    assert comparable(dataset.parent / "graph.sqlite") == comparable(tmp_path / "other.sqlite")


def test_sample_is_written_and_described(tmp_path: Path, capsys: Capture) -> None:
    size = ["--chunks", "2", "3", "2", "--chunk-size", "16", "16", "16", "--offset", "-5", "7", "0"]
    assert main(["sample", str(tmp_path / "a"), *size, "--seed", "3", "--data-version", "3"]) == 0
    out = capsys.readouterr().out
    assert "wrote a sample of 12 chunks" in out
    assert str(tmp_path / "a" / "dataset.yml") in out
    info = json.loads((tmp_path / "a" / "ws" / "info").read_text())
    assert info["scales"][0]["size"] == [32, 48, 32]
    assert info["scales"][0]["voxel_offset"] == [-5, 7, 0]
    for options in ((), ("--raw",)):
        assert ingest(tmp_path / "a" / "dataset.yml", tmp_path / f"graph{len(options)}.sqlite", *options) == 0
    graphs = [read_cells(tmp_path / f"graph{n}.sqlite") for n in (0, 1)]
    assert graphs[0] == graphs[1]
    assert main(["sample", str(tmp_path / "a")]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_help_and_version_import_nothing_heavy() -> None:
    program = "import sys; from beam_ingest.cli import main; main(['--help'])"
    check = "; print(sorted({'apache_beam', 'numpy', 'scipy', 'cloudfiles'} & set(sys.modules)))"
    for argument in ("--help", "--version"):
        code = program.replace("--help", argument).replace("main([", "\ntry: main([") + (
            "\nexcept SystemExit: pass\n" + check.removeprefix("; ")
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "beam_ingest", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"beam-ingest \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.slow
def test_the_transform_in_somebody_elses_pipeline(dataset: Path, tmp_path: Path) -> None:
    import apache_beam as beam

    from beam_ingest import ConfigError, Dataset, IngestGraph, make_job, start_job, store_url

    opened = Dataset.from_file(dataset)
    job = make_job("graph", opened, store_url(opened, "graph", f"sqlite:{tmp_path / 'a.sqlite'}"))
    with pytest.raises(ConfigError, match="was not started"):
        IngestGraph(job)
    with beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner") as pipeline:
        pipeline | "Something else" >> beam.Create([1, 2])
        pipeline | IngestGraph(start_job(job))
    assert ingest(dataset, tmp_path / "b.sqlite") == 0
    assert comparable(tmp_path / "a.sqlite") == comparable(tmp_path / "b.sqlite")


def test_stages_are_named_for_people_who_watch_them(dataset: Path, tmp_path: Path) -> None:
    import apache_beam as beam

    from beam_ingest import Dataset, IngestGraph, make_job, start_job

    job = start_job(make_job("graph", Dataset.from_file(dataset), f"sqlite:{tmp_path / 'a.sqlite'}"))
    pipeline = beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    pipeline | "Ingest" >> IngestGraph(job)
    names = {t.unique_name for t in pipeline.to_runner_api().components.transforms.values()}
    for stage in ("Read", "Layer 2/Build", "Layer 2/Write", "Layer 3/Group", "Layer 4/Build", "Roots/Write"):
        assert any(name.endswith(stage) or f"/{stage}/" in name for name in names), stage
