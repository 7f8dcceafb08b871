"""Hostile requests to an exported recommender; the server goes on answering."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from models.catalogue import read_catalogue
from models.export import request_limits, saved_model
from models.export.signatures import Recommender
from models.factory import build_model
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.seen_movies import SeenMovies
from serving.server_options import ServerOptions
from tests.models.test_preprocessing import fit
from tests.serving.asking import SECONDS, Asked, asking, refused, running
from tests.serving.tiny_models import MODEL, predict_request

pytestmark = pytest.mark.slow

USER, MOVIE, K = features.USER_ID, features.MOVIE_ID, signature_names.K
RECOMMEND = signature_names.RECOMMEND
# Of the ratings that Transform is fitted to: u1 rated all three movies, u2 two, u3 one.
RATED = np.array([3, 2, 1])
MOVIES = {b"m1", b"m2", b"m3"}
NOT_UTF8 = b"\xff\xfe\x80"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of versions of a recommender that is not trained."""
    transform = fit({})
    statistics = RatingStatistics(
        users=3,
        movies=3,
        ratings=6,
        rating_mean=2.7,
        rating_min=0.5,
        rating_max=5.0,
        rating_stddev=1.5,
        movie_rating_count=RATED,
        movie_rating_mean=np.array([2.5, 3.5, 1.5]),
        seen=SeenMovies(
            np.array([0, 1, 2, 0, 1, 0], np.int32),
            np.ones(6, np.float32),
            np.array([0, 3, 5, 6, 6]),
        ),
    )
    options = ModelOptions(name="biased_mf", dimension=3)
    model = build_model(options, statistics, seed=1)
    base_path = tmp_path_factory.mktemp("recommender")
    recommender = Recommender(
        model, options, (0.5, 5.0), read_catalogue(transform), statistics.seen, RATED
    )
    saved_model.save(recommender, str(base_path / "1"))
    return base_path


@pytest.fixture(scope="module")
def recommender(exported: Path) -> Iterator[Asked]:
    with running(ServerOptions(MODEL, exported, port=0)) as server, asking(server.port) as asked:
        yield asked


@pytest.fixture(autouse=True)
def _lives(recommender: Asked) -> Iterator[None]:
    """After whatever was sent to it, the server gives the right answer."""
    yield
    found = answer(recommender, predict_request(RECOMMEND, {USER: [b"u3"], K: np.int32(9)}))
    # Two movies are left to u3, of the three that there are.
    assert found[MOVIE].shape == (1, 3)
    assert set(found[MOVIE][0]) == {b"m2", b"m3", b""}


def answer(asked: Asked, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    outputs = asked.predictions.Predict(request, timeout=SECONDS).outputs
    return {name: tf.make_ndarray(proto) for name, proto in outputs.items()}


def strings(*values: bytes) -> np.ndarray:
    return np.array(values, object)


def test_ids_that_are_not_utf_8_are_unknown_ones(recommender: Asked) -> None:
    for user, movie in ((NOT_UTF8, b"m1"), (b"u1", NOT_UTF8), (NOT_UTF8, NOT_UTF8)):
        given, unknown = (
            answer(
                recommender,
                predict_request(signature_names.PREDICT, {USER: strings(u), MOVIE: strings(m)}),
            )[features.RATING]
            for u, m in (
                (user, movie),
                (user.replace(NOT_UTF8, b"?"), movie.replace(NOT_UTF8, b"?")),
            )
        )
        np.testing.assert_array_equal(given, unknown)
        assert np.isfinite(given).all()
    ranked = answer(
        recommender, predict_request(RECOMMEND, {USER: strings(NOT_UTF8), K: np.int32(3)})
    )
    assert set(ranked[MOVIE][0]) == MOVIES
    similar = answer(
        recommender,
        predict_request(signature_names.SIMILAR, {MOVIE: strings(NOT_UTF8), K: np.int32(3)}),
    )
    assert set(similar[MOVIE][0]) == {b""}


def test_a_million_users_are_more_than_may_be_ranked_at_once(recommender: Asked) -> None:
    request = predict_request(RECOMMEND, {USER: strings(*[b"u3"] * 1_000_000), K: np.int32(3)})
    # Alone, the scores would fit into a message.
    request.output_filter.append(signature_names.SCORE)
    code, text = refused(lambda: answer(recommender, request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT, text
    assert f"at most {request_limits.MAX_ANSWERS} rows times k" in text


@pytest.mark.parametrize("k", [0, -1, -(2**31)])
@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        (RECOMMEND, {USER: [b"u1", b"u3"]}),
        (
            signature_names.RECOMMEND_EXCLUDING,
            {USER: [b"u1", b"u3"], signature_names.EXCLUDE: [[b"m1"], [b"m2"]]},
        ),
        (
            signature_names.RECOMMEND_AMONG,
            {
                USER: [b"u1", b"u3"],
                signature_names.AMONG_MOVIES: [[b"m1"], [NOT_UTF8]],
                signature_names.AMONG_GENRES: [[b""], [NOT_UTF8]],
            },
        ),
        (signature_names.SIMILAR, {MOVIE: [b"m1", b"m2"]}),
        (
            signature_names.RECOMMEND_FOR_RATINGS,
            {MOVIE: [[b"m1"], [b"m2"]], features.RATING: np.ones((2, 1), np.float32)},
        ),
    ],
)
def test_no_movies_or_fewer_are_none(
    recommender: Asked, signature: str, inputs: dict[str, object], k: int
) -> None:
    found = answer(recommender, predict_request(signature, {**inputs, K: np.int32(k)}))
    names = [MOVIE, features.MOVIE_TITLE, signature_names.SCORE]
    if signature != signature_names.SIMILAR:
        names.append(features.RATING)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(names, (2, 0))


@pytest.mark.parametrize("examples", [NOT_UTF8 * 1000, b"no example", b"\x0a\x03"])
def test_bytes_that_are_no_example(recommender: Asked, examples: bytes) -> None:
    for signature in ("", signature_names.TRANSFORM_FEATURES):
        request = predict_request(signature, {"examples": strings(examples)})
        code, text = refused(lambda request=request: answer(recommender, request))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, text
        # Of what ends too early, TensorFlow says what it lacks.
        assert "xample" in text or f"{MOVIE} " in text


def test_users_that_are_left_out_are_not_filled_up_by_the_thousand(recommender: Asked) -> None:
    request = predict_request(RECOMMEND, {USER: [b"u3"], K: np.int32(1)})
    size = request.inputs[USER].tensor_shape.dim[0]
    size.size = 2
    assert answer(recommender, request)[MOVIE].shape == (2, 1)
    size.size = 300_000
    code, text = refused(lambda: answer(recommender, request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT, text
    assert "300000 values and 1 are given" in text
