"""A server on loopback that answers as the Kubernetes API does, on the paths that a TFJob takes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Document = dict[str, Any]

JOBS = re.compile(r"/apis/kubeflow\.org/v1/namespaces/(?P<namespace>[^/]+)/tfjobs")
JOB = re.compile(JOBS.pattern + r"/(?P<name>[^/]+)")
PODS = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods")
LOG = re.compile(PODS.pattern + r"/(?P<name>[^/]+)/log")


@dataclass
class Answer:
    """What is sent back; no status closes the connection without a word."""

    status: int | None
    body: Any = ""


def status(code: int, reason: str, message: str) -> Answer:
    """A refusal, as a Status object."""
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return Answer(code, {**document, "code": code, "reason": reason, "message": message})


@dataclass
class Api:
    """What the cluster has, and what it was asked.

    Attributes:
        jobs: by name.
        pods: all of them.
        logs: lines with their times, by pod.
        asked: method, path and query of each request.
        instead: looked at before anything else is done; None goes on as usual.
        changed: is called before each answer to a question about a job.
    """

    jobs: dict[str, Document] = field(default_factory=dict)
    pods: list[Document] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    instead: Callable[[str, str], Answer | None] = lambda method, path: None
    changed: Callable[[Document], None] = lambda job: None
    url: str = ""

    def requests(self, method: str) -> list[str]:
        return [path for asked, path, _ in self.asked if asked == method]

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        self.asked.append((method, path, query))
        other = self.instead(method, path)
        if other is not None:
            return other
        if method == "POST" and JOBS.fullmatch(path):
            return self._create(body)
        if found := JOB.fullmatch(path):
            return self._job(method, found["name"])
        return self._of_pods(path, query)

    def _of_pods(self, path: str, query: dict[str, list[str]]) -> Answer:
        if PODS.fullmatch(path):
            (selector,) = query["labelSelector"]
            key, _, value = selector.partition("=")
            chosen = [p for p in self.pods if p["metadata"]["labels"].get(key) == value]
            return Answer(200, {"kind": "PodList", "apiVersion": "v1", "items": chosen})
        if found := LOG.fullmatch(path):
            if found["name"] not in self.logs:
                return status(400, "BadRequest", "container is waiting to start")
            return Answer(200, "".join(f"{line}\n" for line in self.logs[found["name"]]))
        return Answer(404, "404 page not found\n")

    def _create(self, job: Document) -> Answer:
        name = job["metadata"]["name"]
        if name in self.jobs:
            return status(409, "AlreadyExists", f'tfjobs.kubeflow.org "{name}" already exists')
        self.jobs[name] = job
        return Answer(201, job)

    def _job(self, method: str, name: str) -> Answer:
        if name in self.jobs and method == "GET":
            self.changed(self.jobs[name])
        if name not in self.jobs:
            return status(404, "NotFound", f'tfjobs.kubeflow.org "{name}" not found')
        if method == "DELETE":
            del self.jobs[name]
            return status(200, "", "")
        return Answer(200, self.jobs[name])

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads a client here."""
        path = folder / "kubeconfig"
        named = {"name": "local"}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "local",
                    "contexts": [{**named, "context": {"cluster": "local", "user": "local"}}],
                    "clusters": [{**named, "cluster": {"server": self.url}}],
                    "users": [{**named, "user": {}}],
                }
            )
        )
        return path


def serve(api: Api) -> ThreadingHTTPServer:
    """A running server of it; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            answer = api.answer(self.command, parts.path, parse_qs(parts.query), body)
            if answer.status is None:
                self.close_connection = True
                return
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            self.send_response(answer.status)
            kind = "text/plain" if isinstance(answer.body, str) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
