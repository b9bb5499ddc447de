"""Fixtures of the tests against the Bigtable emulator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.emulator import Emulator


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One emulator for all tests of a process, of xdist or not: tests use tables of their own."""
    with Emulator() as running:
        yield running
