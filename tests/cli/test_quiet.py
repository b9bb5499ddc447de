"""Who prints to stdout: commands alone, and library users hear what third-party modules print."""

from __future__ import annotations

import subprocess
import sys

LOUD = """
import sys
from beam_ingest.cli.quiet import quiet_modules
if {early}:
    import cloudfiles.secrets
with quiet_modules():
    import cloudfiles.compression, cloudfiles.secrets
    cloudfiles.secrets.print("heard in a command")
    cloudfiles.compression.print("heard in a command")
for module in (cloudfiles.secrets, cloudfiles.compression):
    assert "print" not in vars(module)
"""


def _said(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_modules_are_quiet_within_a_command_alone() -> None:
    for early in (True, False):
        assert _said(LOUD.format(early=early)) == ""


def test_library_users_hear_them() -> None:
    """A folder in Cloud Storage is opened as a library user does, which imports what prints."""
    code = """
from beam_ingest import files
files._cloud_files("mem://x")
import cloudfiles.secrets
assert "print" not in vars(cloudfiles.secrets)
print("heard")
"""
    assert _said(code) == "heard\n"
