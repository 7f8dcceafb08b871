"""A Kubeflow Pipelines server on loopback that takes what the published API describes, no more.

The description is that of `kfp_server_api`, which is generated from it: paths, methods, names of
what is in a query, and the models of bodies.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
from kfp_server_api import models

_SIMPLE = {"str": str, "bool": bool, "int": int, "float": float, "datetime": str}


class RefusedError(Exception):
    """A request that the published API does not know."""


@dataclass(frozen=True)
class Operation:
    """One operation of the published API."""

    method: str
    path: str
    query: frozenset[str]
    body: str | None
    file: str | None

    def matches(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/:]+", re.escape(self.path))
        return method == self.method and re.fullmatch(pattern, path) is not None


def published() -> list[Operation]:
    found = []
    for name, api in inspect.getmembers(kfp_server_api, inspect.isclass):
        if not name.endswith("ServiceApi"):
            continue
        for member, function in inspect.getmembers(api, inspect.isfunction):
            if member.endswith("_with_http_info"):
                found.append(_operation(inspect.getsource(function)))
    return found


def _operation(source: str) -> Operation:
    path, method = re.findall(r"'(/apis/[^']+)', '([A-Z]+)'", source)[0]
    body = re.findall(r"body_params = local_var_params\['(\w+)'\]", source)
    file = re.findall(r"local_var_files\['(\w+)'\]", source)
    return Operation(
        method,
        path,
        frozenset(re.findall(r"query_params\.append\(\('([^']+)'", source)),
        re.findall(rf":type {body[0]}: (\w+)", source)[0] if body else None,
        file[0] if file else None,
    )


def check(value: Any, kind: str, where: str = "body") -> None:
    """Holds a value against a type of the published API."""
    listed = re.fullmatch(r"list\[(.+)\]", kind)
    mapped = re.fullmatch(r"dict\(str, (.+)\)", kind)
    if kind == "object":
        return
    if listed:
        _expect(isinstance(value, list), where, kind)
        for entry in value:
            check(entry, listed[1], where)
    elif mapped:
        _expect(isinstance(value, dict), where, kind)
        for key, entry in value.items():
            check(entry, mapped[1], f"{where}.{key}")
    elif kind in _SIMPLE:
        # A number of 64 bits is a text in the description, and may come as a number.
        whole = where.endswith(".max_concurrency") and type(value) is int
        _expect(type(value) is _SIMPLE[kind] or whole, where, kind)
    else:
        _check_model(value, getattr(models, kind), where)


def _check_model(value: Any, model: Any, where: str) -> None:
    if not model.openapi_types:
        allowed = [v for k, v in vars(model).items() if k.isupper() and isinstance(v, str)]
        _expect(value in allowed, where, str(allowed))
        return
    _expect(isinstance(value, dict), where, model.__name__)
    kinds = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
    for key, entry in value.items():
        _expect(key in kinds, f"{where}.{key}", f"one of {sorted(kinds)}")
        check(entry, kinds[key], f"{where}.{key}")


def predicate_of(text: str) -> dict[str, Any]:
    """The one predicate of a filter, its operation by name: JSON may have its number, too."""
    document = json.loads(text)
    operations = {0: "OPERATION_UNSPECIFIED", 1: "EQUALS"}
    for predicate in document["predicates"]:
        predicate["operation"] = operations.get(predicate["operation"], predicate["operation"])
        predicate["string_value"] = predicate.pop("stringValue")
    check(document, "V2beta1Filter")
    (predicate,) = document["predicates"]
    return dict(predicate)


def _expect(true: bool, where: str, what: str) -> None:
    if not true:
        raise RefusedError(f"{where}: expected {what}")


@dataclass(frozen=True)
class Received:
    """A request that was taken."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    file: tuple[str, bytes] | None
    authorization: str | None


@dataclass
class Kfp:
    """What the server holds, and what it is to answer.

    Attributes:
        received: what was asked, in order.
        refused: what the published API does not know.
        looks: what each next look at a run shows: a run, or a status of HTTP.
        tag: what it was built from; None if it does not say.
        failing: statuses of HTTP with messages, by the path that answers with them.
    """

    port: int = 0
    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    looks: list[dict[str, Any] | int] = field(default_factory=list)
    tag: str | None = "2.17.0"
    failing: dict[str, tuple[int, str]] = field(default_factory=dict)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def posts(self, end: str = "") -> list[Received]:
        return [r for r in self.received if r.method == "POST" and r.path.endswith(end)]

    def answer(self, request: Received) -> tuple[int, dict[str, Any]]:
        path = request.path.removeprefix("/apis/v2beta1")
        if path in self.failing:
            status, message = self.failing[path]
            return status, {"error": message, "code": 2, "message": message}
        if path == "/healthz":
            # More than is published, as servers have it.
            return 200, {"multi_user": False, "commit_sha": "unknown", "tag_name": self.tag}
        if path.startswith("/runs/"):
            look = self.looks.pop(0)
            if isinstance(look, int):
                return look, {"message": "later"}
            return 200, look
        if request.method == "GET":
            return 200, self._listed(path, request.query)
        return 200, self._made(path, request)

    def _listed(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        predicate = predicate_of(query["filter"])
        assert (predicate["operation"], predicate["key"]) == ("EQUALS", "display_name")
        kind = path.rpartition("/")[2]
        entries = getattr(self, kind)
        if kind == "versions":
            entries = [e for e in entries if e["pipeline_id"] == path.split("/")[2]]
        else:
            space = query.get("namespace") or None
            entries = [e for e in entries if e.get("namespace") == space]
        found = [e for e in entries if e["display_name"] == predicate["string_value"]]
        return {"pipeline_versions" if kind == "versions" else kind: found} if found else {}

    def _made(self, path: str, request: Received) -> dict[str, Any]:
        number = next(self.numbers)
        if path == "/pipelines/upload_version":
            ids = {"pipeline_id": request.query["pipelineid"], "pipeline_version_id": f"v{number}"}
            self.versions.append({**ids, "display_name": request.query["name"]})
            return self.versions[-1]
        key, kept = {
            "/pipelines": ("pipeline_id", self.pipelines),
            "/experiments": ("experiment_id", self.experiments),
            "/runs": ("run_id", []),
            "/recurringruns": ("recurring_run_id", []),
        }[path]
        made = {**request.body, key: f"id-{number}"}
        made["namespace"] = made.get("namespace") or None
        kept.append(made)
        return made


@contextmanager
def served() -> Iterator[Kfp]:
    kfp, operations = Kfp(), published()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._take("GET")

        def do_POST(self) -> None:
            self._take("POST")

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def _take(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                request = _received(operations, method, self.path, self.headers, content)
                kfp.received.append(request)
                status, answer = kfp.answer(request)
            except RefusedError as error:
                kfp.refused.append(f"{method} {self.path}: {error}")
                status, answer = 400, {"message": str(error)}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kfp.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield kfp
        finally:
            server.shutdown()
            thread.join()


def _received(
    operations: list[Operation], method: str, target: str, headers: Message, content: bytes
) -> Received:
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    matching = [o for o in operations if o.matches(method, parts.path)]
    _expect(len(matching) == 1, parts.path, "a published path")
    (operation,) = matching
    _expect(set(query) <= operation.query, str(sorted(query)), str(sorted(operation.query)))
    body, file = None, None
    if operation.body:
        _expect(headers["Content-Type"] == "application/json", "Content-Type", "JSON")
        body = json.loads(content)
        check(body, operation.body)
    elif operation.file:
        file = _file(operation.file, headers["Content-Type"], content)
    else:
        _expect(not content, "body", "nothing")
    return Received(method, parts.path, query, body, file, headers["Authorization"])


def _file(name: str, content_type: str, content: bytes) -> tuple[str, bytes]:
    message = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + content)
    _expect(message.get_content_type() == "multipart/form-data", content_type, "a form")
    (part,) = message.get_payload()
    _expect(part.get_param("name", header="Content-Disposition") == name, "form", name)
    return part.get_filename(), part.get_payload(decode=True)
