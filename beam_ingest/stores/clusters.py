"""Where a Bigtable instance's servers are, and how many there are."""

from __future__ import annotations

from typing import NamedTuple

from google.api_core.exceptions import GoogleAPICallError, MethodNotImplemented, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigtable

from beam_ingest.errors import StoreError


class Cluster(NamedTuple):
    """A cluster of a Bigtable instance.

    Attributes:
      region: such as ``us-east1``.
      nodes: servers it has, or may grow to.
    """

    region: str
    nodes: int


def read_clusters(project: str, instance: str) -> list[Cluster]:
    """The clusters of an instance; none where that is not known, as with an emulator.

    Raises:
      StoreError: when they cannot be looked up.
    """
    where = f"bigtable:{project}/{instance}"
    try:
        client = bigtable.Client(project=project, admin=True)
        clusters, unreachable = client.instance(instance).list_clusters()
    except MethodNotImplemented:
        return []
    except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
        text = " ".join(str(error).split())
        raise StoreError(
            f"{where}: its clusters cannot be looked up: {text}; roles/bigtable.viewer allows it, and "
            "--any-region does without"
        ) from error
    if unreachable:
        raise StoreError(
            f"{where}: its clusters in {', '.join(unreachable)} do not answer; try again, or use --any-region"
        )
    return [
        Cluster(cluster.location_id.rpartition("-")[0], cluster.max_serve_nodes or cluster.serve_nodes or 1)
        for cluster in clusters
    ]
