"""The workflows of CI: sound, without keys, and nothing but make targets that exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import targets

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    content = yaml.safe_load(path.read_text())
    return [step for job in content["jobs"].values() for step in job["steps"]]


def test_all_three_are_there() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ingest", "template", "test"]


@pytest.mark.external
def test_actionlint_finds_nothing() -> None:
    program = shutil.which("actionlint")
    if program is None:
        reason = "actionlint is not on the PATH: install Go and run `make prism`"
        warnings.warn(pytest.PytestWarning(reason), stacklevel=1)
        pytest.skip(reason)
    ran = subprocess.run([program, "-no-color", *WORKFLOWS], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_they_call_make_and_hold_no_secret(path: Path) -> None:
    made = [step["run"] for step in steps(path) if step.get("run", "").startswith("make ")]
    assert made
    assert {command.split()[1] for command in made} <= targets()
    for step in steps(path):
        # What people type in reaches a shell through the environment alone.
        assert "${{ inputs." not in step.get("run", "")
    text = path.read_text()
    assert "${{ secrets" not in text
    assert "credentials_json" not in text
    permissions = yaml.safe_load(text)["permissions"]
    assert permissions["contents"] == "read"
    assert set(permissions) <= {"contents", "id-token"}
    assert ("id-token" in permissions) == ("google-github-actions/auth" in text)


def test_ingest_waits_and_hands_every_input_to_make() -> None:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "ingest.yml").read_text())
    inputs = content[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads the key `on` as true
    (step,) = [step for step in steps(WORKFLOWS[0]) if step.get("run") == "make run-dataflow"]
    assert set(step["env"]) == {name.upper() for name in inputs} | {"WAIT"}
    said = re.findall(r"\$\$?\(?(?:if \$\()?(\w+)\)", (ROOT / "Makefile").read_text())
    makefile = (ROOT / "Makefile").read_text()
    for name in step["env"]:
        assert name in said or f"$${name}" in makefile, name
    command = ["make", "--no-print-directory", "-n", "-o", "settings", "run-dataflow"]
    environment = {**os.environ, "TEST": "1", "RAW": "", "RESUME": "1", "WAIT": "1"}
    environment.pop("MAKEFLAGS", None)
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout
    for option in ("--test", "--resume", "--wait"):
        assert option in shown
    assert "--raw" not in shown


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path) -> None:
    """A tag can be moved to other code; a digest cannot. The version stands beside it for people."""
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", ["ingest", "template"])
def test_what_acts_on_google_cloud_runs_in_the_protected_environment(name: str) -> None:
    """The one whose tokens terraform/ci.tf has Google take."""
    content = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    (job,) = content["jobs"].values()
    condition = (ROOT / "terraform" / "ci.tf").read_text()
    assert f"assertion.environment == '{job['environment']}'" in condition
