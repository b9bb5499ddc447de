"""Requests as values: ids, bounds, layers and times out of paths, queries and bodies, checked."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson

from beam_ingest.errors import BeamIngestError
from beam_ingest.format.grid import ATOMIC_LAYER, SUPERVOXEL_LAYER, Ids
from beam_ingest.view.bounds import ChunkBox, chunks_touched, parse_bounds
from beam_ingest.view.graph_info import Served

MOST_BODY = 32 << 20
"""Most bytes of a request's body, compressed or not: 4 million ids. cloud-volume sends 250,000."""
_TRUE = ("true", "1", "yes")
_DIGITS = re.compile(r"\d{1,20}", re.ASCII)
_MOST_ID = (1 << 64) - 1


class ApiError(BeamIngestError):
    """A request that is answered with an error.

    Attributes:
      status: the HTTP status.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad(message: str) -> ApiError:
    """The error of a request that makes no sense."""
    return ApiError(HTTPStatus.BAD_REQUEST, message)


@dataclass(frozen=True)
class Ask:
    """A request.

    Attributes:
      served: the graph.
      path: parameters of its path.
      query: parameters of its query.
      body: its body, decompressed.
      base: scheme, host and port by which the client knows the server.
    """

    served: Served
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    base: str

    def flag(self, name: str) -> bool:
        """Whether a parameter is there and true."""
        return self.query.get(name, "").lower() in _TRUE

    def node(self) -> int:
        """The node of the path."""
        return parse_id(self.path["node"].partition(":")[0])

    def stop_layer(self, default: int) -> int:
        """The layer to end at."""
        text = self.query.get("stop_layer")
        if text is None:
            return default
        top = self.served.grid.root_layer
        if not _DIGITS.fullmatch(text) or not SUPERVOXEL_LAYER <= int(text) <= top:
            raise bad(f"stop_layer: expected a layer from {SUPERVOXEL_LAYER} to {top}, found {text[:40]!r}")
        return int(text)

    def start_layer(self, default: int) -> int:
        """The layer that meshes are taken from, from the query or, as cloud-volume sends it, the body."""
        content = self.json() if self.body else {}
        told = content.get("start_layer") if isinstance(content, dict) else None
        layer = self.query.get("start_layer", default if told is None else told)
        if not isinstance(layer, int | str) or not _DIGITS.fullmatch(str(layer)):
            raise bad("start_layer: expected the number of a layer")
        return max(int(layer), ATOMIC_LAYER)

    def box(self) -> ChunkBox | None:
        """The chunks that the bounds touch; None without bounds."""
        text = self.query.get("bounds")
        if text is None:
            return None
        try:
            low, high = parse_bounds(text)
        except ValueError as error:
            raise bad(f"{error}, found {text[:80]!r}") from None
        return chunks_touched(low, high, self.served.origin, self.served.chunk_size, self.served.grid)

    def check_time(self) -> None:
        """Refuse to tell what there was before the graph; afterwards it is as it is now."""
        text = self.query.get("timestamp")
        if text is None:
            return
        try:
            asked = float(text)
        except ValueError:
            asked = math.nan
        if not math.isfinite(asked):
            raise bad("Timestamp parameter timestamp is not a valid unix timestamp")
        if asked < self.served.built // 1_000_000:  # clients round to seconds
            raise bad(
                f"timestamp: expected one from {self.served.built / 1e6:.3f} on, when the graph was built, "
                f"found {text[:40]}"
            )

    def json(self) -> Any:
        """The body."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise bad(f"expected JSON, found something else: {error}") from None

    def node_ids(self) -> Ids:
        """The list ``node_ids`` of the body: numbers, or texts of digits."""
        content = self.json()
        values = content.get("node_ids") if isinstance(content, dict) else None
        if not isinstance(values, list):
            raise bad('expected {"node_ids": [...]}')
        kinds = set(map(type, values))
        if kinds <= {int} and (not values or 0 <= min(values) <= max(values) <= _MOST_ID):
            return np.array(values, np.uint64)
        if kinds == {str} and all(map(_DIGITS.fullmatch, values)) and max(map(int, values)) <= _MOST_ID:
            return np.array(list(map(int, values)), np.uint64)
        raise bad(f"node_ids: expected whole numbers from 0 to {_MOST_ID}")

    def binary_ids(self) -> Ids:
        """The ids of a body of little-endian uint64."""
        if len(self.body) % 8:
            raise bad(f"expected ids of 8 bytes each, found {len(self.body)} bytes")
        return np.frombuffer(self.body, "<u8").astype(np.uint64)


def parse_id(text: str) -> int:
    """An id from its digits.

    Raises:
      ApiError: when it is none.
    """
    if not _DIGITS.fullmatch(text) or int(text) > _MOST_ID:
        raise bad(f"expected an id, a whole number from 0 to {_MOST_ID}, found {text[:40]!r}")
    return int(text)


def inflated(body: bytes) -> bytes:
    """The content of a gzip body, up to MOST_BODY bytes.

    Raises:
      ApiError: when it is none, or has more in it.
    """
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(body, MOST_BODY + 1)
    except zlib.error as error:
        raise bad(f"expected a gzip body: {error}") from None
    if len(content) > MOST_BODY:
        raise too_large()
    if not stream.eof:
        raise bad("expected a gzip body, found the beginning of one")
    return content


def too_large() -> ApiError:
    """The error of a body above MOST_BODY."""
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of up to {MOST_BODY:,} bytes, found more"
    )
