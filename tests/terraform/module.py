"""Terraform on a copy of the module: nothing of the user's is read, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "terraform"
MIRROR = Path(os.environ.get("TERRAFORM_MIRROR", ROOT.parent / "shared" / "terraform-mirror"))
GET = "https://developer.hashicorp.com/terraform/install has it"


def missing() -> str | None:
    """Why the tests cannot run, and what to do about it; None if they can."""
    if shutil.which("terraform") is None:
        return f"terraform is not installed; {GET}"
    version = terraform_version()["terraform_version"]
    oldest = re.findall(r'required_version = ">= ([\d.]+)', sources()["versions.tf"])[0]
    if [int(part) for part in version.split(".")[:2]] < [int(part) for part in oldest.split(".")]:
        return f"terraform {version} is too old, {oldest} or newer is needed; {GET}"
    return None


def terraform_version() -> dict[str, Any]:
    version: dict[str, Any] = json.loads(_run(ROOT, "version", "-json").stdout)
    return version


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = ("TF_", "GOOGLE_", "CLOUDSDK_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    environment["GOOGLE_OAUTH_ACCESS_TOKEN"] = "none"  # no credentials are ever used
    environment["CHECKPOINT_DISABLE"] = "1"  # nor are newer versions asked for
    return subprocess.run(
        ["terraform", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


class Module:
    """A copy of terraform/ with the provider beside it, or a configuration that calls it.

    Args:
      folder: where the copy goes.
      caller: a configuration that goes into `folder`; the copy is then in terraform/ below it.

    Raises:
      ConnectionError: when the provider is neither in the mirror nor can be downloaded.
    """

    def __init__(self, folder: Path, caller: str | None = None) -> None:
        self.folder = folder
        shutil.copytree(
            SOURCE,
            folder if caller is None else folder / "terraform",
            ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*", "*.md"),
        )
        if caller is not None:
            (folder / "main.tf").write_text(caller)
        self.init()

    def init(self) -> None:
        """Run terraform init, with the provider of the mirror if it has one for this platform."""
        platform = terraform_version()["platform"]
        mirrored = any(MIRROR.glob(f"registry.terraform.io/hashicorp/google/*{platform}*"))
        outcome = self.run(
            "init", "-no-color", "-backend=false", *([f"-plugin-dir={MIRROR.resolve()}"] if mirrored else [])
        )
        if "Failed to query available provider packages" in outcome.stderr and not mirrored:
            raise ConnectionError(
                "Google's Terraform provider cannot be downloaded; connect to the internet, or set "
                "TERRAFORM_MIRROR to a folder that `terraform providers mirror` filled"
            )
        assert outcome.returncode == 0, outcome.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run terraform in the copy."""
        return _run(self.folder, *arguments)

    def test(self, *arguments: str) -> list[dict[str, Any]]:
        """Run `terraform test`; gives its messages, with the state or plan of every run."""
        outcome = self.run("test", "-json", "-verbose", *arguments)
        assert outcome.stdout, outcome.stderr
        messages = [json.loads(line) for line in outcome.stdout.splitlines()]
        for message in messages:
            message.get("test_state", {}).pop("provider_schemas", None)  # the provider's, 7 MB each time
        return messages

    def schemas(self) -> dict[str, Any]:
        """What the provider says of each kind of resource."""
        (provider,) = json.loads(self.run("providers", "schema", "-json").stdout)["provider_schemas"].values()
        kinds: dict[str, Any] = provider["resource_schemas"]
        return kinds

    def test_others(self, name: str, contents: list[str], *arguments: str) -> list[dict[str, Any]]:
        """Run tests that are not the module's own, each in a file of its own."""
        folder = self.folder / name
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number}.tftest.hcl").write_text(content)
        return self.test(f"-test-directory={name}", *arguments)


def sources() -> dict[str, str]:
    """The module's own files by name."""
    return {path.name: path.read_text() for path in sorted(SOURCE.glob("*.tf"))}


def blocks(kind: str) -> Iterator[tuple[str, str, str]]:
    """Every top-level block of a kind in formatted files: its file, its last label, its content."""
    for file, text in sources().items():
        for block in re.finditer(rf'^{kind} (?:"[\w-]+" )?"([\w-]+)" {{\n(.*?)^}}', text, re.M | re.S):
            yield file, block[1], block[2]


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the module's README, without its own heading row."""
    text = (SOURCE / "README.md").read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]
