"""Results for many rows a part at a time, where those of all at once would not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def in_row_parts(
    of_part: Callable[[slice], Sequence[tf.Tensor]],
    rows: tf.Tensor,
    at_once: int | tf.Tensor,
    specs: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    """What a function gives for each part, one after the other; to be called in a `tf.function`.

    Args:
        of_part: takes the rows of a part and gives tensors whose first dimension they are.
        rows: how many there are, int32 scalar.
        at_once: how many a part has at most.
        specs: of what the function gives; the first dimension is that of the rows.
    """
    # Of no rows there is one part, so that the results have their shapes.
    parts = tf.maximum(1, -(-rows // at_once))
    arrays = [
        tf.TensorArray(spec.dtype, parts, infer_shape=False, element_shape=spec.shape)
        for spec in specs
    ]
    for part in tf.range(parts):
        found = of_part(slice(part * at_once, (part + 1) * at_once))
        arrays = [array.write(part, tensor) for array, tensor in zip(arrays, found, strict=True)]
    return [array.concat() for array in arrays]
