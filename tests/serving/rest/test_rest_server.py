"""The REST API in front of a real server of a small model."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import numpy as np
import pytest
import tensorflow as tf
from fastapi import FastAPI

from models import signature_names
from serving import web_server
from serving.defaults import LOOPBACK
from serving.embedded.server import ModelServer
from serving.rest.bounds import Answer, Answers, Bounds
from serving.rest.description import PREDICT
from serving.rest.grpc_model import GrpcModel
from serving.rest.rest_app import rest_app
from serving.rest.rest_errors import RestError
from serving.rest.rest_server import RestServer
from tests.models.export.exported_models import arrays
from tests.serving import tiny_models
from tests.serving.asking import SECONDS, VERSION, Calls, wait_until

MODEL = f"/v1/models/{tiny_models.MODEL}"


@contextmanager
def rest(server: ModelServer | int, **options: Any) -> Iterator[httpx.Client]:
    """A client of a REST API before a server, or before a port."""
    port = server if isinstance(server, int) else server.port
    started = RestServer(f"{LOOPBACK}:{port}", LOOPBACK, 0, **options)
    try:
        with httpx.Client(base_url=started.url, timeout=SECONDS) as client:
            yield client
    finally:
        started.stop()


@pytest.fixture(scope="module")
def api(server: ModelServer) -> Iterator[httpx.Client]:
    with rest(server) as client:
        yield client


def predict(api: httpx.Client, body: dict[str, Any], path: str = MODEL) -> Any:
    response = api.post(f"{path}:predict", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def as_json(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert response.json().keys() == {"error"}
    return response.status_code, response.json()["error"]


def test_the_status_is_that_of_tensorflow_serving(api: httpx.Client) -> None:
    expected = {
        "model_version_status": [
            {
                "version": str(VERSION),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    for path in (MODEL, f"{MODEL}/versions/{VERSION}", f"{MODEL}/labels/stable"):
        assert api.get(path).json() == expected


def test_the_metadata_has_the_signatures(api: httpx.Client) -> None:
    answer = api.get(f"{MODEL}/metadata").json()
    assert answer["model_spec"] == {
        "name": tiny_models.MODEL,
        "version": str(VERSION),
        "signature_name": "",
    }
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    k = signatures[signature_names.RECOMMEND]["inputs"]["k"]
    assert (k["dtype"], k["tensor_shape"]) == ("DT_INT32", {"dim": [], "unknown_rank": False})
    assert answer == api.get(f"{MODEL}/versions/{VERSION}/metadata").json()


def test_predict_by_rows_and_by_columns(api: httpx.Client) -> None:
    users, movies = ["a", "Täxi"], ["movie", ""]
    expected = tiny_models.rating([each.encode() for each in users], [m.encode() for m in movies])
    rows = [{"user_id": user, "movie_id": movie} for user, movie in zip(users, movies, strict=True)]
    for path in (MODEL, f"{MODEL}/versions/{VERSION}", f"{MODEL}/labels/stable"):
        answer = predict(api, {"signature_name": "predict", "instances": rows}, path)
        assert answer == {"predictions": expected.tolist()}
    columns = {"user_id": users, "movie_id": movies}
    answer = predict(api, {"signature_name": "predict", "inputs": columns})
    assert answer == {"outputs": expected.tolist()}


def test_recommend_by_columns(api: httpx.Client) -> None:
    body = {"signature_name": "recommend", "inputs": {"user_id": ["abc", ""], "k": 2}}
    expected = {
        name: [
            [value.decode() if isinstance(value, bytes) else value for value in row]
            for row in array.tolist()
        ]
        for name, array in tiny_models.recommended([b"abc", b""], 2).items()
    }
    assert predict(api, body) == {"outputs": expected}


def test_several_outputs_by_rows(api: httpx.Client) -> None:
    numbers = np.array([[1, 2], [3, 2**40 + 1]])
    rows = [
        {"numbers": row, "flags": flag}
        for row, flag in zip(numbers.tolist(), [True, False], strict=True)
    ]
    answer = predict(api, {"signature_name": tiny_models.TYPES, "instances": rows})
    assert answer == {
        "predictions": [
            {"sums": int(row.sum()), "negated": negated, "halves": (row / 2).tolist()}
            for row, negated in zip(numbers, [False, True], strict=True)
        ]
    }


def test_the_default_signature_takes_examples_as_base64(api: httpx.Client) -> None:
    example = tf.train.Example()
    for name, value in (("user_id", b"42"), ("movie_id", b"50")):
        example.features.feature[name].bytes_list.value.append(value)
    text = base64.b64encode(example.SerializeToString()).decode()
    assert predict(api, {"instances": [{"b64": text}]}) == {
        "predictions": tiny_models.rating([b"42"], [b"50"]).tolist()
    }


@pytest.mark.parametrize(
    ("method", "path", "code", "text"),
    [
        ("GET", "/v1/models/other", 404, 'model "other"'),
        ("GET", f"{MODEL}/versions/99", 404, "version 99"),
        ("GET", f"{MODEL}/versions/new", 400, "version: "),
        ("GET", f"{MODEL}/versions/{2**63}", 400, "version: "),
        ("GET", f"{MODEL}/labels/nope", 400, 'label: "nope"'),
        ("GET", f"{MODEL}/labels/gone/metadata", 404, "Servable not found"),
        ("GET", f"{MODEL}:predict", 400, "Malformed request"),
        ("GET", f"{MODEL}/", 400, "Malformed request"),
        ("GET", "/v1/models", 400, "Malformed request: GET /v1/models"),
        ("POST", MODEL, 400, f"Malformed request: POST {MODEL}"),
        ("POST", f"{MODEL}:guess", 400, "Malformed request"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request"),
        ("POST", f"{MODEL}:classify", 501, "classify is not offered"),
        ("POST", f"{MODEL}/versions/3:regress", 501, "regress is not offered"),
        ("GET", "/elsewhere", 404, "/elsewhere: no such path"),
    ],
)
def test_a_wrong_path_has_the_code_of_tensorflow_serving(
    api: httpx.Client, method: str, path: str, code: int, text: str
) -> None:
    body = b'{"inputs": ["a"]}' if method == "POST" else None
    given, said = refusal(api.request(method, path, content=body))
    assert given == code
    assert text in said


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"signature_name": "nope", "inputs": []}, 'Serving signature name: "nope" not found'),
        ({"signature_name": tiny_models.POSITIVE, "inputs": [-1]}, "expected positive numbers"),
        (
            {"signature_name": "predict", "inputs": {"user_id": ["a"], "movie_id": []}},
            "expected as many rows",
        ),
        ({"signature_name": "recommend", "instances": [{"user_id": "a", "k": 1}]}, "is a scalar"),
    ],
)
def test_what_the_model_refuses_is_a_bad_request(
    api: httpx.Client, body: dict[str, Any], text: str
) -> None:
    code, said = refusal(api.post(f"{MODEL}:predict", json=body))
    assert code == 400
    assert text in said
    assert "__saved_model_init_op" not in said


def test_an_answer_that_is_too_large_is_429(api: httpx.Client) -> None:
    columns = {"user_id": ["a"] * 200_000, "k": tiny_models.MOVIES}
    response = api.post(f"{MODEL}:predict", json={"signature_name": "recommend", "inputs": columns})
    assert refusal(response)[0] == 429


def test_a_server_that_does_not_answer_is_503() -> None:
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    with rest(port) as api:
        for response in (api.get(MODEL), api.post(f"{MODEL}:predict", json={"inputs": []})):
            code, said = refusal(response)
            assert code == 503
            assert "movierec serve" in said


def test_a_model_that_takes_too_long_is_504(server: ModelServer) -> None:
    body = {"signature_name": tiny_models.SLOW, "inputs": 2.0}
    with rest(server, call_seconds=0.5) as api:
        code, said = refusal(api.post(f"{MODEL}:predict", json=body))
    assert code == 504
    assert "within 0.5 s" in said


def test_a_body_over_the_limit_is_413_with_or_without_its_length(server: ModelServer) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    with rest(server, bounds=Bounds(max_body_bytes=1000)) as api:
        for content in (b" " * 1001, chunks()):
            code, said = refusal(api.post(f"{MODEL}:predict", content=content))
            assert code == 413
            assert "more than 1000 bytes" in said
        assert api.get(MODEL).status_code == 200


def test_bodies_at_once_over_the_limit_are_429(server: ModelServer) -> None:
    with rest(server, bounds=Bounds(max_held_bytes=100)) as api:
        # What has been answered is not held any more.
        for _ in range(3):
            assert refusal(api.post(f"{MODEL}:predict", content=b" " * 60))[0] == 400
        code, said = refusal(api.post(f"{MODEL}:predict", content=b" " * 101))
    assert (code, said) == (
        429,
        "the server already has as much to read as it takes: try again later, or ask for less at "
        "once",
    )


def test_large_answers_at_once_over_the_limit_are_429(server: ModelServer) -> None:
    columns = {"user_id": ["a"] * 200, "k": tiny_models.MOVIES}
    large = {"signature_name": "recommend", "inputs": columns}
    small = {"signature_name": "predict", "inputs": {"user_id": ["a"], "movie_id": ["b"]}}
    with rest(server, bounds=Bounds(max_answer_bytes=2_000, max_requests=2)) as api:
        code, said = refusal(api.post(f"{MODEL}:predict", json=large))
        assert (code, said) == (
            429,
            "the server already has as much to answer as it takes: try again later, or ask for "
            "less at once",
        )
        assert api.post(f"{MODEL}:predict", json=small).status_code == 200


def test_there_is_room_for_a_small_answer_beside_large_ones() -> None:
    answers = Answers(Bounds(max_answer_bytes=100, max_requests=10))
    first, second, small = (Answer(answers) for _ in range(3))
    first.hold(60)
    with pytest.raises(RestError, match="as much to answer"):
        second.hold(50)
    # Whoever reads slowly keeps nobody from a small answer.
    small.hold(10)
    first.end()
    Answer(answers).hold(100)


def test_an_answer_for_a_client_who_has_gone_is_never_counted() -> None:
    answers = Answers(Bounds(max_answer_bytes=100, max_requests=10))
    gone = Answer(answers)
    gone.end()
    with pytest.raises(RestError, match="gone"):
        gone.hold(60)
    Answer(answers).hold(100)


def test_requests_at_once_over_the_limit_are_429_and_the_next_one_is_answered(
    server: ModelServer, calls: Calls
) -> None:
    body = {"signature_name": tiny_models.SLOW, "inputs": 0.0}
    with rest(server, bounds=Bounds(max_requests=1)) as api, ThreadPoolExecutor(1) as other:
        with calls.held(tiny_models.SLOW):
            slow = other.submit(api.post, f"{MODEL}:predict", json=body)
            wait_until(lambda: calls.signatures == [tiny_models.SLOW])
            code, said = refusal(api.get(MODEL))
        assert slow.result().status_code == 200
        assert code == 429
        assert "already has 1 requests, its limit" in said
        assert api.get(MODEL).status_code == 200


def test_a_body_that_does_not_arrive_is_408(server: ModelServer) -> None:
    with (
        rest(server, bounds=Bounds(body_seconds=0.2)) as api,
        socket.create_connection((LOOPBACK, api.base_url.port or 0), SECONDS) as slow,
    ):
        head = f"POST {MODEL}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        slow.sendall(f"{head}\r\n{{".encode())
        answer = b"".join(iter(lambda: slow.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2]) == {
        "error": "the body did not arrive within 0.2 s"
    }


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localh"])
def test_a_head_that_does_not_arrive_ends_the_connection(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(web_server.PatientProtocol, "head_seconds", 0.2)
    with (
        rest(server) as api,
        socket.create_connection((LOOPBACK, api.base_url.port or 0), SECONDS) as silent,
    ):
        silent.sendall(sent)
        with suppress(ConnectionResetError):
            assert silent.recv(4096) == b""


def test_a_client_that_reads_no_answer_is_cut_off(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, cut_off: threading.Event
) -> None:
    monkeypatch.setattr(web_server.PatientProtocol, "read_seconds", 0.2)
    columns = {"user_id": ["a"] * 10_000, "k": tiny_models.MOVIES}
    body = json.dumps({"signature_name": "recommend", "inputs": columns})
    head = f"POST {MODEL}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with rest(server) as api, socket.socket() as deaf:
        # Otherwise the kernel would take most of the answer.
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(SECONDS)
        deaf.connect((LOOPBACK, api.base_url.port or 0))
        deaf.sendall(f"{head}\r\n{body}".encode())
        assert cut_off.wait(SECONDS)


def test_a_foreign_host_name_is_refused_on_loopback(api: httpx.Client) -> None:
    assert refusal(api.get(MODEL, headers={"Host": "evil.example"}))[0] == 421
    for name in ("localhost:1", "127.0.0.1", "[::1]:8501"):
        assert api.get(MODEL, headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("own_host", [LOOPBACK, None])
def test_the_page_about_the_api_may_load_nothing_from_elsewhere(own_host: str | None) -> None:
    # A server for other machines answers to whatever name they have for it.
    url = f"http://{'localhost' if own_host else 'movies.example'}/docs"

    async def asked(app: FastAPI) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.get(url)

    with ThreadPoolExecutor(1) as threads:
        app = rest_app(GrpcModel(f"{LOOPBACK}:1", 1), threads, Bounds(), own_host)
        page = asyncio.run(asked(app))
    assert page.status_code == 200
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_page_about_the_api_loads_nothing_from_elsewhere(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert "<script" not in page.text
    loaded = re.findall(r'<(?:link|img|script)[^>]*(?:href|src)="([^"]*)"', page.text)
    assert loaded == ["/static/icon.svg", "/static/docs.css"]
    assert [api.get(path).status_code for path in loaded] == [200, 200]
    assert api.get("/", follow_redirects=True).text == page.text
    for path, methods in api.get("/openapi.json").json()["paths"].items():
        assert path in page.text
        assert len(methods) == 1


def test_the_description_names_every_path(api: httpx.Client) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    expected = {
        f"/v1/models/{{name}}{address}{end}"
        for address in ("", "/versions/{version}", "/labels/{label}")
        for end in ("", "/metadata", ":predict", ":classify", ":regress")
    }
    assert paths.keys() == expected
    codes = {code for path in paths.values() for one in path.values() for code in one["responses"]}
    assert codes == {"200", "400", "404", "408", "413", "429", "501", "503", "504"}


def test_the_examples_have_the_inputs_of_the_signatures() -> None:
    examples = PREDICT["openapi_extra"]["requestBody"]["content"]["application/json"]["examples"]
    for name, example in examples.items():
        value = example["value"]
        assert value["signature_name"] == name
        given = value.get("inputs") or {
            key: [row[key] for row in value["instances"]] for key in value["instances"][0]
        }
        expected = arrays(name)
        assert {key: np.ndim(entry) for key, entry in given.items()} == {
            key: array.ndim for key, array in expected.items()
        }
