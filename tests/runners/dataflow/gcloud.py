"""The real gcloud, sent to services on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_TIMEOUT_SECONDS = 120
_SETTINGS = ("CLOUDSDK_", "GOOGLE_", "GCLOUD_")


def require_gcloud() -> Path:
    """The program; skips the test, saying how to get it, where there is none."""
    program = shutil.which("gcloud")
    if program is None:
        reason = (
            "gcloud is not on the PATH. Get the Google Cloud CLI as "
            "https://cloud.google.com/sdk/docs/install says (in apt: google-cloud-cli)"
        )
        warnings.warn(pytest.PytestWarning(reason), stacklevel=2)  # a skip alone is easily overlooked
        pytest.skip(reason)
    return Path(program)


def gcloud_environment(
    config: Path, dataflow: str | None = None, storage: str | None = None
) -> dict[str, str]:
    """The whole environment to run gcloud in, apart from this machine's settings, accounts and projects.

    Args:
      config: a folder for what gcloud keeps; made when it is not there.
      dataflow: the URL of a DataflowEndpoint.
      storage: the URL of a StorageEmulator.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_SETTINGS) or k == "CLOUDSDK_PYTHON"}
    kept |= {
        "CLOUDSDK_CONFIG": str(config),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
    }
    if dataflow:
        kept["CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW"] = f"{dataflow}/"
    if storage:
        kept["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] = f"{storage}/storage/v1/"
    return kept


@dataclass(frozen=True)
class Gcloud:
    """gcloud in an environment of its own.

    Attributes:
      environment: as `gcloud_environment` makes it.
    """

    environment: Mapping[str, str] = field(repr=False)  # a failed test would show all of it

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, to whatever end."""
        return subprocess.run(
            ["gcloud", *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """What a command that has to succeed writes to stdout."""
        run = self(*arguments)
        assert run.returncode == 0, run.stderr
        return run.stdout
