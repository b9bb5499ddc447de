"""How much is tried by default, and how much more with HYPOTHESIS_PROFILE=nightly and in `make test-slow`."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
_TIMES_AS_MANY = 20


def register() -> None:
    """Load the profile that the environment names, for tests that do not say how many they take."""
    # How long an example takes says nothing here: machines are shared.
    settings.register_profile("default", deadline=None)
    settings.register_profile("nightly", deadline=None, max_examples=100 * _TIMES_AS_MANY)
    settings.load_profile("nightly" if NIGHTLY else "default")


def examples(number: int, **others: Any) -> settings:
    """Settings of a test that takes so many examples by default."""
    return settings(max_examples=number * (_TIMES_AS_MANY if NIGHTLY else 1), deadline=None, **others)


def slow(*values: Any) -> Any:
    """Parameters of a test that only `make test-slow` tries: others show the same by default."""
    return pytest.param(*values, marks=pytest.mark.slow)
