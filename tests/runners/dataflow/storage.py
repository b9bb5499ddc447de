"""Cloud Storage on this machine: PyPI's gcp-storage-emulator, to which Google's clients can be sent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from http.server import HTTPServer

from cloudfiles.interfaces import reset_connection_pools
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Blob, Client

logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)  # it warns of what is no matter


class StorageEmulator:
    """Buckets in memory, behind Cloud Storage's JSON API, running between ``with`` and its end.

    It forgets the content encoding of objects: what was written compressed is read so.

    Args:
      buckets: names of the buckets there are.

    Attributes:
      url: ``http://localhost:PORT``.
      client: Google's client for it, for what the methods here do not do.
    """

    def __init__(self, buckets: Sequence[str]) -> None:
        self._storage = Storage(use_memory_fs=True)
        for bucket in buckets:
            create_bucket(bucket, self._storage)
        self._server = _Server(("localhost", 0), partial(_Handler, self._storage))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://localhost:{self._server.server_port}"
        self.client = Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
        )

    def __enter__(self) -> StorageEmulator:
        reset_connection_pools()  # cloud-files keeps clients by bucket, whatever server they were made for
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.client.close()
        reset_connection_pools()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send google-cloud-storage here, and so Apache Beam and cloud-files.

        Then the metadata server of a machine in the cloud is not looked for, which takes its time.
        """
        return {"STORAGE_EMULATOR_HOST": self.url, "NO_GCE_CHECK": "true"}

    def write(self, url: str, data: bytes) -> None:
        """Make an object of ``gs://BUCKET/NAME``."""
        Blob.from_uri(url, client=self.client).upload_from_string(data)

    def read(self, url: str) -> bytes:
        """The object ``gs://BUCKET/NAME``; raises google.api_core.exceptions.NotFound."""
        return Blob.from_uri(url, client=self.client).download_as_bytes()

    def objects(self, url: str) -> list[str]:
        """All objects that begin with ``gs://BUCKET`` or ``gs://BUCKET/PREFIX``, sorted, as such URLs."""
        bucket, _, prefix = url.removeprefix("gs://").partition("/")
        return sorted(f"gs://{bucket}/{blob.name}" for blob in self.client.list_blobs(bucket, prefix=prefix))


class _Handler(RequestHandler):
    """Takes what gcloud sends as well: it writes the boundary between parts in single quotes."""

    def do_POST(self) -> None:
        kind = self.headers.get("Content-Type", "")
        if "boundary='" in kind:
            self.headers.replace_header("Content-Type", kind.replace("'", '"'))
        super().do_POST()


class _Server(HTTPServer):
    """One request at a time, as the emulator's storage knows no locks; others wait."""

    request_queue_size = 128
