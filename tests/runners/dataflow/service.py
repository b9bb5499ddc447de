"""Dataflow's REST API (v1b3) on this machine, as far as Apache Beam and gcloud use it for jobs.

It runs nothing: it takes jobs and launches of flex templates as the service does, keeps what was sent, and
tells of a job what a test says about it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from google.cloud.dataflow import Job, JobState
from google.protobuf.json_format import MessageToDict

Json: TypeAlias = dict[str, Any]

TERMINATED = {
    f"JOB_STATE_{state}" for state in ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED", "STOPPED")
}
CREATED_AT = "2026-01-01T00:00:00Z"
"""When all jobs were created, and came into their states."""

_IMPORTANCE = {
    name: rank
    for rank, (number, word) in enumerate(
        [(1, "DEBUG"), (2, "DETAILED"), (5, "BASIC"), (3, "WARNING"), (4, "ERROR")]
    )
    for name in (str(number), f"JOB_MESSAGE_{word}")
}
"""Ranks of importance; the numbers of the enumeration are not in order."""
_SUMMARIES = ("1", "JOB_VIEW_SUMMARY", "JOB_VIEW_UNKNOWN", None)
"""Views without labels."""
_STATUS = {
    400: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True)
class Request:
    """A request as it came.

    Attributes:
      path: without query, such as ``/v1b3/projects/p/locations/r/jobs``.
      body: the JSON; None where there was none.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Refusal(Exception):
    """An error to answer with.

    Args:
      code: the HTTP status.
      message: what to say.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def json(self) -> str:
        """As Google's services write errors."""
        return json.dumps({"error": {"code": self.code, "message": str(self), "status": _STATUS[self.code]}})


class DataflowEndpoint:
    """The service, running between ``with`` and its end.

    As with the real one, no two active jobs of a project and region have one name: 409 is the answer.

    Attributes:
      url: ``http://localhost:PORT``.
      refusal: when set, every request that is not a GET is answered with it.
      outage: as many of the next requests are answered with 503.
      first_state: the state that new jobs are in.
    """

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.outage = 0
        self.first_state = "JOB_STATE_PENDING"
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._jobs: dict[str, Json] = {}
        self._messages: dict[str, list[Json]] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        self._server = _Server(("localhost", 0), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> DataflowEndpoint:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their coming."""
        with self._lock:
            return list(self._requests)

    @property
    def posted_jobs(self) -> list[Job]:
        """The jobs that Apache Beam submitted, as messages."""
        return [_job(r.body) for r in self.requests if r.method == "POST" and r.path.endswith("/jobs")]

    @property
    def launches(self) -> list[Json]:
        """The ``launchParameter`` of every launch of a flex template, as JSON."""
        launches = [r for r in self.requests if r.path.endswith("/flexTemplates:launch")]
        return [launch.body["launchParameter"] for launch in launches]

    @property
    def jobs(self) -> list[Json]:
        """All jobs there are, as the service tells of them, in the order of their coming."""
        with self._lock:
            return [dict(job) for job in self._jobs.values()]

    def set_state(self, job_id: str, state: str, message: str = "") -> None:
        """Bring a job into a state, such as JOB_STATE_FAILED, with a message: an error if it failed."""
        failed = state == "JOB_STATE_FAILED"
        with self._lock:
            self._jobs[job_id]["currentState"] = JobState[state].name
            if message:
                told = self._messages.setdefault(job_id, [])
                importance = "JOB_MESSAGE_ERROR" if failed else "JOB_MESSAGE_BASIC"
                told.append(
                    {
                        "id": f"message-{len(told)}",
                        "time": CREATED_AT,
                        "messageText": message,
                        "messageImportance": importance,
                    }
                )

    def set_labels(self, job_id: str, labels: dict[str, str]) -> None:
        """Give a job other labels."""
        with self._lock:
            self._jobs[job_id]["labels"] = labels

    def set_metrics(self, job_id: str, hours: float, **values: float) -> None:
        """Say what a job took: how long, and the service's own metrics by name, such as TotalVcpuTime."""
        with self._lock:
            ended = datetime.fromisoformat(CREATED_AT.removesuffix("Z")) + timedelta(hours=hours)
            self._jobs[job_id]["currentStateTime"] = ended.strftime("%Y-%m-%dT%H:%M:%SZ")
            self._metrics[job_id] = values

    def answer(self, request: Request) -> str:
        """Take a request, and answer with JSON; raises Refusal."""
        with self._lock:
            self._requests.append(request)
            if self.outage:
                self.outage -= 1
                raise Refusal(503, "the service is currently unavailable")
            if self.refusal and request.method != "GET":
                raise self.refusal
            for method, pattern, handle in _ROUTES:
                match = pattern.fullmatch(request.path)
                if match and method == request.method:
                    named = {k: unquote(v) for k, v in match.groupdict().items()}
                    return json.dumps(handle(self, request, **named))
        raise Refusal(404, f"nothing here takes {request.method} {request.path}")

    def _create(self, request: Request, project: str, location: str) -> Json:
        return self._add(MessageToDict(Job.pb(_job(request.body))), project, location)

    def _launch(self, request: Request, project: str, location: str) -> Json:
        sent = request.body["launchParameter"]
        if request.body.get("validateOnly"):
            return {}
        labels = sent.get("environment", {}).get("additionalUserLabels", {})
        job = {"name": sent["jobName"], "type": "JOB_TYPE_BATCH", "labels": labels}
        return {"job": self._add(job, project, location)}

    def _add(self, job: Json, project: str, location: str) -> Json:
        where = {"projectId": project, "location": location}
        for other in self._in(project, location):
            if other["name"] == job["name"] and other["currentState"] not in TERMINATED:
                raise Refusal(409, f"there is already an active job named {job['name']}: {other['id']}")
        job_id = f"2026-01-01_00_00_00-{len(self._jobs) + 1:019d}"
        times = dict.fromkeys(("createTime", "currentStateTime", "startTime"), CREATED_AT)
        self._jobs[job_id] = {**job, **where, **times, "id": job_id, "currentState": self.first_state}
        return self._jobs[job_id]

    def _in(self, project: str, location: str | None = None) -> list[Json]:
        return [
            job
            for job in self._jobs.values()
            if job["projectId"] == project and location in (None, job["location"])
        ]

    def _list(self, request: Request, project: str, location: str | None = None) -> Json:
        wanted = request.query.get("filter", "ALL")
        jobs = [
            job
            for job in self._in(project, location)
            if request.query.get("name", job["name"]) == job["name"]
            and (wanted == "ALL" or (wanted == "TERMINATED") == (job["currentState"] in TERMINATED))
        ]
        return {"jobs": jobs}

    def _get(self, request: Request, project: str, location: str, job_id: str) -> Json:
        for job in self._in(project, location):
            if job["id"] == job_id:
                summary = request.method == "GET" and request.query.get("view") in _SUMMARIES
                return {k: v for k, v in job.items() if k != "labels"} if summary else job
        raise Refusal(404, f"there is no job {job_id} in project {project} and region {location}")

    def _update(self, request: Request, project: str, location: str, job_id: str) -> Json:
        job = self._get(request, project, location, job_id)
        wanted = _job(request.body).requested_state
        if job["currentState"] in TERMINATED:
            raise Refusal(400, f"job {job_id} has ended: {job['currentState']}")
        job["requestedState"] = wanted.name
        if wanted == JobState.JOB_STATE_CANCELLED:
            job["currentState"] = "JOB_STATE_CANCELLING"
        return job

    def _tell(self, request: Request, project: str, location: str, job_id: str) -> Json:
        self._get(request, project, location, job_id)
        least = _IMPORTANCE[request.query.get("minimumImportance", "1")]
        told = self._messages.get(job_id, [])
        return {"jobMessages": [m for m in told if _IMPORTANCE[m["messageImportance"]] >= least]}

    def _measure(self, request: Request, project: str, location: str, job_id: str) -> Json:
        self._get(request, project, location, job_id)
        # The service tells every figure twice: as it is certain, and as it may be.
        metrics = [
            {
                "name": {"origin": "dataflow/v1b3", "name": name, "context": context},
                "scalar": value,
                "updateTime": CREATED_AT,
            }
            for name, value in self._metrics.get(job_id, {}).items()
            for context in ({"original_name": f"Service-{name}"}, {"tentative": "true"})
        ]
        own = {"name": {"origin": "user", "name": "TotalVcpuTime", "context": {"step": "s1"}}, "scalar": 1e9}
        return {"metricTime": CREATED_AT, "metrics": [*metrics, own]}


def _job(body: Json) -> Job:
    """A job sent as JSON: enumerations by name or by number."""
    return Job.from_json(json.dumps(body))


_PROJECT = "/v1b3/projects/(?P<project>[^/:]+)"
_JOBS = f"{_PROJECT}/locations/(?P<location>[^/:]+)/jobs"
_JOB = f"{_JOBS}/(?P<job_id>[^/:]+)"
_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Json]]] = [
    (method, re.compile(path), handle)
    for method, path, handle in (
        ("POST", _JOBS, DataflowEndpoint._create),
        ("POST", f"{_PROJECT}/locations/(?P<location>[^/:]+)/flexTemplates:launch", DataflowEndpoint._launch),
        ("GET", _JOBS, DataflowEndpoint._list),
        ("GET", f"{_PROJECT}/jobs:aggregated", DataflowEndpoint._list),
        ("GET", _JOB, DataflowEndpoint._get),
        ("PUT", _JOB, DataflowEndpoint._update),
        ("GET", f"{_JOB}/messages", DataflowEndpoint._tell),
        ("GET", f"{_JOB}/metrics", DataflowEndpoint._measure),
    )
]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: DataflowEndpoint


class _Handler(BaseHTTPRequestHandler):
    """Passes requests to the endpoint, and its answers back."""

    server: _Server

    def _handle(self) -> None:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command,
            url.path,
            dict(parse_qsl(url.query)),
            dict(self.headers.items()),
            json.loads(sent) if sent else None,
        )
        try:
            code, answer = 200, self.server.endpoint.answer(request)
        except Refusal as refusal:
            code, answer = refusal.code, refusal.json
        data = answer.encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _handle

    def log_message(self, *_: object) -> None:
        """Nothing: the requests are kept."""
