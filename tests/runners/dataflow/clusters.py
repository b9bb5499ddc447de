"""Bigtable's instance administration in front of the emulator, which has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import grpc
from google.cloud.bigtable_admin_v2.types import Cluster, ListClustersRequest, ListClustersResponse

from testing.proxy import FaultyProxy

LIST_CLUSTERS = "/google.bigtable.admin.v2.BigtableInstanceAdmin/ListClusters"


class ClustersProxy(FaultyProxy):
    """A proxy that answers ListClusters itself and passes all else on to the emulator.

    Args:
      emulator: the address of the emulator.
      zones: the zone of each cluster by its name. Every instance has these clusters.
      nodes: servers of each cluster.
      failed: zones that could not be asked; their clusters are missing from the answer.
      code: refuse ListClusters with it.

    Attributes:
      asked: the names of the instances whose clusters were listed, such as ``projects/p/instances/i``.
    """

    def __init__(
        self,
        emulator: str,
        zones: Mapping[str, str],
        nodes: int = 3,
        failed: Sequence[str] = (),
        code: grpc.StatusCode | None = None,
    ) -> None:
        super().__init__(emulator)
        self.asked: list[str] = []
        self._zones = dict(zones)
        self._nodes = nodes
        self._failed = list(failed)
        self._code = code

    def forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer ListClusters, or pass a call on."""
        if method != LIST_CLUSTERS:
            yield from super().forward(method, request, context)
            return
        instance = ListClustersRequest.deserialize(request).parent
        project = instance.partition("/instances/")[0]
        self.asked.append(instance)
        if self._code:
            context.abort(self._code, f"injected: {self._code.name}")
        clusters = [
            Cluster(
                name=f"{instance}/clusters/{name}",
                location=f"{project}/locations/{zone}",
                serve_nodes=self._nodes,
            )
            for name, zone in self._zones.items()
        ]
        failed = [f"{project}/locations/{zone}" for zone in self._failed]
        answer = ListClustersResponse(clusters=clusters, failed_locations=failed)
        yield ListClustersResponse.serialize(answer)
