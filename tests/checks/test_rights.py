"""May the table be made, and is everything in one region? Asked of real clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest as Asked
from google.iam.v1.iam_policy_pb2 import TestIamPermissionsResponse as Granted

from beam_ingest.checks.regions import is_within
from beam_ingest.stores.access import PERMISSIONS, READING
from testing.emulator import Emulator
from tests.checks import checked, lines
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy
from tests.runners.dataflow.conftest import storage  # noqa: F401  (a fixture)
from tests.runners.dataflow.jobs import BUCKET, INSTANCE, PROJECT, REGION, SETTINGS, WORKER
from tests.runners.dataflow.storage import StorageEmulator
from tests.stores.bigtable.conftest import emulator  # noqa: F401  (a fixture)

MISSING, APART = "missing permissions", "inputs and table in different regions"
TEST_PERMISSIONS = "/google.bigtable.admin.v2.BigtableInstanceAdmin/TestIamPermissions"
LEAST = {
    "bigtable.tables.create": "a custom role with it and bigtable.tables.delete is enough",
    "bigtable.tables.get": "roles/bigtable.reader has it",
    "bigtable.tables.mutateRows": "roles/bigtable.user has it",
    "bigtable.tables.readRows": "roles/bigtable.reader has it",
}
STORE = "--store=bigtable:project/instance"


class InstanceProxy(ClustersProxy):
    """Answers for the permissions of an instance too: those of `granted` that were asked for."""

    def __init__(
        self, address: str, granted: Sequence[str] = PERMISSIONS, code: grpc.StatusCode | None = None
    ) -> None:
        super().__init__(address, {"one": f"{REGION}-b"})
        self._granted = set(granted)
        self._refusal = code
        self.resources: list[str] = []

    def forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        if method != TEST_PERMISSIONS:
            yield from super().forward(method, request, context)
            return
        if self._refusal:
            context.abort(self._refusal, "injected")
        asked = Asked.FromString(request)
        self.resources.append(asked.resource)
        granted = [name for name in asked.permissions if name in self._granted]
        yield Granted(permissions=granted).SerializeToString()


def test_an_sqlite_file_in_a_folder_that_is_none(cli: Cli, dataset: Path) -> None:
    (dataset.parent / "file").write_text("")
    found = checked(cli, dataset, f"--store=sqlite:{dataset.parent}/file/graph.sqlite")
    assert lines(found, MISSING) == [
        f"{dataset.parent}/file: expected a folder to write to, found an error: Not a directory"
    ]


def test_an_sqlite_file_that_is_a_folder(cli: Cli, dataset: Path) -> None:
    found = checked(cli, dataset, f"--store=sqlite:{dataset.parent}")
    assert lines(found, MISSING) == [f"{dataset.parent}: expected an SQLite file, found a folder"]


def test_an_sqlite_file_in_a_folder_still_to_be_made(cli: Cli, dataset: Path) -> None:
    checked(cli, dataset, f"--store=sqlite:{dataset.parent}/a/b/graph.sqlite", status=0)
    assert not (dataset.parent / "a").exists()


def test_folders_that_raw_input_is_written_to(cli: Cli, sample: Path) -> None:
    (sample.parent / "file").write_text("")
    sample.write_text(sample.read_text().replace("EDGES: ./edges", "EDGES: ./file/edges"))
    found = checked(cli, sample, "--raw")
    assert lines(found, MISSING) == [
        f"{sample.parent}/file: expected a folder to write to, found an error: Not a directory"
    ]


def test_no_store(cli: Cli, dataset: Path) -> None:
    text = dataset.read_text()
    dataset.write_text(text[: text.index("backend_client:")])
    found = checked(cli, dataset, status=2)
    assert lines(found, "configuration")[0].startswith(f"{dataset}: no backend_client; add --store ")
    assert found["counts"]["edges files"] == 16  # the rest is looked at all the same


def test_the_emulator_has_no_permissions(
    cli: Cli,
    dataset: Path,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", emulator.address)
    found = checked(cli, dataset, STORE, status=0)
    assert {
        "bigtable:project/instance: permissions: the emulator has none",
        "bigtable:project/instance: region: the emulator has none",
    } <= set(found["not_checked"])


@pytest.mark.parametrize("lacking", [(), PERMISSIONS[:1], PERMISSIONS])
def test_permissions_of_an_instance(
    cli: Cli,
    dataset: Path,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    lacking: Sequence[str],
) -> None:
    with InstanceProxy(emulator.address, [name for name in PERMISSIONS if name not in lacking]) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        found = checked(cli, dataset, STORE, status=1 if lacking else 0)
    assert proxy.resources == ["projects/project/instances/instance"]
    assert [case["line"] for case in found["problems"].get(MISSING, {"examples": []})["examples"]] == [
        f"bigtable:project/instance: expected the permission {name} for the account of the application "
        f"default credentials, found none; {LEAST[name]}"
        for name in sorted(lacking)
    ]


@pytest.mark.parametrize("granted", [READING, READING[:1]])
def test_who_launches_needs_no_rights_of_the_worker(
    cli: Cli,
    dataset: Path,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    granted: Sequence[str],
) -> None:
    """As Terraform gives them: the launcher reads, the worker makes tables and writes."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    place = f"bigtable:{PROJECT}/{INSTANCE}"
    with InstanceProxy(emulator.address, granted) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        found = checked(
            cli, dataset, f"--store={place}", f"--settings={settings}", status=int(granted != READING)
        )
    missing = lines(found, MISSING) if MISSING in found["problems"] else []
    assert [line.partition(" for ")[0] for line in missing] == [
        f"{place}: expected the permission {name}" for name in READING if name not in granted
    ]
    assert any(line.startswith(f"{place}: permissions of {WORKER}") for line in found["not_checked"])
    assert any("bigtable.tables.create, bigtable.tables.mutateRows" in note for note in found["notes"])
    assert "roles/bigtable.admin" not in json.dumps(found)


def test_permissions_that_cannot_be_asked_for(
    cli: Cli,
    dataset: Path,
    emulator: Emulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever may not even ask has no rights, or not this instance."""
    with InstanceProxy(emulator.address, code=grpc.StatusCode.PERMISSION_DENIED) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        found = checked(cli, dataset, STORE)
    (line,) = lines(found, MISSING)
    assert line.startswith("bigtable:project/instance: the permissions cannot be looked up: 403 injected")


def test_regions(
    cli: Cli,
    dataset: Path,
    emulator: Emulator,  # noqa: F811
    storage: StorageEmulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bucket, in the US as a whole, suits any cluster there; the workers' region has none."""
    for file in (dataset.parent / "edges").iterdir():
        storage.write(f"gs://{BUCKET}/edges/{file.name}", file.read_bytes())
    dataset.write_text(dataset.read_text().replace(": ./edges", f": gs://{BUCKET}/edges"))
    with InstanceProxy(emulator.address) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        found = checked(cli, dataset, STORE, f"--region={REGION}", status=0)
        assert not [line for line in found["not_checked"] if ": region:" in line]
        found = checked(cli, dataset, STORE, "--region=europe-west1")
        assert lines(found, APART) == [
            "--region europe-west1: expected one with a cluster of bigtable:project/instance, found clusters "
            f"in {REGION}"
        ]
        monkeypatch.setattr("beam_ingest.checks.before.bucket_location", lambda *_: "europe-west1")
        found = checked(cli, dataset, STORE)
        assert lines(found, APART) == [
            f"gs://{BUCKET}: expected a bucket in {REGION}, as bigtable:project/instance is, found one in "
            "europe-west1"
        ]


@pytest.mark.parametrize(
    ("region", "location", "expected"),
    [
        ("us-east1", "us-east1", True),
        ("us-east1", "us-east4", False),
        ("us-east1", "us", True),
        ("europe-west4", "us", False),
        ("europe-west4", "eu", True),
        ("us-east1", "nam4", True),
        ("us-west1", "nam4", False),
    ],
)
def test_near(region: str, location: str, expected: bool) -> None:
    assert is_within(region, location) is expected
