"""The best of a catalogue for each of many queries, without all scores at once."""

from __future__ import annotations

import tensorflow as tf

from models.export.row_parts import in_row_parts
from models.ranking import dot_products, without

# Queries and movies whose scores are in memory at a time: 32 MiB.
QUERIES_AT_ONCE = 1_024
MOVIES_AT_ONCE = 8_192


def top_k(
    queries: tf.Tensor,
    vectors: tf.Tensor,
    movies: int,
    excluded: tf.RaggedTensor,
    k: tf.Tensor,
    scale: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The k movies with the highest scores for each query, the highest first.

    A score is the dot product with the movie's vector. Of equal ones the lower index comes first.

    Args:
        queries: float32 `[B, d]`.
        vectors: float32 `[n, d]`, of which the first are the movies'.
        movies: how many those are.
        excluded: indices that are not wanted, int32 `[B, (excluded)]`; those that are no movie's
            exclude nothing.
        k: int32 scalar; at most the number of movies is returned, and nothing below 1.
        scale: by which a movie's dot products are multiplied, float32 `[movies]`, or None.

    Returns:
        Scores float32 and indices int32, each `[B, k]`; −inf where fewer than k are left.
    """
    k = tf.clip_by_value(k, 0, movies)
    # Nothing is multiplied where nothing is wanted.
    looked_at = tf.where(k > 0, movies, 0)
    scores, indices = in_row_parts(
        lambda rows: _of_first(looked_at, queries[rows], vectors, excluded[rows], k, scale),
        tf.shape(queries)[0],
        QUERIES_AT_ONCE,
        [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None, None], tf.int32)],
    )
    return scores, indices


def _of_first(
    movies: tf.Tensor,
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
    for start in tf.range(0, movies, MOVIES_AT_ONCE):
        tf.autograph.experimental.set_loop_options(
            shape_invariants=[(best, growing), (index, growing)]
        )
        end = tf.minimum(start + MOVIES_AT_ONCE, movies)
        scores = dot_products(queries, vectors[start:end])
        if scale is not None:
            scores *= scale[start:end]
        inside = (excluded.values >= start) & (excluded.values < end)
        scores = without(scores, rows[inside], excluded.values[inside] - start)
        block = tf.broadcast_to(tf.range(start, end), tf.shape(scores))
        merged = tf.concat([best, scores], axis=1)
        # Earlier movies are on the left, and of equal values the left one goes first.
        best, place = tf.math.top_k(merged, tf.minimum(k, tf.shape(merged)[1]))
        index = tf.gather(tf.concat([index, block], axis=1), place, batch_dims=1)
    return best, index
