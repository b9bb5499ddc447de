"""The graph server: PyChunkedGraph's paths, on Starlette, over a graph and the folders of its volumes."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from http import HTTPStatus

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from beam_ingest.view import answers, volume_files
from beam_ingest.view.answers import Answering
from beam_ingest.view.asking import MOST_BODY, ApiError, Ask, inflated, too_large
from beam_ingest.view.graph_info import Served, folder_on_disk
from beam_ingest.view.hierarchy import Hierarchy, TooManyError, UnknownNodeError

_LOG = logging.getLogger(__name__)
_GET, _POST, _BOTH = ("GET",), ("POST",), ("GET", "POST")
_EDITS = (
    *("merge", "merge_admin", "split", "undo", "redo", "rollback_user", "graph/merge", "graph/split"),
    *("graph/undo", "graph/redo", "remesh"),
)
"""What changes a graph in PyChunkedGraph."""
_V1: tuple[tuple[str, tuple[str, ...], Answering], ...] = (
    ("info", _GET, answers.info),
    ("node/{node}/root", _GET, answers.root),
    ("node/{node}/leaves", _GET, answers.leaves),
    ("node/{node}/children", _GET, answers.children),
    ("node/{node}/parents", _GET, answers.parents),
    ("node/leaves_many", _POST, answers.leaves_many),
    ("leaves_many", _POST, answers.leaves_many),
    ("roots", _POST, answers.roots),
    ("roots_binary", _POST, answers.roots_binary),
    ("is_latest_roots", _POST, answers.is_latest_roots),
    ("root_timestamps", _POST, answers.root_timestamps),
    ("oldest_timestamp", _GET, answers.oldest_timestamp),
    ("l2_chunk_children/{node}", _GET, answers.chunk_children),
    ("l2_chunk_children_binary/{node}", _GET, answers.chunk_children_binary),
)
"""Paths of version 1 below ``/segmentation/api/v1/table/{graph}/``,"""
_V0: tuple[tuple[str, tuple[str, ...], Answering], ...] = (
    ("info", _GET, answers.info),
    ("graph/root", _BOTH, answers.root_of_body),
    ("graph/{node}/root", _BOTH, answers.root_binary),
    ("segment/{node}/children", _BOTH, answers.children_binary),
    ("segment/{node}/leaves", _BOTH, answers.leaves_binary),
    ("graph/oldest_timestamp", _BOTH, answers.oldest_timestamp),
)
"""and of version 0, whose answers are bytes, below ``/segmentation/1.0/{graph}/``."""
_PREFIXES = (
    ("/segmentation/api/v1/table/{graph}/", _V1),
    ("/segmentation/1.0/{graph}/", _V0),
    ("/segmentation/table/{graph}/", (("info", _GET, answers.info),)),
    ("/meshing/api/v1/table/{graph}/", (("manifest/{node}", _BOTH, answers.manifest),)),
    ("/meshing/1.0/{graph}/", (("{node}/manifest", _BOTH, answers.manifest),)),
)


def make_app(served: Served, tree: Hierarchy) -> Starlette:
    """The application that answers for one graph.

    Args:
      served: the graph.
      tree: its nodes; closed when the application shuts down.
    """
    routes = [
        Route("/segmentation/api/versions", _endpoint(served, tree, answers.api_versions)),
        Route("/segmentation/api/version", _endpoint(served, tree, answers.program_version)),
    ]
    for prefix, paths in _PREFIXES:
        edits = [
            Route(prefix + path, _endpoint(served, tree, answers.edit), methods=_BOTH) for path in _EDITS
        ]
        known = [
            Route(prefix + path, _endpoint(served, tree, answer), methods=methods)
            for path, methods, answer in paths
        ]
        routes += [*edits, *known]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        tree.close()

    # Answers are compressed for those who ask; files are compressed already, or asked for in ranges.
    api = Mount(
        "/", routes=routes, middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=1)]
    )
    return Starlette(
        routes=[*_files(served), api],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=["content-range", "content-encoding", "etag"],
                allow_private_network=True,
                max_age=86_400,
            )
        ],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )


def _files(served: Served) -> list[Route]:
    """The volumes that are on this machine."""
    routes = []
    for name, url in (("data", served.watershed), ("image", served.image)):
        folder = url and folder_on_disk(url)
        if not folder:
            continue

        def file(request: Request, folder=folder) -> Response:  # type: ignore[no-untyped-def]
            begun = time.time()
            try:
                return volume_files.respond(folder, request.path_params["file"], request)
            except ApiError as error:
                return _error(error.status, str(error), begun)

        routes.append(Route(f"/{name}/{served.graph_id}/{{file:path}}", file))
    return routes


def _endpoint(
    served: Served, tree: Hierarchy, answering: Answering
) -> Callable[[Request], Awaitable[Response]]:
    """What Starlette calls: the body is read here, and the question answered in a thread."""

    async def respond(request: Request) -> Response:
        begun = time.time()
        try:
            if request.path_params.get("graph", served.graph_id) != served.graph_id:
                raise ApiError(HTTPStatus.NOT_FOUND, f"this server has the graph {served.graph_id} alone")
            base = f"{request.url.scheme}://{request.url.netloc}"
            ask = Ask(served, request.path_params, request.query_params, await _body(request), base)
            return await run_in_threadpool(_respond, tree, ask, answering)
        except ApiError as error:
            return _error(error.status, str(error), begun)
        except UnknownNodeError as error:
            return _error(HTTPStatus.NOT_FOUND, str(error), begun)
        except TooManyError as error:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error), begun)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except Exception as error:  # told here, where it may name places, and not to the client
            _LOG.exception("%s %s: %s", request.method, request.url.path, error)
            message = "the server failed to answer; its own messages say why"
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, message, begun)

    return respond


def _respond(tree: Hierarchy, ask: Ask, answering: Answering) -> Response:
    answer = answering(tree, ask)
    if isinstance(answer, bytes):
        return Response(answer, media_type="application/octet-stream")
    return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The body of a request, up to MOST_BODY bytes, decompressed."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY:
            raise too_large()
        parts.append(part)
    body = b"".join(parts)
    if "gzip" in request.headers.get("content-encoding", "").lower():
        return await run_in_threadpool(inflated, body)
    return body


def _refused(request: Request, error: Exception) -> Response:
    """No such path, or another method than those of the path."""
    assert isinstance(error, HTTPException)
    response = _error(HTTPStatus(error.status_code), error.detail, time.time())
    response.headers.update(error.headers or {})
    return response


def _error(status: HTTPStatus, message: str, begun: float) -> Response:
    """An error as PyChunkedGraph has it (app/common.py, ``api_exception``)."""
    content = {
        "timestamp": datetime.fromtimestamp(begun, timezone.utc).isoformat(),
        "duration": (time.time() - begun) * 1000,
        "code": int(status),
        "message": message,
    }
    headers = {"allow": "GET, HEAD"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return Response(orjson.dumps(content), status, headers, "application/json")
