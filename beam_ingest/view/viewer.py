"""Neuroglancer on a graph server, by the package `neuroglancer`, which carries the built client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import neuroglancer
import neuroglancer.server

from beam_ingest.errors import ConfigError


@contextmanager
def viewing(scene: dict[str, Any], address: str, port: int = 0) -> Iterator[Any]:
    """A viewer that shows a state, until the block ends.

    Args:
      scene: Neuroglancer's state.
      address: the address to listen at.
      port: the port; 0 for any that is free.

    Yields:
      `neuroglancer.Viewer`, whose ``get_viewer_url()`` is the link, and whose ``state`` follows the browser.

    Raises:
      ConfigError: when the port is taken.
    """
    neuroglancer.set_server_bind_address(address, port)
    try:
        viewer = neuroglancer.Viewer()
    except OSError as error:
        raise ConfigError(
            f"{address}:{port}: expected a free port for Neuroglancer, found an error: {error.strerror}; "
            "choose another with --port"
        ) from None
    try:
        viewer.set_state(scene)
        yield viewer
    finally:
        neuroglancer.server.stop()
