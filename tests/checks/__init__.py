"""Tests of what is looked at before a graph is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import Cli

ALL = "--all"


def checked(cli: Cli, dataset: Path, *options: str, status: int = 1) -> dict[str, Any]:
    """Run a check for programs; returns what it printed."""
    outcome = cli("check", dataset, "--json", *options)
    assert outcome.status == status, outcome
    assert outcome.errors == []
    return outcome.json


def problems(content: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """File and chunk of every example, by kind; all of a kind are shown."""
    for kind, tally in content["problems"].items():
        assert tally["count"] == len(tally["examples"]), (kind, tally)
    return {
        kind: [(case["file"], case["chunk"]) for case in tally["examples"]]
        for kind, tally in content["problems"].items()
    }


def lines(content: dict[str, Any], kind: str) -> list[str]:
    """The lines of the examples of one kind."""
    return [case["line"] for case in content["problems"][kind]["examples"]]
