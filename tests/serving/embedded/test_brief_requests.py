"""Brief requests are answered in the server's event loop, and no other ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from serving.embedded import prediction_service
from serving.embedded.prediction_service import is_brief
from serving.server_options import BatchingOptions, ServerOptions
from tests.serving.asking import SECONDS, Asked, Calls, asking, refused, running, wait_until
from tests.serving.tiny_models import (
    MODEL,
    SLOW,
    pairs,
    predict_request,
    push,
    rating,
)

IN_THE_LOOP = "grpc"
IN_A_THREAD = "predict"


def some_pairs(count: int) -> predict_pb2.PredictRequest:
    return pairs([b"1"] * count, [b"23"] * count)


def filled(count: int) -> predict_pb2.PredictRequest:
    """One value in the request, and a shape of many."""
    request = some_pairs(1)
    request.inputs[features.USER_ID].tensor_shape.dim[0].size = count
    return request


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_few_pairs_are_brief(count: int) -> None:
    assert is_brief(some_pairs(count))


@pytest.mark.parametrize(
    "request_",
    [
        some_pairs(1000),
        filled(1_000_000),
        pairs([b"1" * 100_000], [b"2"]),
        pairs([b"1"], [b"2"], version=1),
        pairs([b"1"], [b"2"], version_label="stable"),
        predict_request(SLOW, {"seconds": np.float64(1)}),
        predict_request("", {"examples": np.array([b""], object)}),
        predict_request(
            signature_names.RECOMMEND,
            {features.USER_ID: np.array([b"1"], object), signature_names.K: np.int32(10)},
        ),
    ],
    ids=["many", "filled", "long", "version", "label", "slow", "default", "recommend"],
)
def test_what_may_take_its_time_is_not(request_: predict_pb2.PredictRequest) -> None:
    assert not is_brief(request_)


def thread_of(calls: Calls, asked: Asked, request: predict_pb2.PredictRequest) -> str:
    """Returns the name of the thread that answered the request."""
    before = len(calls.threads)
    asked.predictions.Predict(request, timeout=SECONDS)
    (name,) = calls.threads[before:]
    return name.partition("_")[0]


@pytest.fixture
def options(tiny_model: Path, tmp_path: Path) -> ServerOptions:
    push(tiny_model, tmp_path / "base", 1)
    return ServerOptions(MODEL, tmp_path / "base", port=0)


@pytest.fixture
def calls(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Calls:
    # However busy this machine is.
    monkeypatch.setattr(prediction_service, "BRIEF_SECONDS", SECONDS)
    return calls


@pytest.fixture
def asked(options: ServerOptions, calls: Calls) -> Iterator[Asked]:
    with running(options) as server, asking(server.port) as asked:
        yield asked


def test_only_what_is_brief_and_known_to_be_is_answered_in_the_loop(
    asked: Asked, calls: Calls
) -> None:
    found = [thread_of(calls, asked, some_pairs(count)) for count in (1, 1, 100, 1000, 1)]
    assert found == [IN_A_THREAD, IN_THE_LOOP, IN_THE_LOOP, IN_A_THREAD, IN_THE_LOOP]


def test_one_beside_another_is_answered_in_a_thread(asked: Asked, calls: Calls) -> None:
    thread_of(calls, asked, some_pairs(1))
    with calls.held(SLOW):
        other = asked.predictions.Predict.future(
            predict_request(SLOW, {"seconds": np.float64(0)}), timeout=SECONDS
        )
        while len(calls.threads) < 2:
            assert not other.done()
        assert thread_of(calls, asked, some_pairs(1)) == IN_A_THREAD
    other.result()


def test_a_version_that_took_long_is_called_in_a_thread(
    asked: Asked, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread_of(calls, asked, some_pairs(1))
    assert thread_of(calls, asked, some_pairs(1)) == IN_THE_LOOP
    monkeypatch.setattr(prediction_service, "BRIEF_SECONDS", 0.0)
    assert thread_of(calls, asked, some_pairs(1)) == IN_A_THREAD


def test_what_was_refused_says_nothing_of_how_long_the_model_takes(
    asked: Asked, calls: Calls
) -> None:
    for wrong in (predict_request(signature_names.PREDICT, {}), pairs([b"1"], [b"2", b"3"])):
        code, _ = refused(lambda wrong=wrong: asked.predictions.Predict(wrong, timeout=SECONDS))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert thread_of(calls, asked, some_pairs(1)) == IN_A_THREAD


def test_of_a_new_version_it_is_not_known(
    options: ServerOptions, calls: Calls, tiny_model: Path
) -> None:
    with running(options) as server, asking(server.port) as asked:
        thread_of(calls, asked, some_pairs(1))
        assert thread_of(calls, asked, some_pairs(1)) == IN_THE_LOOP
        push(tiny_model, options.base_path, 2)
        wait_until(lambda: 2 in server.versions)
        found = [thread_of(calls, asked, some_pairs(1)) for _ in range(2)]
        assert found == [IN_A_THREAD, IN_THE_LOOP]


def test_what_waits_for_a_batch_does_so_in_a_thread(options: ServerOptions, calls: Calls) -> None:
    batched = replace(options, batching=BatchingOptions())
    with running(batched) as server, asking(server.port) as asked:
        assert {thread_of(calls, asked, some_pairs(1)) for _ in range(3)} == {IN_A_THREAD}


@pytest.mark.usefixtures("calls")
def test_answers_are_the_same_wherever_they_are_made(asked: Asked) -> None:
    def ask(number: int) -> bool:
        users, movies = [b"u" * number], [b"m" * (number % 7)]
        answer = asked.predictions.Predict(pairs(users, movies), timeout=SECONDS)
        found = tf.make_ndarray(answer.outputs[features.RATING])
        return bool(np.array_equal(found, rating(users, movies)))

    assert all(map(ask, range(20)))
    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(ask, range(100)))
