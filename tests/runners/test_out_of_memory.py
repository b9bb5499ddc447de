"""Memory that is really not to be had, in the process of the run or in one of its workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from tests.conftest import Cli, graph_cells
from tests.examples import slow
from tests.oracle.cells import Cells

LIMITED = """
import re, resource, sys
import beam_ingest.cli.run_stage
from beam_ingest.cli import main
taken = int(re.search(r"VmSize:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (taken + (1200 << 20),) * 2)
sys.exit(main())
"""
"""The program, with 1.2 GB more than it takes when everything is imported; its workers may take as much."""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, slow(2)])
def test_it_is_one_line(cli: Cli, dataset: Path, small_cells: Cells, tmp_path: Path, workers: int) -> None:
    """An edges file of the largest size that is taken, which is there twice while it is put together."""
    large = dataset.parent / "edges" / "edges_0_0_0.proto.zst"
    content = large.read_bytes()
    packer = zstandard.ZstdCompressor().compressobj()
    with large.open("wb") as file:
        for _ in range(63):
            file.write(packer.compress(bytes(1 << 24)))
        file.write(packer.flush())
    words = ["graph", "g", str(dataset), f"--direct_num_workers={workers}"]
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    message, log = line.removesuffix(")").split(" (log: ")
    assert message == (
        "beam-ingest: out of memory; use fewer workers, or a machine with more memory; "
        "when that is fixed, --resume finishes graph g"
    )
    assert "MemoryError" in Path(log).read_text()
    large.write_bytes(content)
    assert cli("graph", "g", dataset, "--resume").status == 0
    assert graph_cells(dataset) == small_cells
