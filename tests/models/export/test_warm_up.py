from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models.catalogue import Catalogue
from models.export import warm_up
from models.export.sample_requests import inputs_for

SIGNATURES = (
    "serving_default",
    "transform_features",
    "predict",
    "predict_interval",
    "recommend",
    "recommend_excluding",
    "recommend_among",
    "recommend_for_ratings",
    "recommend_for_profile",
    "predict_new_movie",
    "similar",
    "movies",
    "explain",
    "explain_for_ratings",
)
CATALOGUE = Catalogue(
    ["u1", "ünï"], [2, 1], ["m1", "unknown", "m3"], ["One", "", "Three"], [["A"], [], ["A"]]
)


def written(folder: Path, *signatures: str) -> list[predict_pb2.PredictRequest]:
    warm_up.write(str(folder), signatures or SIGNATURES, CATALOGUE)
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    requests = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        requests.append(log.predict_log.request)
    return requests


def inputs_of(request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}


def test_every_signature_is_asked_within_the_servers_limit(tmp_path: Path) -> None:
    requests = written(tmp_path)
    assert {request.model_spec.signature_name for request in requests} == set(SIGNATURES)
    assert len(SIGNATURES) < len(requests) <= 56 < warm_up.MAX_WARM_UP_REQUESTS
    assert (tmp_path / warm_up.WARM_UP_FILE).stat().st_size < 200_000


def test_a_signature_that_the_model_lacks_is_not_asked(tmp_path: Path) -> None:
    requests = written(tmp_path, "similar")
    assert {request.model_spec.signature_name for request in requests} == {"similar"}


@pytest.mark.parametrize(
    ("signature", "types"),
    [
        ("serving_default", {"examples": (tf.string, 1)}),
        ("transform_features", {"examples": (tf.string, 1)}),
        ("predict", {"user_id": (tf.string, 1), "movie_id": (tf.string, 1)}),
        ("recommend", {"user_id": (tf.string, 1), "k": (tf.int32, 0)}),
        (
            "recommend_excluding",
            {"user_id": (tf.string, 1), "k": (tf.int32, 0), "exclude": (tf.string, 2)},
        ),
        (
            "recommend_for_ratings",
            {"movie_id": (tf.string, 2), "rating": (tf.float32, 2), "k": (tf.int32, 0)},
        ),
        (
            "recommend_among",
            {
                "user_id": (tf.string, 1),
                "k": (tf.int32, 0),
                "among_movies": (tf.string, 2),
                "among_genres": (tf.string, 2),
            },
        ),
        (
            "recommend_for_profile",
            {
                "user_age": (tf.int32, 1),
                "user_gender": (tf.string, 1),
                "user_occupation": (tf.string, 1),
                "k": (tf.int32, 0),
            },
        ),
        (
            "predict_new_movie",
            {
                "user_id": (tf.string, 1),
                "movie_genres": (tf.string, 2),
                "movie_year": (tf.int32, 1),
                "movie_title": (tf.string, 1),
            },
        ),
        ("similar", {"movie_id": (tf.string, 1), "k": (tf.int32, 0)}),
        ("movies", {"movie_id": (tf.string, 1)}),
        (
            "explain",
            {"user_id": (tf.string, 1), "movie_id": (tf.string, 1), "k": (tf.int32, 0)},
        ),
        (
            "explain_for_ratings",
            {
                "movie_id": (tf.string, 2),
                "rating": (tf.float32, 2),
                "target_movie_id": (tf.string, 1),
                "k": (tf.int32, 0),
            },
        ),
    ],
)
def test_inputs_are_those_of_the_signature(tmp_path: Path, signature: str, types) -> None:
    for request in written(tmp_path, signature):
        found = {
            name: (tf.as_dtype(proto.dtype), len(proto.tensor_shape.dim))
            for name, proto in request.inputs.items()
        }
        assert found == types


def test_some_requests_have_one_row_and_some_more(tmp_path: Path) -> None:
    rows = [len(inputs_of(request)["user_id"]) for request in written(tmp_path, "predict")]
    assert 1 in rows
    assert max(rows) > 1


def test_ids_are_of_the_vocabularies_but_for_one_request_that_has_none_of_them(
    tmp_path: Path,
) -> None:
    *known, unknown = (inputs_of(request) for request in written(tmp_path, "predict"))
    for inputs in known:
        assert {name.decode() for name in inputs["user_id"]} <= set(CATALOGUE.user_ids)
        assert {name.decode() for name in inputs["movie_id"]} <= set(CATALOGUE.movie_ids)
    assert not {name.decode() for name in unknown["user_id"]} & set(CATALOGUE.user_ids)
    assert not {name.decode() for name in unknown["movie_id"]} & set(CATALOGUE.movie_ids)


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder, signatures in (("one", SIGNATURES), ("other", SIGNATURES[::-1])):
        warm_up.write(str(tmp_path / folder), signatures, CATALOGUE)
    one, other = (tmp_path / folder / warm_up.WARM_UP_FILE for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_examples_carry_the_ids() -> None:
    (serialized,) = inputs_for("serving_default", [b"u1"], [b"m3"])["examples"]
    feature = tf.train.Example.FromString(serialized).features.feature
    assert feature["user_id"].bytes_list.value[:] == [b"u1"]
    assert feature["movie_id"].bytes_list.value[:] == [b"m3"]
