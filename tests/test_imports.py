"""What is imported, and what is not before it is needed: imports are most of what a short command takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples import slow

HEAVY = ("apache_beam", "cloudfiles", "cloudvolume", "google", "grpc", "numpy", "rich", "zstandard")
VOLUMES = ("cloudfiles", "cloudvolume")
_WATCH = """
import os, sys

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in os.environ["WATCHED"].split():
            with open(os.environ["SEEN"], "a") as file:
                file.write(name + "\\n")

sys.meta_path.insert(0, Watch)
"""
"""Every Python process that finds this on its path tells what it imports, worker processes too."""


def imported(folder: Path, watched: tuple[str, ...], *arguments: str | Path) -> set[str]:
    """Which of the `watched` packages ``beam-ingest`` and its worker processes import."""
    (folder / "sitecustomize.py").write_text(_WATCH)
    seen = folder / "seen"
    seen.touch()
    environment = {"PYTHONPATH": str(folder), "WATCHED": " ".join(watched), "SEEN": str(seen)}
    command = [sys.executable, "-m", "beam_ingest", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(seen.read_text().split())


@pytest.mark.slow
def test_the_watch_sees_what_is_imported(sample: Path, tmp_path: Path) -> None:
    found = imported(tmp_path, HEAVY, "check", sample, "--sample=1")
    assert {"apache_beam", "cloudvolume", "numpy"} <= found


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["status", "--help"]])
def test_help_imports_nothing(tmp_path: Path, arguments: list[str]) -> None:
    assert imported(tmp_path, HEAVY, *arguments) == set()


def test_status_and_failures_import_what_reads_a_table(sample: Path, tmp_path: Path) -> None:
    assert imported(tmp_path, VOLUMES, "graph", "g", sample) == set()
    for command in ("status", "failures"):
        assert imported(tmp_path, HEAVY, command, "g", sample) <= {"numpy", "zstandard"}


@pytest.mark.slow
@pytest.mark.parametrize("raw", [slow([]), ["--raw"]])
def test_workers_import_nothing_for_volumes(sample: Path, tmp_path: Path, raw: list[str]) -> None:
    watched = (*VOLUMES, "apache_beam.runners.worker.sdk_worker_main")
    found = imported(tmp_path, watched, "graph", "g", sample, "--direct_num_workers=2", *raw)
    assert found == {"apache_beam.runners.worker.sdk_worker_main"}, "what worker processes import is not seen"


def test_what_reads_status_and_cancels_jobs_needs_no_beam() -> None:
    modules = ("status", "failures", "cancel", "place", "progress_lines")
    names = [*(f"beam_ingest.cli.{name}" for name in modules), "beam_ingest.runners.flex"]
    code = f"import sys; sys.modules['apache_beam'] = None; import {', '.join(names)}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
