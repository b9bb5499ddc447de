"""What graphs came to that were built by the program itself, beside plans of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Cli

NAMES = ("nodes", "edges", "rows", "cells", "nbytes")


class Built(NamedTuple):
    """What ``status --json`` says of a graph: numbers by layer."""

    layers: list[dict[str, int]]

    def total(self, name: str) -> int:
        """A number of all layers together."""
        return sum(layer[name] for layer in self.layers)


def build(cli: Cli, dataset: Path, *options: str) -> Built:
    """Build a graph of a dataset, and say what it came to."""
    assert cli("graph", "g", dataset, *options).status == 0
    status = cli("status", "g", dataset, "--json").json
    return Built([layer["counts"] for layer in status["layers"]])


def plan(cli: Cli, dataset: Path, *options: str) -> Any:
    """The JSON of a plan."""
    outcome = cli("plan", dataset, "--json", *options)
    assert outcome.status == 0, outcome
    return json.loads(outcome.out)


def off(found: dict[str, float], true: float) -> float:
    """By what share of the truth an estimate is off."""
    return found["expected"] / true - 1


def holds(found: dict[str, float], true: float) -> bool:
    """Whether the range has the truth."""
    return found["low"] <= true <= found["high"]


def assert_close(found: Any, built: Built) -> list[bool]:
    """An estimate within the bounds that are promised; whether each range has the truth."""
    of, top = found["estimates"], built.layers[-1]["edges"]
    pairs = [(of["supervoxels"], built.layers[0]["supervoxels"]), (of["edges"], built.layers[0]["edges"])]
    pairs += [(of["rows"], built.total("rows")), (of["cells"], built.total("cells"))]
    pairs.append((of["table_bytes"], built.total("nbytes")))
    for estimate, true in pairs:
        assert off(estimate, true) == pytest.approx(0, abs=0.1)
    assert off(of["top_edges"], top) == pytest.approx(0, abs=0.25)
    return [holds(estimate, true) for estimate, true in [*pairs, (of["top_edges"], top)]]
