"""The same L2 cache on Apache Flink as on this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.l2cache.conftest import _whole, cached, whole  # noqa: F401  (fixtures)
from tests.l2cache.test_l2cache import same_cells
from tests.runners.flink.conftest import Flink


@pytest.mark.slow
def test_flink_writes_the_same_bytes(flink: Flink, cli: Cli, whole: Path, cached: Path) -> None:  # noqa: F811
    outcome = cli("l2cache", "g", whole, *flink.options, "--parallelism=2")
    assert (outcome.status, outcome.errors) == (0, [])
    assert same_cells(whole, cached)
