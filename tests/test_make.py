"""Make targets that write and remove: only what is ours goes, and what was good is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_ingest.cli import main
from tests.conftest import Cli
from tests.sample import files

ROOT = Path(__file__).parents[1]
MARK = ".beam-ingest-sample"


def make(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in `folder` by the Makefile, with the Python that runs the tests, and without installing."""
    given = {**os.environ, **environment}
    given.pop("MAKEFLAGS", None)
    command = ["make", "--no-print-directory", f"--file={ROOT / 'Makefile'}", f"VENV={sys.prefix}"]
    command += ["-o", "install", "-o", f"{sys.prefix}/installed", *words]
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=120)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder with something dear in it, named as a sample would name it."""
    folder = tmp_path / "my folder"
    (folder / "edges").mkdir(parents=True)
    (folder / "edges" / "thesis.txt").write_text("years of work")
    return folder


def test_clean_leaves_what_is_not_ours(theirs: Path, tmp_path: Path) -> None:
    done = make(tmp_path, "clean", f"SAMPLE={theirs}")
    assert done.returncode == 0, done.stderr
    assert f"{theirs} is left as it is" in done.stdout
    assert (theirs / "edges" / "thesis.txt").exists()
    assert Path(sys.prefix).exists(), "VENV on the command line names no folder to remove"


def test_clean_removes_a_sample_and_its_graph(tmp_path: Path) -> None:
    sample = tmp_path / "my sample"
    assert main(["sample", str(sample), "--chunks", "2", "1", "1", "--chunk-size", "8", "8", "8"]) == 0
    for name in ("graph.sqlite", "graph.sqlite-wal", "report.html"):
        (sample / name).touch()
    assert main(["sample", str(sample), "--chunks", "2", "1", "1", "--overwrite"]) == 0
    done = make(tmp_path, "clean", f"SAMPLE={sample}")
    assert done.returncode == 0, done.stderr
    assert not sample.exists()


def test_run_may_begin_with_volumes(tmp_path: Path) -> None:
    said = make(tmp_path, "--dry-run", "run", "VOLUMES=1").stdout
    words = [line.split("beam-ingest ", 1)[1].split()[0] for line in said.splitlines()]
    assert words == ["sample", "prepare", "graph", "verify", "report"]


@pytest.mark.slow
def test_clean_removes_what_comes_of_volumes(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    options = ("--volumes", "--chunks", "2", "2", "2", "--chunk-size", "16", "16", "16")
    assert main(["sample", str(folder), *options]) == 0
    done = make(tmp_path, "run", "VOLUMES=1")  # the sample is there
    assert done.returncode == 0, done.stderr
    assert "matches its inputs" in done.stdout
    again = make(tmp_path, "run", "VOLUMES=1")  # and so is what came of it
    assert again.returncode == 0, again.stderr
    done = make(tmp_path, "clean")
    assert done.returncode == 0, done.stderr
    assert not folder.exists()


def test_clean_of_a_sample_keeps_and_names_the_rest(tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    sample.mkdir()
    for name in (MARK, "dataset.yml", "notes.txt"):
        (sample / name).touch()
    done = make(tmp_path, "clean")
    assert "kept in sample, as beam-ingest sample did not write it: notes.txt" in done.stdout
    assert [path.name for path in sample.iterdir()] == ["notes.txt"]


def test_run_replaces_nothing_but_a_sample(cli: Cli, theirs: Path) -> None:
    """What `make run` calls; the folder has no mark."""
    message = cli.refused("sample", theirs, "--overwrite")
    assert message == (
        f"{theirs}: expected a folder that beam-ingest sample made, found no {MARK} in it; "
        "it is left as it is: name another one for the sample"
    )
    assert (theirs / "edges" / "thesis.txt").exists()
    done = make(theirs.parent, "--dry-run", "run", f"SAMPLE={theirs}")
    assert "rm " not in done.stdout


def test_a_sample_replaces_a_sample_even_half_written(cli: Cli, tmp_path: Path) -> None:
    sample, options = tmp_path / "sample", ("--chunks", "2", "1", "1", "--chunk-size", "8", "8", "8")
    assert cli("sample", sample, *options).status == 0
    whole = files.digests(sample)
    assert "add --overwrite" in cli.refused("sample", sample, *options)
    (sample / "dataset.yml").unlink()
    (sample / ".scratch").mkdir()
    (sample / "edges" / "edges_9_9_9.proto.zst").touch()
    (sample / "graph.sqlite").write_text("a graph")
    assert cli("sample", sample, *options).status == 0, "half-written: it is replaced without being asked"
    assert (sample / "graph.sqlite").read_text() == "a graph"
    (sample / "graph.sqlite").unlink()
    assert files.digests(sample) == whole
    (sample / "notes.txt").touch()
    assert "found notes.txt in it" in cli.refused("sample", sample, *options, "--overwrite")
    assert files.digests(sample).items() >= whole.items()


@pytest.mark.parametrize("given", ["", "no JSON", "{}"])
def test_settings_that_fail_leave_the_good_ones(tmp_path: Path, given: str) -> None:
    good = json.dumps({"project": {"value": "p"}})
    settings = tmp_path / "build" / "settings.json"
    assert make(tmp_path, "settings", DATAFLOW_SETTINGS=good).returncode == 0
    assert settings.read_text() == good
    # Without the variable, Terraform is asked; in this folder it has no state.
    done = make(tmp_path, "settings", DATAFLOW_SETTINGS=given)
    assert done.returncode != 0
    assert "build/settings.json is left as it was" in done.stderr
    assert settings.read_text() == good
    assert [path.name for path in settings.parent.iterdir()] == ["settings.json"]


def test_a_tree_with_changes_has_one_tag(tmp_path: Path) -> None:
    """Image and template name the same; a clock that moves on at each look shows how often it is asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    date = programs / "date"
    date.write_text("#!/bin/sh\necho look >> looks; wc -l < looks | tr -d ' '\n")
    git = programs / "git"
    git.write_text('#!/bin/sh\necho "abc${3#--dirty=}"\n')
    for program in (date, git):
        program.chmod(0o755)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "settings.json").write_text(
        json.dumps({name: {"value": name} for name in ("image", "project", "region", "template_location")})
    )
    words = ("--dry-run", "-o", "settings", "template", "BUILDER=docker")
    done = make(tmp_path, *words, PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    tags = {word.rpartition(":")[2].rstrip(";") for word in done.stdout.split() if "image:abc" in word}
    assert tags == {"abc-1"}, done
