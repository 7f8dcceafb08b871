"""Heavy requests beside light ones, and requests whose answers would be too large."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from serving.embedded.loaded_version import LoadedVersion
from serving.server_options import ServerOptions
from tests.serving.asking import SECONDS, Asked, asking, refused, running, wait_until
from tests.serving.tiny_models import MODEL, MOVIES, pairs, predict_request, push, rating

HEAVY_ROWS = 20_000
HEAVY = 200
LIGHT = 50


class Model:
    """The calls of the model; heavy ones return when they may."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.may_return = threading.Event()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    model = Model()
    predict = LoadedVersion.predict

    def watched(
        self: LoadedVersion, request: predict_pb2.PredictRequest, timeout_seconds: float | None
    ) -> predict_pb2.PredictResponse:
        rows = request.inputs[features.USER_ID].tensor_shape.dim[0].size
        model.rows.append(rows)
        if rows == HEAVY_ROWS:
            model.may_return.wait(SECONDS)
        return predict(self, request, timeout_seconds)

    monkeypatch.setattr(LoadedVersion, "predict", watched)
    yield model
    model.may_return.set()


def test_a_light_client_beside_200_heavy_requests_gets_all_its_answers(
    tiny_model: Path, tmp_path: Path, model: Model
) -> None:
    push(tiny_model, tmp_path, 1)
    users, movies = [b"1"] * HEAVY_ROWS, [b"23"] * HEAVY_ROWS
    request = pairs(users, movies)
    with running(ServerOptions(MODEL, tmp_path, port=0)) as server, asking(server.port) as asked:
        calls = [asked.predictions.Predict.future(request, timeout=SECONDS) for _ in range(HEAVY)]
        # Those that are not refused stay until they may return.
        wait_until(lambda: sum(call.done() for call in calls) >= HEAVY // 2)
        wait_until(lambda: HEAVY_ROWS in model.rows)
        for number in range(LIGHT):
            light = pairs([b"u" * number], [b"m"])
            answer = asked.predictions.Predict(light, timeout=SECONDS)
            np.testing.assert_array_equal(
                tf.make_ndarray(answer.outputs[features.RATING]), rating([b"u" * number], [b"m"])
            )
        assert any(not call.done() for call in calls)
        model.may_return.set()
        counts = Counter(call.code() for call in calls)
        assert counts.keys() == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        done = next(call for call in calls if call.code() == grpc.StatusCode.OK)
        np.testing.assert_array_equal(
            tf.make_ndarray(done.result().outputs[features.RATING]), rating(users, movies)
        )


def ranking(rows: int) -> predict_pb2.PredictRequest:
    return predict_request(
        signature_names.RECOMMEND,
        {features.USER_ID: np.array([b"u"] * rows, object), signature_names.K: np.int32(MOVIES)},
    )


@pytest.fixture
def narrow(tiny_model: Path, tmp_path: Path, model: Model) -> Iterator[Asked]:
    """A server of small messages."""
    push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0, max_message_bytes=20_000)
    with running(options) as server, asking(server.port) as asked:
        yield asked


def test_an_answer_that_is_known_to_be_too_large_is_refused_before_the_work(
    narrow: Asked, model: Model
) -> None:
    code, text = refused(lambda: narrow.predictions.Predict(ranking(200), timeout=SECONDS))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 20000" in text
    assert model.rows == []


def test_an_answer_that_fits_is_given(narrow: Asked, model: Model) -> None:
    answer = narrow.predictions.Predict(ranking(30), timeout=SECONDS)
    assert tf.make_ndarray(answer.outputs[signature_names.SCORE]).shape == (30, MOVIES)
    assert model.rows == [30]
