"""Files of a volume on this machine, for browsers: whole or in ranges, compressed where clients take that."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import cloudfiles.compression
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from beam_ingest.files import ENCODINGS
from beam_ingest.view.asking import ApiError

_TOKENS = {".gz": "gzip", ".br": "br", ".zstd": "zstd"}
"""Forms of compressed files that HTTP knows too."""
MOST_INFLATED = 256 << 20
"""Most bytes of a compressed file's content, where it has to be decompressed here."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Found:
    """A file, and how it is compressed: a suffix of ENCODINGS, or ""."""

    path: str
    suffix: str
    status: os.stat_result


def respond(folder: Path, name: str, request: Request) -> Response:
    """The answer to a request for the file `name` below `folder`.

    Raises:
      ApiError: when there is no such file, or it is outside the folder or not a regular file.
    """
    found = _find(folder, name)
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "no such file")
    headers = {"vary": "accept-encoding"}
    if not found.suffix:
        return FileResponse(found.path, stat_result=found.status, media_type=_type(name), headers=headers)
    token = _TOKENS.get(found.suffix)
    # A range of a file means a range of its content, whatever it is stored as.
    if token and "range" not in request.headers and _accepts(request, token):
        headers["content-encoding"] = token
        return FileResponse(found.path, stat_result=found.status, media_type=_type(name), headers=headers)
    return _sliced(_content(found), request.headers.get("range"), name, headers)


def _find(folder: Path, name: str) -> _Found | None:
    """The file of that name, as it is or compressed; links that lead out of the folder lead nowhere."""
    inside = os.path.realpath(folder)
    if "\0" in name or "\\" in name:
        return None
    for suffix in ("", *ENCODINGS):
        try:
            path = os.path.realpath(os.path.join(inside, name) + suffix, strict=True)
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        if path.startswith(inside + os.sep) and stat.S_ISREG(status.st_mode):
            return _Found(path, suffix, status)
    return None


def _accepts(request: Request, token: str) -> bool:
    """Whether the client takes content in an encoding (RFC 9110, 12.5.3)."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if name.strip() in (token, "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _content(found: _Found) -> bytes:
    """What is in a compressed file."""
    try:
        if found.suffix == ".gz":
            with gzip.open(found.path) as file:
                content = file.read(MOST_INFLATED + 1)
        else:
            with open(found.path, "rb") as stored:
                content = cloudfiles.compression.decompress(stored.read(), ENCODINGS[found.suffix])
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "the file cannot be decompressed") from error
    if len(content) > MOST_INFLATED:
        raise ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"expected up to {MOST_INFLATED:,} bytes in the file, found more",
        )
    return bytes(content)


def _sliced(content: bytes, asked: str | None, name: str, headers: dict[str, str]) -> Response:
    """The content, or the one range of it that is asked for; several ranges give the whole."""
    headers = headers | {"accept-ranges": "bytes"}
    unit, _, spec = (asked or "").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal() or len(spec) > 40:
        return Response(content, media_type=_type(name), headers=headers)
    size = len(content)
    if first:
        begin, end = int(first), min(size, int(last) + 1) if last else size
    else:
        begin, end = max(0, size - int(last)), size
    if begin >= end:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
    return Response(content[begin:end], status_code=206, media_type=_type(name), headers=headers)


def _type(name: str) -> str:
    return "application/json" if name.rpartition("/")[2] == "info" else "application/octet-stream"
