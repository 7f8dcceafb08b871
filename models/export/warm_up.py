"""Warm-up requests, which a model server replays before it answers with a new model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Final

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models.catalogue import Catalogue
from models.export.sample_requests import inputs_for, predict_request, unknown_id

# Path inside the SavedModel and largest number of records, both from TensorFlow Serving.
WARM_UP_FILE: Final = "assets.extra/tf_serving_warmup_requests"
MAX_WARM_UP_REQUESTS: Final = 1000

# Rows of the requests: a server answers faster for shapes that it has seen.
_KNOWN_ROWS = (1, 10, 100)
# The server replays requests into the model that it loads, whatever this name is.
_MODEL_NAME = "movierec"


def write(saved_model: str, signatures: Iterable[str], catalogue: Catalogue) -> None:
    """Writes requests to each signature into a SavedModel.

    Equal arguments give equal bytes.

    Args:
        saved_model: Folder of the SavedModel.
        signatures: Names of its signatures.
        catalogue: Users and movies to ask about.
    """
    path = os.path.join(saved_model, WARM_UP_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for signature in sorted(signatures):
            for request in _requests(signature, catalogue):
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString(deterministic=True))


def _requests(signature: str, catalogue: Catalogue) -> Iterator[predict_pb2.PredictRequest]:
    """Yields requests of several sizes with known ids, and one with unknown ids."""
    for rows in _KNOWN_ROWS:
        yield _request(signature, *(_rows(ids, rows) for ids in _ids(catalogue)))
    yield _request(signature, *([unknown_id(ids).encode()] for ids in _ids(catalogue)))


def _request(
    signature: str, user_ids: list[bytes], movie_ids: list[bytes]
) -> predict_pb2.PredictRequest:
    return predict_request(_MODEL_NAME, signature, inputs_for(signature, user_ids, movie_ids))


def _ids(catalogue: Catalogue) -> tuple[list[str], list[str]]:
    return catalogue.user_ids, catalogue.movie_ids


def _rows(ids: list[str], count: int) -> list[bytes]:
    return [name.encode() for name in islice(cycle(ids), count)]
