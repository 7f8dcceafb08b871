"""A server that batches `predict` gives the same answers as one that does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf

from models import features, signature_names
from serving.embedded.batching import Batcher, QueueFullError
from serving.server_options import BatchingOptions, ServerOptions
from tests.serving import tiny_models
from tests.serving.asking import SECONDS, Asked, asking, refused, running
from tests.serving.tiny_models import MODEL, pairs, predict_request, rating

MAX_PAIRS = 32


@pytest.fixture(scope="module")
def batched(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    base_path = tmp_path_factory.mktemp("served")
    tiny_models.push(tiny_model, base_path, 1)
    batching = BatchingOptions(max_batch_size=MAX_PAIRS, timeout_micros=2_000)
    options = ServerOptions(MODEL, base_path, port=0, batching=batching)
    with running(options) as server, asking(server.port) as asked:
        yield asked


def check(batched: Asked, users: list[bytes], movies: list[bytes]) -> None:
    answer = batched.predictions.Predict(pairs(users, movies), timeout=SECONDS)
    found = tf.make_ndarray(answer.outputs[features.RATING])
    np.testing.assert_array_equal(found, rating(users, movies), strict=True)


@pytest.mark.parametrize("rows", [0, 1, MAX_PAIRS, MAX_PAIRS + 1, 1_000])
def test_any_number_of_pairs(batched: Asked, rows: int) -> None:
    check(batched, [b"u" * (n % 9) for n in range(rows)], [b"m" * (n % 7) for n in range(rows)])


def test_each_client_gets_its_own_pairs_and_its_own_fault(batched: Asked) -> None:
    def client(number: int) -> None:
        for asked in range(30):
            rows = (number + asked) % 10
            users = [b"u" * ((number + row) % 11) for row in range(rows)]
            movies = [b"m" * ((asked + row) % 13) for row in range(rows)]
            check(batched, users, movies)
            if rows and number % 3 == 0:
                code, text = refused(
                    lambda users=users, movies=movies: batched.predictions.Predict(
                        pairs(users, movies[:-1]), timeout=SECONDS
                    )
                )
                assert code == grpc.StatusCode.INVALID_ARGUMENT
                assert "as many rows" in text

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))


def test_signatures_that_are_not_joined(batched: Asked) -> None:
    def client(number: int) -> None:
        users = [b"u" * number]
        request = predict_request(
            signature_names.RECOMMEND,
            {features.USER_ID: np.array(users, object), signature_names.K: np.int32(number)},
        )
        outputs = batched.predictions.Predict(request, timeout=SECONDS).outputs
        expected = tiny_models.recommended(users, number)
        found = tf.make_ndarray(outputs[features.MOVIE_ID])
        np.testing.assert_array_equal(found, expected[features.MOVIE_ID])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))


def test_a_full_batch_is_answered_at_once(tiny_model: Path, tmp_path: Path) -> None:
    """However long a batch may wait: all of its requests are in the house together."""
    tiny_models.push(tiny_model, tmp_path, 1)
    batching = BatchingOptions(max_batch_size=MAX_PAIRS, timeout_micros=10**9)
    options = ServerOptions(MODEL, tmp_path, port=0, batching=batching)
    with running(options) as server, asking(server.port) as asked:
        calls = [
            asked.predictions.Predict.future(pairs([b"1"], [b"2"]), timeout=SECONDS)
            for _ in range(MAX_PAIRS)
        ]
        assert {call.code() for call in calls} == {grpc.StatusCode.OK}


def test_what_comes_faster_than_it_is_answered_is_answered_or_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    tiny_models.push(tiny_model, tmp_path, 1)
    # How many are refused depends on how fast they come.
    batching = BatchingOptions(max_batch_size=2, timeout_micros=200_000, max_enqueued_batches=1)
    options = ServerOptions(MODEL, tmp_path, port=0, batching=batching)
    with running(options) as server, asking(server.port) as asked:
        calls = [
            asked.predictions.Predict.future(pairs([b"1"], [b"2"]), timeout=SECONDS)
            for _ in range(60)
        ]
        codes = Counter(call.code() for call in calls)
        assert codes.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert codes[grpc.StatusCode.OK]
        check(asked, [b"1"], [b"2"])


def test_a_full_queue_is_a_reason_to_try_again(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients try UNAVAILABLE again, the code with which TensorFlow Serving answers too."""

    def full(*_: object) -> None:
        raise QueueFullError("3 batches are waiting")

    monkeypatch.setattr(Batcher, "submit", full)
    tiny_models.push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0, batching=BatchingOptions())
    with running(options) as server, asking(server.port) as asked:
        code, text = refused(
            lambda: asked.predictions.Predict(pairs([b"1"], [b"2"]), timeout=SECONDS)
        )
        assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "3 batches are waiting")
