"""Top-k retrieval over the whole catalogue in blocks, without all scores in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models.export.allow_list import AllowList
from models.export.ragged_tables import part_of, rows_of_values
from models.ranking import dot_products, without

# Queries and movies of a block, whose scores take 32 MiB.
QUERIES_AT_ONCE = 1_024
MOVIES_AT_ONCE = 8_192


class Offsets(NamedTuple):
    """What is added to the scores of the movies before they are ranked.

    Attributes:
        score_of: Function from dot products to scores, of any shape.
        of_movies: Offset of each movie, float32 `[movies]`.
        factors: Factor of the offsets for each query, float32 `[B]`.
    """

    score_of: Callable[[tf.Tensor], tf.Tensor]
    of_movies: tf.Tensor
    factors: tf.Tensor

    def rows(self, rows: slice) -> Offsets:
        """Returns the offsets for some of the queries."""
        return self._replace(factors=self.factors[rows])

    def scores(self, dots: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """Returns the scores of the movies from `start` to `end`, `[B, end - start]`."""
        return self.score_of(dots) + self.factors[:, tf.newaxis] * self.of_movies[start:end]

    def of_pairs(self, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns what is added to the scores of some movies, float32 `[B, …]`.

        Args:
            movie_index: Movies of each query, int32 `[B]` or `[B, k]`.
        """
        added = tf.gather(self.of_movies, movie_index)
        factors = self.factors if added.shape.rank == 1 else self.factors[:, tf.newaxis]
        return factors * added


def top_k(
    queries: tf.Tensor,
    vectors: tf.Tensor,
    movies: int,
    excluded: tf.RaggedTensor,
    k: tf.Tensor,
    scale: tf.Tensor | None = None,
    allow_list: AllowList | None = None,
    offsets: Offsets | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the k movies with the highest scores for each query, the highest first.

    A score is the dot product with the movie's vector, or what the offsets make of it. The lower
    index wins a tie.

    Args:
        queries: Query vectors, float32 `[B, d]`.
        vectors: Vectors, float32 `[n, d]`; those of the movies come first.
        movies: Number of movies.
        excluded: Indices of movies to leave out, int32 `[B, (excluded)]`. Other indices have no
            effect.
        k: Number of movies to return, int32 scalar, limited to the range 0 to `movies`.
        scale: Factor of each movie's dot products, float32 `[movies]`, or None.
        allow_list: Movies to choose among for each query; all if None.
        offsets: What to add to the scores, or None.

    Returns:
        Scores, float32 `[B, k]`, and indices, int32 `[B, k]`. Scores are −inf where fewer than k
        movies are left.
    """
    k = tf.clip_by_value(k, 0, movies)
    # Where k is 0 no movie is scored.
    scored = tf.where(k > 0, movies, 0)
    scores, indices = in_row_parts(
        lambda rows: _top_k_of_block(
            scored,
            queries[rows],
            vectors,
            part_of(excluded, rows),
            k,
            scale,
            None if allow_list is None else allow_list.rows(rows),
            None if offsets is None else offsets.rows(rows),
        ),
        tf.shape(queries)[0],
        QUERIES_AT_ONCE,
        [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None, None], tf.int32)],
    )
    return scores, indices


def in_row_parts(
    of_part: Callable[[slice], Sequence[tf.Tensor]],
    rows: tf.Tensor,
    at_once: int | tf.Tensor,
    specs: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    """Computes results a part of the rows at a time, where all at once would not fit in memory.

    Call it inside a `tf.function`.

    Args:
        of_part: Function from a slice of the rows to tensors with these rows first.
        rows: Number of rows, int32 scalar.
        at_once: Largest number of rows in a part.
        specs: Types of the tensors that the function returns; the first dimension is the rows.

    Returns:
        The tensors for all rows.
    """
    # Without rows there is one empty part, so that the results have their shapes.
    parts = tf.maximum(1, -(-rows // at_once))
    arrays = [
        tf.TensorArray(spec.dtype, parts, infer_shape=False, element_shape=spec.shape)
        for spec in specs
    ]

    def with_part(part: tf.Tensor, *arrays: tf.TensorArray) -> tuple[Any, ...]:
        results = of_part(slice(part * at_once, (part + 1) * at_once))
        written = [array.write(part, rows) for array, rows in zip(arrays, results, strict=True)]
        return part + 1, *written

    _, *arrays = tf.while_loop(lambda part, *_: part < parts, with_part, [tf.constant(0), *arrays])
    return [array.concat() for array in arrays]


def _top_k_of_block(
    movies: tf.Tensor,
    queries: tf.Tensor,
    vectors: tf.Tensor,
    excluded: tf.RaggedTensor,
    k: tf.Tensor,
    scale: tf.Tensor | None,
    allow_list: AllowList | None,
    offsets: Offsets | None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the top k for a block of queries, merged over blocks of movies."""
    best = tf.zeros([tf.shape(queries)[0], 0])
    index = tf.zeros([tf.shape(queries)[0], 0], tf.int32)
    rows = rows_of_values(excluded)

    def with_block(
        start: tf.Tensor, best: tf.Tensor, index: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        end = tf.minimum(start + MOVIES_AT_ONCE, movies)
        scores = dot_products(queries, vectors[start:end])
        if scale is not None:
            scores *= scale[start:end]
        if offsets is not None:
            scores = offsets.scores(scores, start, end)
        inside = (excluded.values >= start) & (excluded.values < end)
        scores = without(scores, rows[inside], excluded.values[inside] - start)
        if allow_list is not None:
            scores = tf.where(allow_list.allowed(start, end), scores, -np.inf)
        block = tf.broadcast_to(tf.range(start, end), tf.shape(scores))
        merged = tf.concat([best, scores], axis=1)
        # Earlier movies are on the left, and TensorFlow's top_k puts the left one of equals first.
        best, place = tf.math.top_k(merged, tf.minimum(k, tf.shape(merged)[1]))
        return end, best, tf.gather(tf.concat([index, block], axis=1), place, batch_dims=1)

    growing = tf.TensorShape([None, None])
    _, best, index = tf.while_loop(
        lambda start, *_: start < movies,
        with_block,
        [tf.constant(0), best, index],
        shape_invariants=[tf.TensorShape([]), growing, growing],
    )
    return best, index
