"""``REQUIRE_ALL=1``, as CI sets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TESTS = {
    "test_one.py": "import pytest\ndef test_a(): pytest.skip('no engine here')\ndef test_b(): pass\n",
    "test_two.py": "import pytest\npytest.importorskip('no_such_module')\n",
    "test_three.py": "import pytest\n@pytest.mark.xfail\ndef test_c(): assert False\n",
}
CONFTEST = "from tests.require_all import *\n"


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("value", "status"), [("1", 1), ("", 0)])
def test_skips_fail_when_everything_is_required(tmp_path: Path, value: str, status: int) -> None:
    for name, text in {**TESTS, "conftest.py": CONFTEST}.items():
        (tmp_path / name).write_text(text)
    options = [
        "-q",
        "-rfEs",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        "--rootdir",
        tmp_path,
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "REQUIRE_ALL": value, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    strict = "REQUIRE_ALL=1 allows no skip, but this test was skipped: "
    if status:
        assert ran.returncode != 0
        assert f"{strict}Skipped: no engine here" in ran.stdout
        assert f"{strict}Skipped: could not import 'no_such_module'" in ran.stdout
        assert "skipped" not in ran.stdout.splitlines()[-1]
    else:
        assert ran.returncode == 0, ran.stdout
        assert "2 skipped" in ran.stdout


def test_ci_requires_everything_and_names_what_it_leaves_out() -> None:
    assert "export REQUIRE_ALL=1" in (ROOT / ".ci" / "run").read_text()
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"]
    (step,) = [step for step in job["steps"] if step.get("run", "").startswith("make test")]
    assert step["env"] == {"REQUIRE_ALL": "${{ matrix.python != '3.10' && '1' || '' }}"}
    assert step["run"] == "make test MARKERS='not slow and not shared_data and not root'"
