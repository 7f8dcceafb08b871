"""Answering a version's warm-up requests before it answers others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from models.export.warm_up import MAX_WARM_UP_REQUESTS, WARM_UP_FILE
from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.request_error import RequestError
from serving.errors import UnreadableModelError
from serving.tensorflow_errors import reason

# Of a record in a TFRecord, beside what it holds: a length and two checksums.
_RECORD_BYTES: Final = 16


def replay(version: LoadedVersion, folder: Path) -> int:
    """Answers the requests to Predict that the version's folder brings along; may bring none.

    Args:
        version: loaded from the folder.
        folder: of the version.

    Returns:
        How many were answered.

    Raises:
        UnreadableModelError: the file is damaged or too long, or a request fails.
    """
    file = folder / WARM_UP_FILE
    if not file.is_file():
        return 0
    answered = 0
    for number, log in enumerate(_logs(file), start=1):
        if number > MAX_WARM_UP_REQUESTS:
            raise UnreadableModelError(
                f"{file}: expected at most {MAX_WARM_UP_REQUESTS} warm-up requests"
            )
        if log.WhichOneof("log_type") != "predict_log":
            continue
        try:
            version.predict(log.predict_log.request, timeout_seconds=None)
        except RequestError as error:
            raise UnreadableModelError(f"{file}: warm-up request {number}: {error}") from error
        answered += 1
    return answered


def _logs(file: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    number = size = 0
    while True:
        number += 1
        try:
            record = next(records)
            size += len(record) + _RECORD_BYTES
            yield prediction_log_pb2.PredictionLog.FromString(record)
        except StopIteration:
            break
        except tf.errors.OpError as error:
            raise UnreadableModelError(f"{file}: record {number}: {reason(str(error))}") from error
        except DecodeError as error:
            raise UnreadableModelError(
                f"{file}: record {number}: expected a PredictionLog"
            ) from error
    try:
        expected = file.stat().st_size
    except OSError as error:
        raise UnreadableModelError(f"{file}: {error.strerror}") from error
    # What is too short for a record is read as the end of the file.
    if size != expected:
        raise UnreadableModelError(f"{file}: record {number}: cut off")
