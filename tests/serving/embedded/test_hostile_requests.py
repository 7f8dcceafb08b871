"""Requests that are wrong, too large, too many or no requests; the server goes on answering."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from serving.defaults import LOOPBACK
from serving.embedded import prediction_service
from serving.embedded.prediction_service import Caller
from serving.embedded.server import WORKERS, ModelServer
from serving.server_options import ServerOptions
from tests.serving import tiny_models
from tests.serving.asking import SECONDS, Asked, Calls, asking, refused, running, wait_until
from tests.serving.tiny_models import MODEL, POSITIVE, SLOW, pairs, predict_request, rating

METHOD = "/tensorflow.serving.PredictionService/Predict"
METHODS = [
    METHOD,
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
]
USER, MOVIE, K = features.USER_ID, features.MOVIE_ID, signature_names.K
PREDICT, RECOMMEND = signature_names.PREDICT, signature_names.RECOMMEND
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
IDS = np.array([b"1", b"2"], object)


@pytest.fixture(autouse=True)
def _lives(asked: Asked) -> Iterator[None]:
    """After whatever was sent to it, the server gives the right answer."""
    yield
    answer = asked.predictions.Predict(pairs([b"abc"], [b"de"]), timeout=SECONDS)
    found = tf.make_ndarray(answer.outputs[features.RATING])
    np.testing.assert_array_equal(found, rating([b"abc"], [b"de"]), strict=True)


def predict(request: predict_pb2.PredictRequest, asked: Asked) -> Callable[[], object]:
    return lambda: asked.predictions.Predict(request, timeout=SECONDS)


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        pytest.param(
            predict_pb2.PredictRequest(), INVALID_ARGUMENT, ["ModelSpec"], id="nothing at all"
        ),
        pytest.param(predict_request(PREDICT, {}), INVALID_ARGUMENT, [USER, MOVIE], id="no inputs"),
        pytest.param(
            predict_request(PREDICT, {USER: IDS}), INVALID_ARGUMENT, [MOVIE], id="missing input"
        ),
        pytest.param(
            predict_request(PREDICT, {USER: IDS, MOVIE: IDS, "extra": IDS}),
            INVALID_ARGUMENT,
            ["extra", USER, MOVIE],
            id="extra input",
        ),
        pytest.param(
            predict_request(PREDICT, {USER: IDS, MOVIE: np.array([1, 2])}),
            INVALID_ARGUMENT,
            [MOVIE, "string", "int64"],
            id="numbers for strings",
        ),
        pytest.param(
            predict_request(RECOMMEND, {USER: IDS, K: np.int64(3)}),
            INVALID_ARGUMENT,
            [K, "int32", "int64"],
            id="wider numbers",
        ),
        pytest.param(
            predict_request(RECOMMEND, {USER: IDS, K: IDS[0]}),
            INVALID_ARGUMENT,
            [K, "int32", "string"],
            id="a string for a number",
        ),
        pytest.param(
            predict_request(RECOMMEND, {USER: IDS, K: np.array([3, 3], np.int32)}),
            INVALID_ARGUMENT,
            [K, "[]", "[2]"],
            id="k for each row",
        ),
        pytest.param(
            predict_request(PREDICT, {USER: IDS[:1], MOVIE: IDS[0]}),
            INVALID_ARGUMENT,
            [MOVIE],
            id="scalar for a vector",
        ),
        pytest.param(
            predict_request(PREDICT, {USER: IDS, MOVIE: IDS[np.newaxis]}),
            INVALID_ARGUMENT,
            [MOVIE, "[1, 2]"],
            id="matrix for a vector",
        ),
        pytest.param(
            predict_request(PREDICT, {USER: IDS, MOVIE: IDS[:1]}),
            INVALID_ARGUMENT,
            [USER, MOVIE, "as many rows"],
            id="unequal rows",
        ),
        pytest.param(
            predict_request(
                tiny_models.TYPES,
                {"numbers": np.zeros((3, 5), np.int64), "flags": np.array([True])},
            ),
            INVALID_ARGUMENT,
            ["numbers", "2", "[3, 5]"],
            id="another width",
        ),
        pytest.param(
            predict_request("", {"examples": np.array([b"\xff\x00no example"], object)}),
            INVALID_ARGUMENT,
            ["xample"],
            id="no example",
        ),
        pytest.param(
            predict_request(POSITIVE, {"x": np.array([1, -1], np.float32)}),
            INVALID_ARGUMENT,
            ["x: expected positive numbers"],
            id="refused by the model",
        ),
        pytest.param(pairs([b"1"], [b"2"], name="other"), NOT_FOUND, ["other"], id="another model"),
        pytest.param(pairs([b"1"], [b"2"], name=""), INVALID_ARGUMENT, ["name"], id="no model"),
        pytest.param(pairs([b"1"], [b"2"], version=99), NOT_FOUND, ["99"], id="another version"),
        pytest.param(pairs([b"1"], [b"2"], version=-1), NOT_FOUND, ["-1"], id="negative version"),
        pytest.param(
            pairs([b"1"], [b"2"], version_label="best"),
            INVALID_ARGUMENT,
            ["best"],
            id="another label",
        ),
        pytest.param(
            pairs([b"1"], [b"2"], version_label="gone"), NOT_FOUND, ["4"], id="label of no version"
        ),
        pytest.param(
            predict_request("rate", {USER: IDS, MOVIE: IDS}),
            grpc.StatusCode.FAILED_PRECONDITION,
            ["rate", PREDICT, RECOMMEND],
            id="another signature",
        ),
        pytest.param(
            pairs([b"1"], [b"2"], output_filter=("stars",)),
            INVALID_ARGUMENT,
            ["stars", features.RATING],
            id="another output",
        ),
        pytest.param(
            pairs([b"1"], [b"2"], output_filter=(features.RATING, features.RATING)),
            INVALID_ARGUMENT,
            [features.RATING],
            id="an output twice",
        ),
    ],
)
def test_a_mistake_is_named(
    asked: Asked,
    request_: predict_pb2.PredictRequest,
    code: grpc.StatusCode,
    expected: list[str],
) -> None:
    found, text = refused(predict(request_, asked))
    assert found == code, text
    assert [part for part in expected if part not in text] == [], text
    assert "Traceback" not in text


def claim(shape: list[int], **content: Any) -> predict_pb2.PredictRequest:
    """A request with numbers that are not what their shape says."""
    request = predict_request(POSITIVE, {})
    tensor = request.inputs["x"]
    tensor.dtype = content.pop("dtype", tf.float32.as_datatype_enum)
    tensor.tensor_shape.unknown_rank = content.pop("unknown_rank", False)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    for name, value in content.items():
        if isinstance(value, bytes):
            setattr(tensor, name, value)
        else:
            getattr(tensor, name).extend(value)
    return request


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(claim([2**40], float_val=[1]), id="a terabyte from one value"),
        pytest.param(claim([2**40]), id="a terabyte from none"),
        pytest.param(claim([2**40], tensor_content=b"\x00" * 4), id="a terabyte from 4 bytes"),
        pytest.param(claim([2**31, 2**31, 4], float_val=[1]), id="a product of 2^64"),
        pytest.param(claim([2**62, 2**62], float_val=[1]), id="a product far beyond"),
        pytest.param(claim([-1], float_val=[1]), id="negative size"),
        pytest.param(claim([2**63 - 1], float_val=[1]), id="the largest size"),
        pytest.param(claim([-(2**63)], float_val=[1]), id="the smallest size"),
        pytest.param(claim([1] * 300, float_val=[1]), id="300 axes"),
        pytest.param(claim([0, 2**62, 2**62]), id="nothing, in a large shape"),
        pytest.param(claim([2], tensor_content=b"\x00" * 7), id="bytes that do not divide"),
        pytest.param(claim([2], tensor_content=b"\x00" * 12), id="more bytes than the shape"),
        pytest.param(claim([1], float_val=[1, 2]), id="more values than the shape"),
        pytest.param(claim([1], int_val=[1]), id="values of another type"),
        pytest.param(claim([1], unknown_rank=True, float_val=[1]), id="unknown rank"),
        pytest.param(claim([1], dtype=0, float_val=[1]), id="no type"),
        pytest.param(claim([1], dtype=9999, float_val=[1]), id="a type that there is not"),
        pytest.param(
            claim([1], dtype=tf.variant.as_datatype_enum, tensor_content=b"\x01"), id="variant"
        ),
        pytest.param(
            claim([1], dtype=tf.resource.as_datatype_enum, tensor_content=b"\x01"), id="resource"
        ),
    ],
)
def test_a_tensor_is_not_what_it_says(asked: Asked, request_: predict_pb2.PredictRequest) -> None:
    code, text = refused(predict(request_, asked))
    assert code == INVALID_ARGUMENT, text
    assert "x" in text


def test_strings_by_the_terabyte_from_one(asked: Asked) -> None:
    request = pairs([b"1"], [b"2"])
    for tensor in request.inputs.values():
        tensor.tensor_shape.dim[0].size = 2**40
    code, text = refused(predict(request, asked))
    assert code == INVALID_ARGUMENT, text


def test_a_million_ids(asked: Asked) -> None:
    users, movies = [b"7"] * 1_000_000, [b"50"] * 1_000_000
    answer = asked.predictions.Predict(pairs(users, movies), timeout=SECONDS)
    found = tf.make_ndarray(answer.outputs[features.RATING])
    np.testing.assert_array_equal(found, rating(users, movies), strict=True)


def test_a_larger_message_than_may_be(asked: Asked) -> None:
    request = pairs([b"x" * (ServerOptions.max_message_bytes + 1)], [b"2"])
    code, text = refused(predict(request, asked))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(ServerOptions.max_message_bytes) in text


def test_a_larger_answer_than_may_be(tiny_model: Path, tmp_path: Path) -> None:
    tiny_models.push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0, max_message_bytes=20_000)
    request = predict_request(RECOMMEND, {USER: [b"1"] * 1000, K: np.int32(20)})
    assert request.ByteSize() < 20_000
    with running(options) as server, asking(server.port) as asked:
        code, text = refused(predict(request, asked))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "20000" in text
        asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xff" * 100, id="no message"),
        pytest.param(pairs([b"1"], [b"2"]).SerializeToString()[:-3], id="cut off"),
        # A model_spec whose name is not UTF-8.
        pytest.param(b"\x0a\x04\x0a\x02\xff\xfe", id="a name in no encoding"),
        pytest.param(b"\x0a\xff\xff\xff\xff\x7f", id="a length beyond the end"),
        pytest.param(b"\x0b" * 10_000, id="groups in groups"),
    ],
)
def test_bytes_that_are_no_request(asked: Asked, message: bytes) -> None:
    code, text = refused(lambda: asked.channel.unary_unary(METHOD)(message, timeout=SECONDS))
    assert code == INVALID_ARGUMENT, text
    assert "PredictRequest" in text


def test_a_method_that_there_is_not(asked: Asked) -> None:
    for method in ("/tensorflow.serving.PredictionService/Train", "/other.Service/Predict", "/"):
        code, _ = refused(
            lambda method=method: asked.channel.unary_unary(method)(b"", timeout=SECONDS)
        )
        assert code == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_that_has_passed(asked: Asked) -> None:
    code, _ = refused(lambda: asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=-1))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_deadline_that_passes_during_the_call(asked: Asked) -> None:
    request = predict_request(SLOW, {"seconds": np.float64(1)})
    code, _ = refused(lambda: asked.predictions.Predict(request, timeout=0.1))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_model_is_not_asked_for_a_caller_who_waits_no_more(
    server: ModelServer,
    asked: Asked,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    cancelled: bool,
) -> None:
    callers: list[Caller] = []

    def noted(deadline: float | None) -> Caller:
        callers.append(Caller(deadline))
        return callers[-1]

    monkeypatch.setattr(prediction_service, "Caller", noted)
    slow = predict_request(SLOW, {"seconds": np.float64(0)})
    with calls.held(SLOW):
        busy = [asked.predictions.Predict.future(slow, timeout=SECONDS) for _ in range(WORKERS)]
        wait_until(lambda: len(calls.signatures) == WORKERS)
        late = asked.predictions.Predict.future(
            pairs([b"1"], [b"2"]), timeout=SECONDS if cancelled else 1
        )
        wait_until(lambda: late.done() or server.requests_in_flight == WORKERS + 1)
        if cancelled:
            late.cancel()
        assert late.code() == (
            grpc.StatusCode.CANCELLED if cancelled else grpc.StatusCode.DEADLINE_EXCEEDED
        )
        # The client knows at once; the server when it is told.
        wait_until(lambda: callers[-1].gone)
    for call in busy:
        call.result()
    wait_until(lambda: not server.requests_in_flight)
    assert calls.signatures == [SLOW] * WORKERS


@pytest.mark.parametrize("method", METHODS)
def test_a_half_closed_stream_without_a_message_is_answered(asked: Asked, method: str) -> None:
    """Also to a client that has no deadline."""
    error = asked.channel.stream_unary(method).future(iter([])).exception(SECONDS)
    # As gRPC's C++ has it.
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "expected one message" in error.details()


def test_of_several_messages_the_first_is_answered(asked: Asked) -> None:
    first = pairs([b"abc"], [b"de"]).SerializeToString()
    for others in ([b"\xff" * 10], [pairs([b"1"], [b"2"]).SerializeToString()] * 5):
        answer = asked.channel.stream_unary(
            METHOD, response_deserializer=predict_pb2.PredictResponse.FromString
        )(iter([first, *others]), timeout=SECONDS)
        assert answer.outputs[features.RATING].float_val == rating([b"abc"], [b"de"])


@pytest.mark.parametrize("quoted", [b"\xff" * 2000, "🎬".encode() * 500, b"%" * 2000])
def test_a_refusal_that_quotes_the_request_fits_into_a_header(asked: Asked, quoted: bytes) -> None:
    request = predict_request("", {"examples": np.array([quoted], object)})
    codes = Counter(refused(predict(request, asked))[0] for _ in range(20))
    assert codes == {INVALID_ARGUMENT: 20}


def test_half_open_streams_do_not_keep_others_from_being_answered(server: ModelServer) -> None:
    """Each holds its method open without ever sending the request."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(SECONDS)
        yield from ()

    with asking(server.port) as half_open:
        calls = [half_open.channel.stream_unary(METHOD).future(nothing()) for _ in range(48)]
        try:
            with asking(server.port) as asked:
                for _ in range(10):
                    asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)
        finally:
            for call in calls:
                call.cancel()
            over.set()


def test_more_half_open_streams_than_requests_may_be(server: ModelServer) -> None:
    """Once they are gone there is room again."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(SECONDS)
        yield from ()

    for _ in range(2):
        with asking(server.port) as half_open:
            calls = [
                half_open.channel.stream_unary(METHOD).future(nothing(), timeout=1)
                for _ in range(ServerOptions.max_concurrent_requests + 10)
            ]
            codes = {call.code() for call in calls}
            assert codes <= {
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            }
    over.set()


def test_requests_that_are_cancelled(asked: Asked) -> None:
    slow = predict_request(SLOW, {"seconds": np.float64(0.5)})
    for request in (slow, pairs([b"1"] * 1000, [b"2"] * 1000)):
        calls = [asked.predictions.Predict.future(request, timeout=SECONDS) for _ in range(8)]
        for call in calls:
            call.cancel()
        # One that was done before may have its answer.
        assert {call.code() for call in calls} <= {
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.OK,
        }


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"\x00" * 10_000,
        bytes(range(256)) * 100,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        # A frame that says it is longer than any may be.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000,
        # Settings, then the headers of a stream in a coding that is none.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        + b"\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff",
    ],
)
def test_noise_on_the_port(server: ModelServer, noise: bytes) -> None:
    for _ in range(5):
        with socket.create_connection((LOOPBACK, server.port), timeout=SECONDS) as connection:
            connection.sendall(noise)


def test_connections_that_say_nothing(server: ModelServer, asked: Asked) -> None:
    connections = [socket.create_connection((LOOPBACK, server.port)) for _ in range(100)]
    asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)
    with asking(server.port) as another:
        another.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)
    for connection in connections:
        connection.close()


def test_200_at_once_are_answered_or_refused(tiny_model: Path, tmp_path: Path) -> None:
    tiny_models.push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0, max_concurrent_requests=16)
    start = threading.Barrier(200)

    def client(number: int) -> grpc.StatusCode:
        request = predict_request(SLOW, {"seconds": np.float64(0.01 * (number % 5))})
        start.wait(SECONDS)
        try:
            asked.predictions.Predict(request, timeout=SECONDS)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with (
        running(options) as server,
        asking(server.port) as asked,
        ThreadPoolExecutor(200) as pool,
    ):
        counts = Counter(pool.map(client, range(200)))
        assert counts.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert counts[grpc.StatusCode.OK] >= 16
        for _ in range(20):
            asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)


def test_the_text_of_a_refusal_for_too_many(tiny_model: Path, tmp_path: Path, calls: Calls) -> None:
    tiny_models.push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0, max_concurrent_requests=1)
    slow = predict_request(SLOW, {"seconds": np.float64(0)})
    with running(options) as server, asking(server.port) as asked, calls.held(SLOW) as free:
        only = asked.predictions.Predict.future(slow, timeout=SECONDS)
        wait_until(lambda: calls.signatures == [SLOW])
        for _ in range(4):
            code, text = refused(predict(slow, asked))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert text
        free.set()
        assert only.result().outputs
