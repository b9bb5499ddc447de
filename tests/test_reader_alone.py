"""An installation without the extra `beam`: reading works, and what needs Beam says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Cli, supervoxel

_WITHOUT = """
import sys

class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "apache_beam" or name.startswith("google.cloud.dataflow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without)
"""
_READ = """
import sys
from beam_ingest import ChunkGrid, open_graph, open_l2cache, read_edges, write_sample

with open_graph(sys.argv[1], "g") as graph:
    supervoxel = int(sys.argv[2])
    (root,) = graph.roots([supervoxel])
    assert supervoxel in graph.leaves([root])[0]
    print(root)
assert not {"apache_beam", "edt"} & set(sys.modules)
"""


@pytest.fixture
def without_beam(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that has no Beam."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_WITHOUT)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def python(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_graphs_are_read_without_beam(cli: Cli, dataset: Path, without_beam: dict[str, str]) -> None:
    assert cli("graph", "g", dataset).status == 0
    leaf = supervoxel((0, 0, 0), 1)
    ran = python(without_beam, "-c", _READ, dataset, leaf)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >> 57  # an id with a layer
    shown = python(without_beam, "-m", "beam_ingest", "status", "g", dataset)
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("verb", ["graph", "verify", "launch"])
def test_what_needs_beam_says_so(dataset: Path, without_beam: dict[str, str], verb: str) -> None:
    ran = python(without_beam, "-m", "beam_ingest", verb, "g", dataset)
    assert (ran.returncode, ran.stdout) == (2, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("beam-ingest: this command needs ")
    assert line.endswith(": pip install 'beam-ingest[beam]'")
