"""The mean of products of matrices, as one product of low rank."""

from __future__ import annotations

import tensorflow as tf


def mean_product(
    left: tf.Tensor,
    right: tf.Tensor,
    new_left: tf.Tensor,
    new_right: tf.Tensor,
    share: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns factors of (1 − share) L Rᵀ + share N Oᵀ, of the rank of L: the nearest there are.

    Both factors get the root of each singular value.

    Args:
        left: L, float32 `[n, r]`.
        right: R, float32 `[m, r]`.
        new_left: N, float32 `[n, k]`.
        new_right: O, float32 `[m, k]`.
        share: Weight of the new product, a float64 scalar from 0 to 1.

    Returns:
        float32 `[n, r]` and `[m, r]`.
    """
    scales = tf.cast(tf.sqrt(1 - share), tf.float32), tf.cast(tf.sqrt(share), tf.float32)
    lefts = tf.concat([scales[0] * left, scales[1] * new_left], axis=1)
    rights = tf.concat([scales[0] * right, scales[1] * new_right], axis=1)
    left_root, left_inverse = _root_of_gram(lefts)
    right_root, right_inverse = _root_of_gram(rights)
    values, u, v = tf.linalg.svd(tf.matmul(left_root, right_root, transpose_b=True))
    rank = left.shape[1]
    roots = tf.sqrt(values[:rank])
    return (
        tf.matmul(lefts, tf.cast(tf.matmul(left_inverse, u[:, :rank]) * roots, tf.float32)),
        tf.matmul(rights, tf.cast(tf.matmul(right_inverse, v[:, :rank]) * roots, tf.float32)),
    )


def _root_of_gram(table: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns T and T⁺ with A = (A T⁺) T, and A T⁺ orthonormal in the span of A: `[c, c]` each."""
    wide = tf.cast(table, tf.float64)
    values, vectors = tf.linalg.eigh(tf.matmul(wide, wide, transpose_a=True))
    # What is less than rounding, or where the span ends, is left out.
    kept = values > 1e-10 * values[-1]
    roots = tf.where(kept, tf.sqrt(tf.maximum(values, 0)), 0)
    inverse = tf.where(kept, 1 / tf.where(kept, tf.sqrt(tf.maximum(values, 0)), 1), 0)
    return tf.transpose(vectors * roots), vectors * inverse
