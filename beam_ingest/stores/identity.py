"""Who we are to Google Cloud: the application default credentials."""

from __future__ import annotations

from typing import Any

import google.auth
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.oauth2.credentials import Credentials as OwnAccount

OWN = "your own account"
"""Who one is after ``gcloud auth application-default login`` without more."""
_SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def credentials(project: str, endpoint: str = "") -> Any:
    """The credentials to ask one of Google's services with.

    Args:
      project: pays for the requests of a person, whose credentials do not say it.
      endpoint: the service's address where it is another; over plain HTTP no credentials travel.

    Raises:
      google.auth.exceptions.DefaultCredentialsError: when there are none.
    """
    if endpoint.startswith("http://"):
        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    found, _ = google.auth.default(scopes=_SCOPES)
    if isinstance(found, OwnAccount) and not found.quota_project_id:
        return found.with_quota_project(project)
    return found


def who() -> str | None:
    """Who we are: the address of a service account, or `OWN`; None when that is not known."""
    try:
        found, _ = google.auth.default()
    except GoogleAuthError:  # which a request says better, when one is made
        return None
    if isinstance(found, OwnAccount):
        return OWN
    email = getattr(found, "service_account_email", None)
    return email if isinstance(email, str) and "@" in email else None
