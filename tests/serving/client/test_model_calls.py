import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

from models import features, signature_names
from serving.answers import Recommendation, VersionStatus
from serving.client import model_calls
from serving.client.call_errors import WrongAnswerError
from serving.client.model_calls import Call, ModelCalls, any_available
from serving.errors import ServingError
from tests.serving.fake_server import tensors

CALLS = ModelCalls("films", None, None)


def sent(call: Call[Any]) -> tuple[predict_pb2.PredictRequest, dict[str, Any]]:
    request = predict_pb2.PredictRequest.FromString(call.request)
    return request, {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}


def answered(call: Call[Any], response: Any) -> Any:
    return call.read(response.SerializeToString())


def rows(*values: list[str]) -> Any:
    return np.array(values, object)


def test_predict_sends_two_vectors_of_strings() -> None:
    request, inputs = sent(CALLS.predict(["1", "ü"], ["50", ""]))
    assert request.model_spec.name == "films"
    assert request.model_spec.signature_name == "predict"
    assert request.model_spec.WhichOneof("version_choice") is None
    assert {name: list(values) for name, values in inputs.items()} == {
        "user_id": [b"1", "ü".encode()],
        "movie_id": [b"50", b""],
    }


def test_a_version_or_a_label_goes_along() -> None:
    request, _ = sent(ModelCalls("films", 0, None).similar("1", 1))
    assert request.model_spec.HasField("version")
    assert request.model_spec.version.value == 0
    request, _ = sent(ModelCalls("films", None, "canary").similar("1", 1))
    assert request.model_spec.version_label == "canary"


@pytest.mark.parametrize(
    ("call", "signature", "expected"),
    [
        (CALLS.recommend("7", 3, ()), "recommend", {"user_id": [b"7"], "k": 3}),
        (
            CALLS.recommend("7", 3, ["1", "2"]),
            "recommend_excluding",
            {"user_id": [b"7"], "k": 3, "exclude": [[b"1", b"2"]]},
        ),
        (
            CALLS.recommend_among("7", ["1", "2"], ["Drama"], 3),
            "recommend_among",
            {
                "user_id": [b"7"],
                "k": 3,
                "among_movies": [[b"1", b"2"]],
                "among_genres": [[b"Drama"]],
            },
        ),
        (CALLS.recommend_batch(["7", "8"], 2), "recommend", {"user_id": [b"7", b"8"], "k": 2}),
        (CALLS.similar("50", 1), "similar", {"movie_id": [b"50"], "k": 1}),
        (
            CALLS.recommend_for_ratings({"50": 5, "181": 3.5}, 4),
            "recommend_for_ratings",
            {"movie_id": [[b"50", b"181"]], "rating": [[5.0, 3.5]], "k": 4},
        ),
        (
            CALLS.recommend_for_profile(34, "F", "", 2),
            "recommend_for_profile",
            {"user_age": [34], "user_gender": [b"F"], "user_occupation": [b""], "k": 2},
        ),
        (
            CALLS.explain("7", "50", 3),
            "explain",
            {"user_id": [b"7"], "movie_id": [b"50"], "k": 3},
        ),
        (
            CALLS.explain_for_ratings({"50": 5}, "181", 2),
            "explain_for_ratings",
            {"movie_id": [[b"50"]], "rating": [[5.0]], "target_movie_id": [b"181"], "k": 2},
        ),
    ],
)  # fmt: skip
def test_each_signature_gets_its_inputs(
    call: Call[Any], signature: str, expected: dict[str, Any]
) -> None:
    request, inputs = sent(call)
    assert request.model_spec.signature_name == signature
    assert {name: values.tolist() for name, values in inputs.items()} == expected
    assert inputs["k"].dtype == np.int32
    assert inputs["k"].shape == ()
    if "rating" in inputs:
        assert inputs["rating"].dtype == np.float32


def test_a_new_movie_is_the_same_for_each_user() -> None:
    request, inputs = sent(CALLS.predict_new_movie(["7", "8"], ["War"], None, "Ran (1985)"))
    assert request.model_spec.signature_name == "predict_new_movie"
    assert {name: values.tolist() for name, values in inputs.items()} == {
        "user_id": [b"7", b"8"],
        "movie_genres": [[b"War"], [b"War"]],
        "movie_year": [0, 0],
        "movie_title": [b"Ran (1985)"] * 2,
    }
    assert inputs["movie_year"].dtype == np.int32
    _, inputs = sent(CALLS.predict_new_movie([], ["War", "Drama"], 1985, ""))
    assert inputs["movie_genres"].shape == (0, 2)


def test_no_ratings_are_a_row_of_none() -> None:
    _, inputs = sent(CALLS.recommend_for_ratings({}, 4))
    assert inputs["movie_id"].shape == inputs["rating"].shape == (1, 0)


def test_the_catalogue_is_all_that_nobody_has_seen() -> None:
    request, inputs = sent(CALLS.catalogue())
    assert request.model_spec.signature_name == "recommend"
    assert inputs["user_id"].tolist() == [b""]
    assert inputs["k"] == np.iinfo(np.int32).max
    assert set(request.output_filter) == {"movie_id", "movie_title"}


def test_a_row_ends_where_the_ids_are_empty() -> None:
    response = tensors(
        movie_id=rows(["5", ""], ["", ""]),
        movie_title=rows(["Heat", ""], ["", ""]),
        score=np.array([[4.5, -np.inf], [-np.inf, -np.inf]], np.float32),
    )
    found = answered(CALLS.recommend_batch(["a", "b"], 2), response)
    assert found == [[Recommendation("5", "Heat", 4.5)], []]
    assert found[0][0].rating is None
    assert found[0][0].shown == 4.5


def test_a_list_may_have_ratings_beside_what_orders_it() -> None:
    ratings = np.array([[3.5, 4.0]], np.float32)
    (first, second) = answered(CALLS.recommend("1", 2, ()), spoilt(rating=ratings))
    assert first == Recommendation("5", "Heat", 2.0, 3.5)
    assert (second.score, second.rating, second.shown) == (1.0, 4.0, 4.0)
    with pytest.raises(WrongAnswerError, match="shape of rating"):
        answered(CALLS.recommend("1", 2, ()), spoilt(rating=ratings[0]))


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(float_val=[1.5, 2.5]),
        tensor_pb2.TensorProto(tensor_content=np.array([1.5, 2.5], "<f4").tobytes()),
    ],
)
def test_floats_may_come_as_values_or_as_bytes(proto: Any) -> None:
    proto.dtype = types_pb2.DT_FLOAT
    proto.tensor_shape.dim.add(size=2)
    found = answered(
        CALLS.predict(["1", "2"], ["3", "4"]),
        predict_pb2.PredictResponse(outputs={"rating": proto}),
    )
    assert found == [1.5, 2.5]


def test_versions_are_sorted_and_unknown_states_named_so() -> None:
    response = get_model_status_pb2.GetModelStatusResponse()
    response.model_version_status.add(version=9, state=30)
    response.model_version_status.add(version=4, state=50).status.error_message = "no file"
    response.model_version_status.add(version=5, state=77)
    found = answered(CALLS.status(), response)
    assert found == [
        VersionStatus(4, "END", "no file"),
        VersionStatus(5, "UNKNOWN", ""),
        VersionStatus(9, "AVAILABLE", ""),
    ]
    assert any_available(found)
    assert not any_available(found[:2])
    assert not any_available([])


@pytest.mark.parametrize(
    ("version", "label", "choice"),
    [(None, None, None), (0, None, "version"), (None, "canary", "version_label")],
)
def test_the_status_is_that_of_what_is_asked(
    version: int | None, label: str | None, choice: str | None
) -> None:
    call = ModelCalls("films", version, label).status()
    spec = get_model_status_pb2.GetModelStatusRequest.FromString(call.request).model_spec
    assert spec.name == "films"
    assert spec.WhichOneof("version_choice") == choice
    assert spec.version_label == (label or "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CALLS.predict(["1"], []), "1 user ids and 0 movie ids"),
        (lambda: CALLS.predict(["1"], ["\udcff"]), "movie_id: given"),
        (lambda: CALLS.recommend("1", 0, ()), "k: given 0"),
        (lambda: CALLS.similar("1", 2**31), f"k: given {2**31}"),
        (lambda: CALLS.recommend_for_ratings({"1": float("nan")}, 1), "rating of 1: given nan"),
        (lambda: CALLS.explain_for_ratings({"1": np.inf}, "2", 1), "rating of 1: given inf"),
        (lambda: CALLS.explain("1", "2", 0), "k: given 0"),
        (lambda: CALLS.recommend_for_profile(0, "", "", 1), "age: given 0, expected 1 to"),
        (lambda: CALLS.predict_new_movie(["1"], (), -5, ""), "year: given -5, expected 1 to"),
        (lambda: ModelCalls("", None, None), "name is empty"),
        (lambda: ModelCalls("m", 1, "a"), "a version and a label"),
        (lambda: ModelCalls("m", -1, None), "version -1"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        make()


GOOD = {
    "movie_id": rows(["5", "6"]),
    "movie_title": rows(["Heat", "Ronin"]),
    "score": np.array([[2, 1]], np.float32),
}


def spoilt(**arrays: Any) -> Any:
    return tensors(**{name: array for name, array in (GOOD | arrays).items() if array is not None})


def with_shape(*sizes: int) -> Any:
    response = spoilt()
    for name in GOOD:
        shape = response.outputs[name].tensor_shape
        del shape.dim[:]
        for size in sizes:
            shape.dim.add(size=size)
    return response


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (spoilt(score=None), "expected score among them, got movie_id, movie_title"),
        (predict_pb2.PredictResponse(), "expected movie_id among them, got none"),
        (spoilt(movie_id=np.array([[5, 6]], np.int32)), "dtype of movie_id: expected string"),
        (spoilt(score=np.array([[2.0, 1.0]])), "dtype of score: expected float32, got type 2"),
        (spoilt(score=np.array([2, 1], np.float32)), "shape of score"),
        (spoilt(movie_title=rows(["Heat"])), "expected one shape"),
        (spoilt(movie_id=np.array(["5", "6"], object)), "shape of movie_id"),
        (spoilt(movie_id=rows(["5"], ["6"])), "shape of movie_id"),
        (spoilt(movie_title=rows([b"\xff", "Ronin"])), "movie_title: expected UTF-8"),
        (with_shape(1, 3), "values of movie_id: expected 3, got 2"),
        (with_shape(1, 2**60), "values of movie_id"),
        (with_shape(2**60, 0), "shape of movie_id"),
        (with_shape(-1, -2), "shape of movie_id"),
        (with_shape(1, 2, 1), "shape of movie_id"),
        (with_shape(1), "shape of movie_id"),
    ],
)
def test_a_wrong_answer_is_told_as_one(response: Any, message: str) -> None:
    with pytest.raises(WrongAnswerError, match=f"^answer to recommend: .*{message}"):
        answered(CALLS.recommend("1", 2, ()), response)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_a_wrong_one(answer: bytes) -> None:
    for call in (CALLS.predict(["1"], ["2"]), CALLS.similar("1", 2), CALLS.status()):
        with contextlib.suppress(WrongAnswerError):
            call.read(answer)


@pytest.mark.parametrize(
    "name",
    [
        *("PREDICT", "RECOMMEND", "RECOMMEND_EXCLUDING", "RECOMMEND_FOR_RATINGS", "SIMILAR"),
        *("USER_ID", "MOVIE_ID", "MOVIE_TITLE", "RATING", "SCORE", "EXCLUDE", "K"),
        *("PREDICT_INTERVAL", "STANDARD_DEVIATION", "LIKED_PROBABILITY"),
        *("LOWEST_RATING", "HIGHEST_RATING"),
        *("RECOMMEND_AMONG", "AMONG_MOVIES", "AMONG_GENRES"),
        *("RECOMMEND_FOR_PROFILE", "USER_AGE", "USER_GENDER", "USER_OCCUPATION"),
        *("PREDICT_NEW_MOVIE", "MOVIE_GENRES", "MOVIE_YEAR"),
    ],
)
def test_the_names_are_those_of_the_exported_model(name: str) -> None:
    """The client has its own, because it can be installed without `models`."""
    exported = {**vars(features), **vars(signature_names)}
    assert getattr(model_calls, name) == exported[name]
