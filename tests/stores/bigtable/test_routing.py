"""App profiles: a job reads what it wrote, so its requests must go to one cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.cloud.bigtable_admin_v2.types import AppProfile, GetAppProfileRequest

from testing.emulator import Emulator
from tests.checks import checked, lines
from tests.conftest import Cli
from tests.runners.dataflow.clusters import ClustersProxy

GET = "/google.bigtable.admin.v2.BigtableInstanceAdmin/GetAppProfile"
WHERE = "bigtable:project/instance: app profile"
STORE = "--store=bigtable:project/instance"
ANY = AppProfile.MultiClusterRoutingUseAny
PROFILES = {
    "default": AppProfile(multi_cluster_routing_use_any=ANY()),
    "single": AppProfile(single_cluster_routing=AppProfile.SingleClusterRouting(cluster_id="one")),
    "of-one": AppProfile(multi_cluster_routing_use_any=ANY(cluster_ids=["two"])),
    "of-two": AppProfile(multi_cluster_routing_use_any=ANY(cluster_ids=["one", "two"])),
}


class ProfilesProxy(ClustersProxy):
    """Answers GetAppProfile too."""

    refusal: grpc.StatusCode | None = None

    def forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        if method != GET:
            yield from super().forward(method, request, context)
            return
        name = GetAppProfileRequest.deserialize(request).name.rpartition("/")[2]
        if self.refusal or name not in PROFILES:
            context.abort(self.refusal or grpc.StatusCode.NOT_FOUND, "injected")
        yield AppProfile.serialize(PROFILES[name])


@pytest.fixture
def proxy(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProfilesProxy]:
    with ProfilesProxy(emulator.address, {"one": "us-east1-b", "two": "us-west1-a"}) as running:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", running.address)
        yield running


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("", "default: expected single-cluster routing, found that it routes to 2 clusters"),
        ("of-two", "of-two: expected single-cluster routing, found that it routes to 2 clusters"),
        ("none-such", "none-such: there is no such app profile"),
    ],
)
def test_what_a_graph_cannot_be_built_through(
    cli: Cli, dataset: Path, proxy: ProfilesProxy, profile: str, said: str
) -> None:
    options = [f"--bigtable-app-profile={profile}"] if profile else []
    line = cli.refused("graph", "routed", dataset, STORE, *options)
    assert line.startswith(f"{WHERE} {said}")
    (found,) = lines(checked(cli, dataset, STORE, *options), "routing of requests")
    assert found == line


@pytest.mark.parametrize("profile", ["single", "of-one"])
def test_one_cluster_is_all_it_takes(cli: Cli, dataset: Path, proxy: ProfilesProxy, profile: str) -> None:
    option = f"--bigtable-app-profile={profile}"
    assert cli("graph", f"routed-{profile}", dataset, STORE, option).status == 0


def test_an_instance_of_one_cluster(
    cli: Cli, dataset: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProfilesProxy(emulator.address, {"one": "us-east1-b"}) as proxy:
        monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.address)
        assert cli("graph", "routed-default", dataset, STORE).status == 0


@pytest.mark.slow
def test_what_may_not_be_looked_up_is_not_checked(cli: Cli, dataset: Path, proxy: ProfilesProxy) -> None:
    proxy.refusal = grpc.StatusCode.PERMISSION_DENIED
    unchecked = checked(cli, dataset, STORE, status=0)["not_checked"]
    assert any(line.startswith(f"{WHERE} default: routing: 403") for line in unchecked)
    proxy.refusal = grpc.StatusCode.UNIMPLEMENTED
    unchecked = checked(cli, dataset, STORE, status=0)["not_checked"]
    assert f"{WHERE} default: routing: the emulator has none" in unchecked
    assert cli("graph", "routed-anyhow", dataset, STORE).status == 0
