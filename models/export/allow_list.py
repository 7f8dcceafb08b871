"""Allow-lists: the movies that a request may be answered with, by their ids and their genres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tensorflow as tf

from models.export.ragged_tables import part_of


def genre_flags(genre_index: tf.Tensor, genres: int) -> tf.Tensor:
    """Returns which genres each row names.

    Memory grows with the rows and with the genres that they name, not with the product of all.

    Args:
        genre_index: Indices of genres, int32 `[B, G]`; `genres` for one that is not known.
        genres: Number of known genres.

    Returns:
        float32 `[B, genres]`, 1 for each genre of the row and 0 for the others.
    """
    rows, width = tf.unstack(tf.shape(genre_index))
    flat = tf.reshape(genre_index, [-1])
    positions = tf.stack([tf.repeat(tf.range(rows), width), flat], axis=1)
    flags = tf.tensor_scatter_nd_update(
        tf.zeros([rows, genres + 1]), positions, tf.ones_like(flat, tf.float32)
    )
    return flags[:, :genres]


@dataclass(frozen=True)
class AllowList:
    """The movies that each of B rows allows: those that it names, and those of its genres.

    Attributes:
        movie_index: Movies that each row names, int32 `[B, M]`; an index outside of the catalogue
            allows nothing.
        genre_flags: Genres that each row names, float32 `[B, genres]` of 0 and 1.
        genres_of_movies: Genres of each movie, int32 `[movies, (genres)]`.
    """

    movie_index: tf.Tensor
    genre_flags: tf.Tensor
    genres_of_movies: tf.RaggedTensor

    def rows(self, rows: slice) -> AllowList:
        """Returns the allow-list of a part of the rows."""
        return replace(self, movie_index=self.movie_index[rows], genre_flags=self.genre_flags[rows])

    def allowed(self, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """Returns which movies of a block each row allows, bool `[B, end - start]`.

        Args:
            start: Index of the first movie of the block, int32 scalar.
            end: Index behind its last movie, int32 scalar.
        """
        genres = self.genre_flags.shape[1]
        of_movies = part_of(self.genres_of_movies, slice(start, end))
        block = genre_flags(of_movies.to_tensor(genres), genres)
        by_genre = tf.matmul(self.genre_flags, block, transpose_b=True) > 0
        rows, width = tf.unstack(tf.shape(self.movie_index))
        positions = tf.stack(
            [tf.repeat(tf.range(rows), width), tf.reshape(self.movie_index, [-1]) - start], axis=1
        )
        inside = tf.reshape((self.movie_index >= start) & (self.movie_index < end), [-1])
        positions = positions[inside]
        named = tf.fill([tf.shape(positions)[0]], True)
        return tf.tensor_scatter_nd_update(by_genre, positions, named)
