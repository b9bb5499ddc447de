"""What an installation is told about the package."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_python_versions_are_those_that_ci_tests() -> None:
    """Each version that pyproject.toml names runs the tests, and no other is let in."""
    text = (ROOT / "pyproject.toml").read_text()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == named
    last = int(named[-1].removeprefix("3."))
    assert f'requires-python = ">={named[0]},<3.{last + 1}"' in text


def test_the_image_pins_everything_that_a_build_needs() -> None:
    pinned = (ROOT / "templates" / "constraints.txt").read_text()
    text = (ROOT / "pyproject.toml").read_text()
    needed = text[text.index("dependencies = [") : text.index("docs = [")]
    names = re.findall(r'^    "([\w-]+)', needed, re.MULTILINE)
    assert {"numpy", "apache-beam"} <= set(names)
    for name in names:
        assert re.search(rf"(?i)^{name}==[\d.]+$", pinned, re.MULTILINE), name


def test_versions_of_the_image_go_together() -> None:
    """As pip sees it when the image is built: no package asks for another version than the pinned one."""
    lines = (ROOT / "templates" / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    image = {"python_version": "3.11", "python_full_version": "3.11.0"}
    images = [image | {"extra": ""}, image | {"extra": "gcp"}]
    installed = {canonicalize_name(found.name): found.requires or () for found in distributions()}
    asked = 0
    for name in sorted(set(pinned) & set(installed)):
        for needed in map(Requirement, installed[name]):
            other = pinned.get(canonicalize_name(needed.name))
            if other and (needed.marker is None or any(map(needed.marker.evaluate, images))):
                assert needed.specifier.contains(other, prereleases=True), f"{name}: {needed}, not {other}"
                asked += 1
    assert asked > 100
