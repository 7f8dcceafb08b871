"""Which requests may be answered sooner than a thread is woken for them."""

from __future__ import annotations

import math
from typing import Final

from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2

from models.signature_names import PREDICT

_MOST_BYTES: Final = 8192
# A shape may ask for more values than the request holds.
_MOST_VALUES: Final = 128


def is_brief(raw: bytes) -> bool:
    """Whether it asks `predict`, of the newest version, for the ratings of a few pairs.

    Args:
        raw: a serialized PredictRequest, or what is none.
    """
    if len(raw) > _MOST_BYTES:
        return False
    try:
        message = predict_pb2.PredictRequest.FromString(raw)
    except DecodeError:
        return False
    spec = message.model_spec
    if spec.signature_name != PREDICT or spec.WhichOneof("version_choice"):
        return False
    shapes = ([size.size for size in value.tensor_shape.dim] for value in message.inputs.values())
    return all(math.prod(shape) <= _MOST_VALUES for shape in shapes)
