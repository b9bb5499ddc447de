"""docs/json.md: real reports have the keys that it lists, of its types, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import Cli

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "array or null": (list, type(None)),
    "object or null": (dict, type(None)),
    "integer or null": (int, type(None)),
}
OPEN = {
    "options",
    "usage",
    "plan",
    "runs",
    "jobs",
    "dollars",
    "compared",
    "layers[].counts",
    "counts",
    "notes",
    "failures",
    "sources",
}
"""Values whose own keys are not listed."""
OPTIONAL = {"bounds_nm"}
"""Keys of ``verify --meshes`` alone."""
ESTIMATE = {"low", "expected", "high"}
"""Keys that are explained once, of many values."""


def schema(command: str) -> dict[str, str]:
    section = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{command}\n")]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, re.MULTILINE))


def paths(value: Any, here: str = "") -> list[tuple[str, Any]]:
    """Every key in a report, as the page writes it, with its value."""
    found = [(here, value)] if here else []
    if here in OPEN or (isinstance(value, dict) and value.keys() == ESTIMATE):
        return found
    if isinstance(value, dict):
        named = here in ("problems", "differences", "estimates")
        for key, inner in value.items():
            found += paths(inner, f"{here}.*" if named else f"{here}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                found += paths(inner, f"{here}[]")
    return found


def validate(command: str, content: Any) -> set[str]:
    listed, seen = schema(command), set()
    assert listed
    for path, value in paths(content):
        if path.endswith(("[]", ".*")):
            continue
        assert path in listed, f"{command}: {path} is not documented"
        assert isinstance(value, TYPES[listed[path].strip()]), path
        seen.add(path)
    return seen


def test_reports_have_the_documented_keys(cli: Cli, dataset: Path) -> None:
    assert cli("graph", "g", dataset).status == 0
    planned = cli("plan", dataset, "--json").json
    assert validate("plan", planned) == set(schema("plan"))
    assert validate("costs", cli("costs", "g", dataset, "--json").json) == set(schema("costs"))
    table = dataset.parent / "edges" / "edges_0_0_0.proto.zst"
    content = table.read_bytes()
    table.write_bytes(b"broken")
    for command in (["check", dataset, "--all"], ["verify", "g", dataset]):
        outcome = cli(*command, "--json")
        assert outcome.status == 1
        assert validate(str(command[0]), outcome.json) == set(schema(str(command[0]))) - OPTIONAL
    assert cli("graph", "g", dataset, "--overwrite").status == 1
    status = cli("status", "g", dataset, "--json").json
    assert validate("status", status) == set(schema("status"))
    (line,) = cli("failures", "g", dataset, "--json").out.splitlines()
    assert validate("failures", json.loads(line)) == set(schema("failures"))
    assert status["failures"] == [json.loads(line)]
    table.write_bytes(content)
