"""``REQUIRE_ALL=1``: a test that is skipped fails, so that a green run has run everything it chose.

What cannot be had somewhere is left out by name, with ``-m 'not shared_data'`` and the like.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

NAME = "REQUIRE_ALL"


def _strict(report: Any) -> Any:
    if os.environ.get(NAME) == "1" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{NAME}=1 allows no skip, but this test was skipped: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure."""
    return _strict((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a module into a failure."""
    return _strict((yield))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run."""
    chosen = config.option.markexpr or "not slow"
    terminalreporter.write_line(f"run were the tests that are '{chosen}', and no others")
