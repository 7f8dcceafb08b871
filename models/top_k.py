"""The best of a catalogue for each of many queries, without all scores at once."""

from __future__ import annotations

import tensorflow as tf

from models.ranking import without
from models.row_parts import in_row_parts

# Queries and movies whose scores are in memory at a time: 32 MiB.
QUERIES_AT_ONCE = 1_024
MOVIES_AT_ONCE = 8_192


def top_k(
    queries: tf.Tensor,
    vectors: tf.Tensor,
    excluded: tf.RaggedTensor,
    k: tf.Tensor,
    scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The k movies with the highest scores for each query, the highest first.

    A score is the dot product with the movie's vector. Of equal ones the lower index comes first.

    Args:
        queries: float32 `[B, d]`.
        vectors: of the movies, float32 `[movies, d]`.
        excluded: indices that are not wanted, int32 `[B, (excluded)]`; those that are no movie's
            exclude nothing.
        k: int32 scalar; at most the number of movies is returned, and nothing below 1.
        scale: by which a movie's dot products are multiplied, float32 `[movies]`, or None.

    Returns:
        Scores float32 and indices int32, each `[B, k]`; −inf where fewer than k are left.
    """
    k = tf.clip_by_value(k, 0, tf.shape(vectors)[0])
    scores, indices = in_row_parts(
        lambda rows: _of_all_movies(queries[rows], vectors, excluded[rows], k, scale),
        tf.shape(queries)[0],
        QUERIES_AT_ONCE,
        [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None, None], tf.int32)],
    )
    return scores, indices


def _of_all_movies(
    queries: tf.Tensor,
    vectors: tf.Tensor,
    excluded: tf.RaggedTensor,
    k: tf.Tensor,
    scale: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """`top_k` for as many queries as may be at once; the best of a block meet those before it."""
    best = tf.zeros([tf.shape(queries)[0], 0])
    index = tf.zeros([tf.shape(queries)[0], 0], tf.int32)
    rows = excluded.value_rowids()
    growing = tf.TensorShape([None, None])
    for start in tf.range(0, tf.shape(vectors)[0], MOVIES_AT_ONCE):
        tf.autograph.experimental.set_loop_options(
            shape_invariants=[(best, growing), (index, growing)]
        )
        block = slice(start, start + MOVIES_AT_ONCE)
        scores = tf.matmul(queries, vectors[block], transpose_b=True)
        if scale is not None:
            scores *= scale[block]
        size = tf.shape(scores)[1]
        inside = (excluded.values >= start) & (excluded.values < start + size)
        scores = without(scores, rows[inside], excluded.values[inside] - start)
        movies = tf.broadcast_to(tf.range(start, start + size), tf.shape(scores))
        merged = tf.concat([best, scores], axis=1)
        # Earlier movies are on the left, and of equal values the left one goes first.
        best, place = tf.math.top_k(merged, tf.minimum(k, tf.shape(merged)[1]))
        index = tf.gather(tf.concat([index, movies], axis=1), place, batch_dims=1)
    return best, index
