"""Loading a SavedModel, with one clear error if it is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.errors import UnreadableModelError
from serving.tensorflow_errors import reason

# A damaged graph shows itself wherever the loader happens to trip over it.
_DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DecodeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


def load_saved_model(folder: Path) -> Any:
    """The loaded object; its signatures live only as long as it does.

    Raises:
        UnreadableModelError: the folder holds no SavedModel, or a damaged one.
    """
    try:
        return tf.saved_model.load(str(folder))
    except _DAMAGE as error:
        raise UnreadableModelError(
            f"{folder}: no readable SavedModel ({reason(str(error))})"
        ) from error
