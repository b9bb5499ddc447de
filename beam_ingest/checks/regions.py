"""Where a bucket of Cloud Storage is, and whether that is near a region."""

from __future__ import annotations

from beam_ingest.files import FileError

_CONTINENTS = {"us": "us-", "eu": "europe-", "asia": "asia-"}
_PAIRS = {
    "asia1": ("asia-northeast1", "asia-northeast2"),
    "eur4": ("europe-north1", "europe-west4"),
    "eur5": ("europe-west1", "europe-west2"),
    "eur7": ("europe-west2", "europe-west3"),
    "eur8": ("europe-west3", "europe-west6"),
    "nam4": ("us-central1", "us-east1"),
}
"""Cloud Storage's predefined pairs of regions."""


def bucket_location(project: str, bucket: str) -> str:
    """The location of a bucket, such as ``us-east1`` or ``us``.

    Raises:
      FileError: when it cannot be looked up, which takes the permission storage.buckets.get.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client  # slow imports

    try:
        return str(Client(project=project).get_bucket(bucket).location).lower()
    except (GoogleAPICallError, GoogleAuthError) as error:
        raise FileError(" ".join(str(error).split())) from error


def is_within(region: str, location: str) -> bool:
    """Whether reading from `location` in `region` crosses no border that costs: none is known of others."""
    if location in _CONTINENTS:
        return region.startswith(_CONTINENTS[location])
    return region in _PAIRS.get(location, (location,))
