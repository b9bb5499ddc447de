"""What README and docs tell people to type, typed."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import beam_ingest
from beam_ingest import Dataset, open_store, store_url
from beam_ingest.cli import main
from tests.examples import slow
from tests.graphs import read_cells
from tests.oracle.cells import decompress
from tests.oracle.datasets import Chunk, Grid, OracleDataset
from tests.oracle.graph import build

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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    """As those of the code are; a table's row and a link have to be in one line."""
    for line in page.read_text().splitlines():
        assert len(line) <= 110 or line.startswith("|") or "](" in line, line


def test_every_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert explained == set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]


def steps(page: Path) -> Iterator[tuple[str, str]]:
    """The blocks that people type, in order: language and text."""
    yield from re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def lines(block: str) -> list[list[str]]:
    """The commands of a shell block, in words."""
    found = (shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines())
    return [words for words in found if words]


SMALL = ["--chunks", "3", "2", "2"]
"""In place of 64 chunks; positions of the README lie in it."""
TYPED = {
    "README.md": ["sample", "check", "graph", "status", "verify", "", ""],
    "commands.md": ["sample", "check", "graph", "graph", "status", "verify", "failures", "chunk", "python"],
    "inputs.md": ["", "graph", "verify"],
    "plan.md": ["sample", "plan", "plan", "plan", "plan", "graph", "costs"],
    "view.md": ["sample", "graph", "view", "report", "view", ""],
    "meshes.md": ["sample", "graph", "mesh", "status", "verify", "view"],
    "l2cache.md": ["sample", "graph", "l2cache", "status", ""],
    "volumes.md": ["sample", "prepare", "graph", "verify"],
    "troubleshooting.md": [
        *("sample", "graph", "check", "graph", "failures", "chunk", "graph", "status", "graph", "verify"),
    ],
}
"""What the pages have people type: commands of beam-ingest, programs, and blocks of Python, named ""."""


LONG = ("l2cache.md", "meshes.md", "plan.md", "view.md", "volumes.md")
"""Pages that only the slow tests type: they start browsers, or many runs."""


@pytest.mark.parametrize("name", [slow(name) if name in LONG else name for name in TYPED])
def test_pages_run_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (page,) = [page for page in PAGES if page.name == name]
    ran = []
    for language, block in steps(page):
        if language == "python":
            run_program(block)
            ran.append("")
            continue
        for words in lines(block):
            if words[:2] == ["beam-ingest", "view"]:
                view(words[2:])
                ran.append("view")
            elif words[0] == "beam-ingest":
                assert main([*words[1:], *(SMALL if words[1] == "sample" else [])]) == 0, words
                ran.append(words[1])
            elif words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], check=True)
                ran.append("python")
            else:
                assert words[0] in ("make", "source"), words
    assert ran == TYPED[name]
    assert not [left for left in tmp_path.iterdir() if not is_ignored(left.name)]
    if name == "inputs.md":
        assert decompress(read_cells(Path("my_tiny/graph.sqlite"))) == build(TINY, 3)


def view(words: list[str]) -> None:
    """Run the one command that does not end by itself until it says where it is, and end it."""
    command = [sys.executable, "-m", "beam_ingest", "view", *words, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kind = "graphene://" if "--server-only" in words else ""
        assert process.stdout.readline().startswith(f"{kind}http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def is_ignored(folder: str) -> bool:
    """Whether git leaves out a folder at the top of the checkout."""
    words = ["git", "check-ignore", "--no-index", "--quiet", f"{folder}/"]
    return subprocess.run(words, cwd=ROOT).returncode == 0


def run_program(text: str) -> None:
    """Run a program of a page here, and off the network: Beam's usual runner downloads another one."""
    off = "beam.Pipeline('apache_beam.runners.portability.fn_api_runner.FnApiRunner')"
    exec(compile(text.replace("beam.Pipeline()", off), "page", "exec"), {"__name__": "__main__"})


_FIRST, _SECOND = (0x0100000000000000, 0x0100400000000000)
"""Ids of the two chunks of docs/inputs.md: layer 1 in 8 bits, then x in 10."""
TINY = OracleDataset(
    Grid((2, 1, 1)),
    {
        (0, 0, 0): Chunk(
            in_chunk=((_FIRST + 1, _FIRST + 2), (_FIRST + 3, _FIRST + 3)),
            cross=((_FIRST + 2, _SECOND + 1),),
            components=((_FIRST + 1, _FIRST + 2, _SECOND + 1),),
        ),
        (1, 0, 0): Chunk(
            cross=((_SECOND + 1, _FIRST + 2),), components=((_FIRST + 1, _FIRST + 2, _SECOND + 1),)
        ),
    },
)


def test_pages_do_not_write_to_the_same_folder() -> None:
    """Someone who follows one page after the other meets no folder and no graph of an earlier one."""
    samples = [
        words[2]
        for page in PAGES
        for language, block in steps(page)
        if language == "sh"
        for words in lines(block)
        if words[:2] == ["beam-ingest", "sample"]
    ]
    assert len(samples) == len(set(samples)) > 3
    for sample in samples:
        assert (
            subprocess.run(["git", "check-ignore", "--no-index", "-q", f"{sample}/"], cwd=ROOT).returncode
            == 0
        )


def test_dataset_files_of_the_readme() -> None:
    whole, bigtable = blocks(ROOT / "README.md", "yaml")
    assert Dataset.from_text(whole, "dataset.yml").backend_config == {"PATH": "./graph.sqlite"}
    other = whole[: whole.index("backend_client:")] + bigtable
    assert open_store(store_url(Dataset.from_text(other, "dataset.yml"), "my_graph")).place.startswith(
        "bigtable:my-project/my-instance/my_graph"
    )


def test_the_api_page_has_every_public_name_once() -> None:
    listed = re.findall(r"^::: beam_ingest\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == beam_ingest.__all__


@pytest.mark.parametrize("name", sorted({f"beam_ingest.{module}" for module in beam_ingest._MODULES}))
def test_examples_in_docstrings_of_public_names(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_page_is_in_the_navigation() -> None:
    """`make docs` copies these; mkdocs itself fails on pages that the navigation leaves out."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert all(f"docs/{page.name}\n" in navigation for page in PAGES if page.name != "README.md")


def test_messages_of_the_page_on_problems_are_the_programs() -> None:
    """Its first columns, whose … stand for what a message fills in."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    messages = re.findall(r"^\| `(.*?)`", page, re.MULTILINE)
    said = "\n".join(texts_in(path) for path in (ROOT / "beam_ingest").rglob("*.py"))
    # Errors of input files put "expected" and "found" before texts that stand elsewhere.
    parts = {part.strip(" :;?,") for text in messages for part in re.split("…|expected |found ", text)}
    assert len(messages) > 15
    assert not [part for part in parts if part not in said]


def texts_in(path: Path) -> str:
    """The texts in a module, those of several literals joined."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return "\n".join(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


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
