"""docs/dataflow.md: its commands, held against make, the command line, gcloud and terraform."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from beam_ingest.cli.arguments import parse
from beam_ingest.dataset import Dataset
from beam_ingest.runners import dataflow
from beam_ingest.stages.machines import Workers
from tests.runners.dataflow.gcloud import gcloud_environment, require_gcloud
from tests.test_docs import blocks, lines, targets

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "dataflow.md"
COMMANDS = [words for block in blocks(PAGE, "sh") for words in lines(block)]


def of(program: str) -> list[list[str]]:
    found = [command for command in COMMANDS if command[0] == program]
    assert found
    return found


def test_every_command_is_held_against_something() -> None:
    assert {command[0] for command in COMMANDS} == {"make", "beam-ingest", "gcloud", "terraform", "gh"}


@pytest.mark.parametrize("command", of("make"), ids=" ".join)
def test_make_takes_it(command: list[str]) -> None:
    assert command[1] in targets()
    environment = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    words = ["make", "--no-print-directory", "-n", "-o", "settings", "-o", "image", *command[1:]]
    ran = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for word in command[2:]:
        name, _, value = word.partition("=")
        assert name in ("DATASET", "GRAPH_ID", "TEST", "RESUME", "TAG")
        if name == "DATASET":
            Dataset.from_file(ROOT / value)
        if name in ("TEST", "RESUME"):
            assert f"--{name.lower()}" in ran.stdout


@pytest.mark.parametrize("command", of("beam-ingest"), ids=lambda command: command[1])
def test_the_command_line_takes_it(command: list[str]) -> None:
    _, arguments = parse(command[1:])
    if command[1] == "graph":
        dataflow._check_given(arguments.beam)


def test_options_named_in_passing_exist() -> None:
    named = set(re.findall(r"`(?:ARGS=)?\"?(--[a-z_-]+)", PAGE.read_text()))
    assert named
    for option in named:
        switch = option in ("--overwrite", "--any-region")
        value = [] if switch else ["COST_OPTIMIZED" if "flexrs" in option else "2"]
        parse(["launch", "g", "d.yml", option, *value])


@pytest.mark.sampled(1)
@pytest.mark.external
@pytest.mark.parametrize("command", of("gcloud"), ids=" ".join)
def test_gcloud_knows_it(command: list[str], tmp_path: Path) -> None:
    require_gcloud()
    ran = subprocess.run(
        [*command, "--help"], env=gcloud_environment(tmp_path), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.external
@pytest.mark.parametrize("command", of("terraform"), ids=" ".join)
def test_terraform_knows_it(command: list[str]) -> None:
    if shutil.which("terraform") is None:
        reason = "terraform is not on the PATH: https://developer.hashicorp.com/terraform/install"
        warnings.warn(pytest.PytestWarning(reason), stacklevel=1)
        pytest.skip(reason)
    ran = subprocess.run([*command, "-help"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_table_says_what_the_code_does() -> None:
    text = PAGE.read_text()
    assert f"| machine type | `{dataflow.MACHINE_TYPE}` |" in text
    assert f"| threads a process | {dataflow.WORKER_THREADS} |" in text
    usual = Workers.of(dataflow.MACHINE_TYPE, dataflow.WORKER_THREADS)
    assert f"more than {usual.nbytes >> 30} GB a worker" in text
    assert "`beam-ingest-`, the graph id, and a digest of project, instance and table" in text
    assert f"`{dataflow.TABLE_DIGEST}`" in text


def test_the_workflows_have_the_names_of_the_page() -> None:
    for name in re.findall(r"\*(\w+)\* (?:runs|builds)", PAGE.read_text()):
        assert (ROOT / ".github" / "workflows" / f"{name}.yml").exists()
