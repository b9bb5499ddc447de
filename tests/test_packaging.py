"""What an installation is told about the package."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

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
