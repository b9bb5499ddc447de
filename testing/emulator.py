"""Google's Bigtable emulator: finding it, running it, and reading its tables with the official client."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
import time
import warnings
from functools import cache
from pathlib import Path
from typing import IO, TypeAlias

import grpc
import pytest
from google.cloud.bigtable_v2 import BigtableClient, ReadRowsRequest, ReadRowsResponse
from google.cloud.bigtable_v2.services.bigtable.transports import BigtableGrpcTransport

VARIABLE = "BEAM_INGEST_CBTEMULATOR"
"""Names the emulator: a path, or a command on the PATH."""
UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
"""Channel options for messages of any size: 4 MB is the default for those received."""

VersionedCells: TypeAlias = dict[tuple[bytes, str, bytes], tuple[bytes, int]]
"""Value and timestamp (microseconds) of each cell, by row key, family and qualifier."""

_COMMAND = "cbtemulator"
_IN_SDK = Path("platform", "bigtable-emulator", _COMMAND)
_LIST_TABLES = "/google.bigtable.admin.v2.BigtableTableAdmin/ListTables"
_DEADLINE_SECONDS = 30.0
_READ_SECONDS = 600.0


def find_emulator() -> Path | None:
    """The emulator's program: of the environment, of the PATH, or of the Google Cloud SDK."""
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(os.path.expanduser(named))
        return Path(found) if found else None
    on_path = shutil.which(_COMMAND)
    if on_path:
        return Path(on_path)
    gcloud = shutil.which("gcloud")
    return _in_sdk(gcloud) if gcloud else None


def require_emulator() -> Path:
    """The emulator's program; skips the test, saying what is missing and how to get it."""
    program = find_emulator()
    if program is None:
        if os.environ.get(VARIABLE):
            missing = f"{VARIABLE}={os.environ[VARIABLE]} names no program"
        elif shutil.which("gcloud"):
            missing = f"gcloud is here without its component bigtable-emulator, and no {_COMMAND} on the PATH"
        else:
            missing = f"neither {_COMMAND} nor gcloud is on the PATH"
        reason = (
            f"the Bigtable emulator is not here: {missing}. Get it with "
            "`gcloud components install bigtable` (in apt: google-cloud-cli-bigtable-emulator), or with "
            f"`go install cloud.google.com/go/bigtable/cmd/emulator@latest` and {VARIABLE}=~/go/bin/emulator"
        )
        warnings.warn(pytest.PytestWarning(reason), stacklevel=2)  # a skip alone is easily overlooked
        pytest.skip(reason)
    return program


class Emulator:
    """A running emulator. Its tables are in memory: `stop` forgets them all.

    Attributes:
      address: ``localhost:PORT``; the port is found at the first start and kept.
    """

    address: str

    def __init__(self, program: Path | None = None) -> None:
        self._program = program or require_emulator()
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "the emulator is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it, empty, and return when it answers."""
        assert self._process is None, "the emulator is running already"
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not self._started(deadline):
            time.sleep(0.005)  # after a stop, the port may for a moment be some client's
        self.address = f"localhost:{self._port}"
        with grpc.insecure_channel(self.address) as channel:
            left = max(deadline - time.monotonic(), 0.1)
            channel.unary_unary(_LIST_TABLES)(b"", timeout=left, wait_for_ready=True)

    def stop(self) -> None:
        """Kill it: clients see their connections break."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _started(self, deadline: float) -> bool:
        """Start the process, and whether it got its port; raises what it said when the time is up."""
        command = [str(self._program), "-host", "localhost", "-port", str(self._port)]
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
            assert self._process.stdout is not None
            said = _first_line(self._process.stdout, deadline)
            if b"running on" in said:
                self._port = int(said.rsplit(b":", 1)[1])
                return True
            self.stop()
            if time.monotonic() > deadline or not self._port:
                errors.seek(0)
                raise RuntimeError(f"{' '.join(command)} did not start: {(said + errors.read()).decode()}")
            return False


def read_table(address: str, project: str, instance: str, table: str) -> VersionedCells:
    """Every cell of a table, through Google's generated client. No cell may have two versions.

    The data client's merging of chunks is not used: with an emulator it takes no message above 4 MB,
    and a row is one message.
    """
    cells: VersionedCells = {}
    with grpc.insecure_channel(address, options=UNLIMITED) as channel:
        client = BigtableClient(transport=BigtableGrpcTransport(channel=channel))
        name = f"projects/{project}/instances/{instance}/tables/{table}"
        row, family, qualifier, timestamp = b"", "", b"", 0
        parts: list[bytes] = []
        for response in client.read_rows(ReadRowsRequest(table_name=name), timeout=_READ_SECONDS):
            for chunk in ReadRowsResponse.pb(response).chunks:
                assert not chunk.reset_row, "rows that are read while they are written are not meant for this"
                if not parts:  # a chunk names what has changed since the one before
                    row = chunk.row_key or row
                    family = chunk.family_name.value if chunk.HasField("family_name") else family
                    qualifier = chunk.qualifier.value if chunk.HasField("qualifier") else qualifier
                    timestamp = chunk.timestamp_micros
                parts.append(chunk.value)
                if chunk.value_size == 0:  # the cell is complete
                    key = (row, family, qualifier)
                    assert key not in cells, f"{row!r} {family}:{qualifier!r} has two versions"
                    cells[key] = (b"".join(parts), timestamp)
                    parts = []
    return cells


def _in_sdk(gcloud: str) -> Path | None:
    """The emulator among the components of the SDK that a gcloud belongs to."""
    beside = Path(gcloud).resolve().parent.parent / _IN_SDK
    if os.access(beside, os.X_OK):
        return beside
    root = _sdk_root(gcloud)
    return root / _IN_SDK if root and os.access(root / _IN_SDK, os.X_OK) else None


@cache
def _sdk_root(gcloud: str) -> Path | None:
    """Where a gcloud says that its SDK is. It takes seconds to say so."""
    command = [gcloud, "info", "--format=value(installation.sdk_root)"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return Path(said) if said else None


def _first_line(pipe: IO[bytes], deadline: float) -> bytes:
    """The first line of a pipe; what there is of it when the pipe ends or the time is up."""
    said = b""
    while b"\n" not in said:
        ready, _, _ = select.select([pipe], [], [], max(deadline - time.monotonic(), 0))
        read = os.read(pipe.fileno(), 4096) if ready else b""
        if not read:
            break
        said += read
    return said
