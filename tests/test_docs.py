"""What README and docs tell people to type, typed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from beam_ingest import Dataset, open_store, store_url
from beam_ingest.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page: Path) -> None:
    named = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets()
    if page.name == "README.md":
        assert {"run", "test", "install"} <= set(named)


def test_every_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert explained == set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]


def test_readme_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for block in blocks(ROOT / "README.md", "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[0] == "beam-ingest":
                small = ["--chunk-size", "16", "16", "16"] if words[1] == "sample" else []
                assert main([*words[1:], *small]) == 0, line
            elif words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], check=True)
            else:
                assert words[0] == "make", line
                continue
            ran += 1
    assert ran == 9
    (program,) = blocks(ROOT / "README.md", "python")
    program = program.replace("beam.Pipeline()", "beam.Pipeline('FnApiRunner')")  # stay off the network
    program = program.replace("'FnApiRunner'", "'apache_beam.runners.portability.fn_api_runner.FnApiRunner'")
    subprocess.run([sys.executable, "-c", program], check=True)
    whole, bigtable = blocks(ROOT / "README.md", "yaml")
    assert Dataset.from_text(whole, "dataset.yml").backend_config == {"PATH": "./graph.sqlite"}
    other = whole[: whole.index("backend_client:")] + bigtable
    assert open_store(store_url(Dataset.from_text(other, "dataset.yml"), "my_graph")).place.startswith(
        "bigtable:my-project/my-instance/my_graph"
    )


def test_example_datasets_are_sound() -> None:
    for file in (ROOT / "datasets").glob("*.yml"):
        dataset = Dataset.from_file(file)
        assert open_store(store_url(dataset, "graph")).place.startswith(
            "bigtable:my-project/my-instance/graph"
        )
        assert dataset.edges == "gs://my-bucket/edges"


def test_the_design_names_what_there_is() -> None:
    text = (ROOT / "docs" / "design.md").read_text()
    for name in re.findall(r"`([\w/]+\.py|\w+/)`", text):
        assert (ROOT / "beam_ingest" / name).exists(), name
    top = {p.name + ("/" if p.is_dir() else "") for p in (ROOT / "beam_ingest").iterdir()}
    unnamed = {n for n in top if not n.startswith("_") and n not in ("py.typed", "errors.py", "version.py")}
    assert not [name for name in unnamed if f"`{name}`" not in text]
