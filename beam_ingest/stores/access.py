"""May we make a table and fill it? Asked before any work is done; nothing is left behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from beam_ingest.file_kind import kind_of

PERMISSIONS = (
    "bigtable.tables.create",
    "bigtable.tables.get",
    "bigtable.tables.mutateRows",
    "bigtable.tables.readRows",
)
"""What building a graph needs on a Bigtable instance,"""
READING = ("bigtable.tables.get", "bigtable.tables.readRows")
"""and what launching a job and following it needs, which the workers' account then builds."""
_ADVICE = {
    "bigtable.tables.create": "a custom role with it and bigtable.tables.delete is enough",
    "bigtable.tables.get": "roles/bigtable.reader has it",
    "bigtable.tables.mutateRows": "roles/bigtable.user has it",
    "bigtable.tables.readRows": "roles/bigtable.reader has it",
}
"""The least that gives each permission."""


class Access(NamedTuple):
    """What is known of our rights.

    Attributes:
      place: what they are rights on.
      permissions: the permissions that we lack, among `PERMISSIONS`.
      faults: why the table cannot be made else, a line each.
      unknown: why it cannot be told, or "".
    """

    place: str
    permissions: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unknown: str = ""

    def lines(self, account: str) -> list[str]:
        """What `account`, who was asked for, lacks."""
        return [
            f"{self.place}: expected the permission {name} for {account}, found none; {_ADVICE[name]}"
            for name in self.permissions
        ]


def store_access(url: str) -> Access:
    """Whether the store at a URL of `beam_ingest.stores.store_url` can be made and filled."""
    kind, _, place = url.partition(":")
    if kind == "sqlite":
        return Access(place, faults=tuple(_sqlite_faults(Path(place))))
    project, instance, *_ = place.split("/")
    return _bigtable_access(project, instance)


def folder_fault(folder: Path) -> str | None:
    """Why no file can be written below `folder`, which may still have to be made; None if one can."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # Asking the disk is the only sure way: rights, a read-only disk and a full one all look different.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"1")
    except OSError as error:
        return f"{folder}: expected a folder to write to, found an error: {error.strerror}"
    return None


def _sqlite_faults(path: Path) -> list[str]:
    if path.exists() and not path.is_file():
        return [f"{path}: expected an SQLite file, found {kind_of(path.stat().st_mode)}"]
    if path.exists() and not os.access(path, os.W_OK):
        return [f"{path}: expected an SQLite file to write to, found one to read only"]
    fault = folder_fault(path.parent)
    return [fault] if fault else []


def _bigtable_access(project: str, instance: str) -> Access:
    from google.api_core.exceptions import GoogleAPICallError, MethodNotImplemented, RetryError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import bigtable  # slow imports

    where = f"bigtable:{project}/{instance}"
    try:
        client = bigtable.Client(project=project, admin=True)
        granted = client.instance(instance).test_iam_permissions(list(PERMISSIONS))
    except MethodNotImplemented:
        return Access(where, unknown=f"{where}: permissions: the emulator has none")
    except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
        fault = f"{where}: the permissions cannot be looked up: {' '.join(str(error).split())}"
        return Access(where, faults=(fault,))
    return Access(where, tuple(name for name in PERMISSIONS if name not in granted))
