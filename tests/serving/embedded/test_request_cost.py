"""What requests cost, against the sizes of the answers that they get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2

from models import features, signature_names
from serving.embedded.admission import is_heavy
from serving.embedded.request_cost import RequestCosts
from tests.serving.tiny_models import SLOW, pairs, predict_request

IDS = ["7", "12", "345"]
TITLES = ["Heat", "A", "Seven"]
RANKED = (features.MOVIE_ID, features.MOVIE_TITLE, signature_names.SCORE)
OUTPUTS = {
    signature_names.RECOMMEND: (*RANKED, features.RATING),
    signature_names.SIMILAR: RANKED,
}


def costs(movies: int = len(IDS)) -> RequestCosts:
    ids = IDS if movies == len(IDS) else [str(number) for number in range(movies)]
    titles = TITLES if movies == len(IDS) else ids
    return RequestCosts(
        SimpleNamespace(
            movie_ids=tf.Variable(ids),
            movie_titles=tf.Variable(titles),
            signatures={
                name: SimpleNamespace(structured_outputs=dict.fromkeys(outputs))
                for name, outputs in OUTPUTS.items()
            },
        )
    )


def ranking(rows: int, k: int, *outputs: str) -> predict_pb2.PredictRequest:
    inputs: dict[str, Any] = {
        features.USER_ID: np.array([b"u"] * rows, object),
        signature_names.K: np.int32(k),
    }
    return predict_request(signature_names.RECOMMEND, inputs, outputs)


@pytest.mark.parametrize(
    ("rows", "k", "outputs", "size"),
    [
        # Tag and length of each string, the shortest strings, and four bytes of each number.
        (1, 1, (), (2 + 1) + (2 + 1) + 4 + 4),
        (5, 2, (), 5 * ((4 + 1 + 2) + (4 + 1 + 4) + 8 + 8)),
        (2, 3, (features.RATING,), 2 * 12),
        (1, 3, (features.MOVIE_ID,), 6 + 6),
        (1, 3, (features.MOVIE_TITLE, signature_names.SCORE), 6 + 10 + 12),
        (2, 2**31 - 1, (features.MOVIE_ID,), 2 * 12),
        (2, -1, (), 0),
        (0, 3, (), 0),
    ],
)
def test_the_least_size_of_an_answer(
    rows: int, k: int, outputs: tuple[str, ...], size: int
) -> None:
    assert costs().of(ranking(rows, k, *outputs)).answer_bytes == size


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("outputs", [(), (features.MOVIE_TITLE,)])
def test_no_answer_is_smaller(k: int, outputs: tuple[str, ...]) -> None:
    """The one with the shortest strings, as it is sent."""
    response = predict_pb2.PredictResponse()
    columns = {
        features.MOVIE_ID: np.array([sorted(IDS, key=len)[:k]] * 50, object),
        features.MOVIE_TITLE: np.array([sorted(TITLES, key=len)[:k]] * 50, object),
        signature_names.SCORE: np.zeros((50, k), np.float32),
        features.RATING: np.zeros((50, k), np.float32),
    }
    for name in outputs or columns:
        response.outputs[name].CopyFrom(tf.make_tensor_proto(columns[name]))
    least = costs().of(ranking(50, k, *outputs)).answer_bytes
    assert 0.7 * response.ByteSize() < least <= response.ByteSize()


def test_signatures_without_ratings_have_smaller_answers() -> None:
    inputs = {features.MOVIE_ID: np.array([b"7"], object), signature_names.K: np.int32(1)}
    request = predict_request(signature_names.SIMILAR, inputs, ())
    assert costs().of(request).answer_bytes == (2 + 1) + (2 + 1) + 4


@pytest.mark.parametrize(
    "request_",
    [
        ranking(1, 10),
        ranking(16, 10),
        pairs([b"1"] * 1000, [b"2"] * 1000),
        predict_request(SLOW, {"seconds": np.float64(9)}),
        predict_request("none", {}),
    ],
)
def test_what_is_asked_by_one_person_is_light(request_: predict_pb2.PredictRequest) -> None:
    assert not is_heavy(costs(movies=59_000).of(request_).work)


def whole_catalogue_for_each_example() -> predict_pb2.PredictRequest:
    examples = np.array([b"e"] * 1000, object)
    return predict_request(signature_names.TRANSFORM_FEATURES, {signature_names.EXAMPLES: examples})


def filled() -> predict_pb2.PredictRequest:
    """One value in the request, and a shape of many."""
    request = pairs([b"1"], [b"2"])
    request.inputs[features.USER_ID].tensor_shape.dim[0].size = 1_000_000
    return request


@pytest.mark.parametrize(
    "request_",
    [
        ranking(1000, 10),
        ranking(1, 2**31 - 1),
        pairs([b"1"] * 100_000, [b"2"] * 100_000),
        whole_catalogue_for_each_example(),
        filled(),
    ],
    ids=["users", "k", "pairs", "ranks", "filled"],
)
def test_what_is_asked_for_many_is_heavy(request_: predict_pb2.PredictRequest) -> None:
    assert is_heavy(costs(movies=59_000).of(request_).work)


def test_of_another_model_the_shapes_are_known() -> None:
    other = RequestCosts(object())
    assert other.of(ranking(1000, 10)).answer_bytes == 0
    assert not is_heavy(other.of(ranking(1000, 10)).work)
    assert is_heavy(other.of(pairs([b"1"] * 100_000, [b"2"] * 100_000)).work)


@pytest.mark.parametrize("k", [b"", b"\x01", b"\xff" * 9])
def test_a_malformed_request_costs_something(k: bytes) -> None:
    request = ranking(3, 1)
    request.inputs[signature_names.K].ClearField("int_val")
    request.inputs[signature_names.K].tensor_content = k
    request.inputs[features.USER_ID].tensor_shape.dim[0].size = -5
    assert costs().of(request).work >= 0


def test_a_shape_of_a_million_sizes_is_not_multiplied_out() -> None:
    """The product would have millions of digits, and the event loop works on nothing else."""
    request = predict_pb2.PredictRequest()
    sizes = [{"size": 2**62}] * 1_000_000
    shape = tensor_pb2.TensorProto(tensor_shape={"dim": sizes}).tensor_shape
    request.inputs[features.USER_ID].tensor_shape.CopyFrom(shape)
    assert costs().of(request).work < 2**20_000


def test_an_explanation_costs_as_much_as_the_ratings_that_it_reads() -> None:
    """One user has 40 ratings, and any may be asked for."""
    loaded = SimpleNamespace(
        movie_ids=tf.Variable(IDS),
        movie_titles=tf.Variable(TITLES),
        seen_row_splits=tf.Variable([0, 3, 43, 43]),
    )
    ids = np.array([b"1"] * 7, object)
    inputs = {features.USER_ID: ids, features.MOVIE_ID: ids, signature_names.K: np.int32(2)}
    request = predict_request(signature_names.EXPLAIN, inputs, ())
    one = RequestCosts(loaded).of(request)
    assert one.work == 100 * 7 * 40
    # Empty ids and titles, and two numbers.
    assert one.answer_bytes == 7 * 2 * (2 + 2 + 4 + 4)
    rated = np.array([[b"1"] * 90] * 7, object)
    sent = {
        features.MOVIE_ID: rated,
        features.RATING: np.ones((7, 90), np.float32),
        signature_names.TARGET: ids,
        signature_names.K: np.int32(2),
    }
    request = predict_request(signature_names.EXPLAIN_FOR_RATINGS, sent, ())
    assert RequestCosts(loaded).of(request).work == 100 * 7 * 90
