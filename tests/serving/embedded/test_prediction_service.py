"""Requests and answers through the official stubs, against NumPy."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from models import features, signature_names
from tests.serving.asking import SECONDS, VERSION, Asked, refused
from tests.serving.tiny_models import (
    MODEL,
    MOVIES,
    POSITIVE,
    TYPES,
    Array,
    pairs,
    predict_request,
    rating,
    recommended,
)

USERS = [b"1", b"", "Käthe №7".encode(), b"\xff\xfe\x00a", b"x" * 500]
FILMS = [b"50", b"\x00", b"", b"9" * 99, b"181"]


def answers(asked: Asked, request: predict_pb2.PredictRequest) -> dict[str, Array]:
    outputs = asked.predictions.Predict(request, timeout=SECONDS).outputs
    return {name: tf.make_ndarray(tensor) for name, tensor in outputs.items()}


def recommend_request(users: list[bytes], k: int) -> predict_pb2.PredictRequest:
    return predict_request(
        signature_names.RECOMMEND,
        {features.USER_ID: np.array(users, object), signature_names.K: np.int32(k)},
    )


def test_predict(asked: Asked) -> None:
    found = answers(asked, pairs(USERS, FILMS))
    assert found.keys() == {features.RATING}
    np.testing.assert_array_equal(found[features.RATING], rating(USERS, FILMS), strict=True)


@pytest.mark.parametrize("rows", [0, 1, 1_000])
def test_predict_any_number_of_rows(asked: Asked, rng: np.random.Generator, rows: int) -> None:
    users, films = ([b"%d" % n for n in rng.integers(0, 10**6, rows)] for _ in range(2))
    found = answers(asked, pairs(users, films))
    np.testing.assert_array_equal(found[features.RATING], rating(users, films), strict=True)


@pytest.mark.parametrize("k", [-5, 0, 1, 7, MOVIES + 1, 2**31 - 1])
def test_recommend(asked: Asked, k: int) -> None:
    found, expected = answers(asked, recommend_request(USERS, k)), recommended(USERS, k)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found[features.MOVIE_ID], expected[features.MOVIE_ID])
    titles = [[title.decode() for title in row] for row in found[features.MOVIE_TITLE]]
    assert titles == expected[features.MOVIE_TITLE].tolist()
    np.testing.assert_array_equal(
        found[signature_names.SCORE], expected[signature_names.SCORE], strict=True
    )


def test_the_signature_that_is_not_named(asked: Asked) -> None:
    ids = zip(USERS, FILMS, strict=True)
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    features.USER_ID: tf.train.Feature(bytes_list=tf.train.BytesList(value=[user])),
                    features.MOVIE_ID: tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[film])
                    ),
                }
            )
        ).SerializeToString()
        for user, film in ids
    ]
    request = predict_request("", {"examples": np.array(examples, object)})
    answer = asked.predictions.Predict(request, timeout=SECONDS)
    found = tf.make_ndarray(answer.outputs[features.RATING])
    np.testing.assert_array_equal(found, rating(USERS, FILMS), strict=True)
    assert answer.model_spec.signature_name == signature_names.SERVING_DEFAULT


def test_other_types(asked: Asked) -> None:
    numbers = np.array([[1, -2], [2**62, 1], [0, 0]], np.int64)
    flags = np.array([True, False])
    found = answers(asked, predict_request(TYPES, {"numbers": numbers, "flags": flags}))
    np.testing.assert_array_equal(found["sums"], numbers.sum(axis=1), strict=True)
    np.testing.assert_array_equal(found["negated"], ~flags, strict=True)
    np.testing.assert_array_equal(found["halves"], numbers / 2, strict=True)


@pytest.mark.parametrize(
    ("content", "values", "expected"),
    [
        (b"", [0.5, 1e30, 3.0, 3.0], [0.5, 1e30, 3, 3]),
        # What is missing at the end is the last value.
        (b"", [0.5, 3.0], [0.5, 3, 3, 3]),
        (np.array([0.5, 1e30, 3, 3], np.float32).tobytes(), [], [0.5, 1e30, 3, 3]),
    ],
)
def test_a_tensor_holds_its_numbers_one_by_one_or_as_they_are_in_memory(
    asked: Asked, content: bytes, values: list[float], expected: list[float]
) -> None:
    request = predict_request(POSITIVE, {})
    tensor = request.inputs["x"]
    tensor.dtype = tf.float32.as_datatype_enum
    tensor.tensor_shape.dim.add(size=4)
    tensor.tensor_content = content
    tensor.float_val.extend(values)
    found = answers(asked, request)["x"]
    np.testing.assert_array_equal(found, np.array(expected, np.float32), strict=True)


def test_only_the_outputs_asked_for(asked: Asked) -> None:
    request = recommend_request(USERS, 3)
    request.output_filter.extend([features.MOVIE_ID, signature_names.SCORE])
    found = answers(asked, request)
    assert found.keys() == {features.MOVIE_ID, signature_names.SCORE}
    np.testing.assert_array_equal(
        found[features.MOVIE_ID], recommended(USERS, 3)[features.MOVIE_ID]
    )


@pytest.mark.parametrize("spec", [{}, {"version": VERSION}, {"version_label": "stable"}])
def test_the_answer_says_which_model_gave_it(asked: Asked, spec: dict[str, object]) -> None:
    answer = asked.predictions.Predict(pairs(USERS, FILMS, **spec), timeout=SECONDS)
    assert answer.model_spec.name == MODEL
    assert answer.model_spec.version.value == VERSION
    assert answer.model_spec.signature_name == signature_names.PREDICT


@pytest.mark.parametrize("spec", [{}, {"version": VERSION}, {"version_label": "stable"}])
def test_the_signatures_are_those_in_the_saved_model(
    asked: Asked, tiny_model: Path, spec: dict[str, object]
) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.CopyFrom(pairs([], [], **spec).model_spec)
    answer = asked.predictions.GetModelMetadata(request, timeout=SECONDS)
    assert answer.model_spec.name == MODEL
    assert answer.model_spec.version.value == VERSION
    assert answer.metadata.keys() == {"signature_def"}
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)

    saved = saved_model_pb2.SavedModel.FromString((tiny_model / "saved_model.pb").read_bytes())
    expected = saved.meta_graphs[0].signature_def
    assert found.signature_def.keys() == expected.keys()
    for name, signature in expected.items():
        assert found.signature_def[name] == signature, name


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], grpc.StatusCode.INVALID_ARGUMENT),
        (["signature_def", "weights"], grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_metadata_that_there_is_not(asked: Asked, fields: list[str], code: grpc.StatusCode) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = MODEL
    found, text = refused(lambda: asked.predictions.GetModelMetadata(request, timeout=SECONDS))
    assert found == code
    assert "signature_def" in text


def test_metadata_of_another_model(asked: Asked) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "other"
    code, text = refused(lambda: asked.predictions.GetModelMetadata(request, timeout=SECONDS))
    assert code == grpc.StatusCode.NOT_FOUND
    assert "other" in text


@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("Classify", classification_pb2.ClassificationRequest),
        ("Regress", regression_pb2.RegressionRequest),
        ("MultiInference", inference_pb2.MultiInferenceRequest),
    ],
)
def test_what_a_recommender_has_no_use_for(asked: Asked, method: str, request_type: type) -> None:
    code, text = refused(
        lambda: getattr(asked.predictions, method)(request_type(), timeout=SECONDS)
    )
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert "Predict" in text
