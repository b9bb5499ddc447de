"""Does an app profile send all requests to one cluster? What one cluster holds comes to another later."""

from __future__ import annotations

from typing import NamedTuple

_DEFAULT = "default"


class Routing(NamedTuple):
    """What is known of an app profile.

    Attributes:
      fault: why a graph cannot be built through it, or "".
      unknown: why it cannot be told, or "".
    """

    fault: str = ""
    unknown: str = ""


def read_routing(url: str) -> Routing:
    """How the store at a URL of `beam_ingest.stores.store_url` routes requests; of Bigtable alone."""
    kind, _, place = url.partition(":")
    if kind != "bigtable":
        return Routing()
    from google.api_core.exceptions import GoogleAPICallError, MethodNotImplemented, NotFound, RetryError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import bigtable  # slow imports

    project, instance, _, profile = place.split("/")
    where = f"bigtable:{project}/{instance}: app profile {profile or _DEFAULT}"
    try:
        opened = bigtable.Client(project=project, admin=True).instance(instance)
        found = opened.app_profile(profile or _DEFAULT)
        found.reload()
        if found.routing_policy_type != bigtable.enums.RoutingPolicyType.ANY:
            return Routing()
        # The profile may name the clusters; else they are all of the instance.
        clusters = len(found.multi_cluster_ids or []) or len(opened.list_clusters()[0])
    except MethodNotImplemented:
        return Routing(unknown=f"{where}: routing: the emulator has none")
    except NotFound as error:
        if profile:
            return Routing(fault=f"{where}: there is no such app profile")
        return Routing(unknown=f"{where}: routing: {' '.join(str(error).split())}")
    except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
        return Routing(unknown=f"{where}: routing: {' '.join(str(error).split())}")
    if clusters < 2:
        return Routing()
    return Routing(
        f"{where}: expected single-cluster routing, found that it routes to {clusters} clusters, where "
        "what a job writes is not at once there to be read; make one with `gcloud bigtable "
        f"app-profiles create build --instance={instance} --project={project} --route-to=CLUSTER` and add "
        "--bigtable-app-profile build"
    )
