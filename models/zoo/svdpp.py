"""SVD++: matrix factorisation that also learns from which movies a user rated."""

from __future__ import annotations

import tensorflow as tf

from models.contracts import Tables
from models.layers.embeddings import normal_vectors, rows
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.biased_mf import BiasedMatrixFactorization


class SVDPlusPlus(BiasedMatrixFactorization):
    """r̂(u, i) = μ + b_u + b_i + q_i · (p_u + |N(u)|^-½ Σ_{j ∈ N(u)} y_j).

    N(u) are the movies that u rated in training. Source: Koren, "Factorization meets the
    neighborhood" (2008), equation 15. L2 is weighted as in `biased_mf` and applies to a user's
    whole vector. On p_u and each y_j separately, it would visit every y_j once for each rating.

    An unknown user has rated nothing and gets μ + b_i.
    """

    # Sums over lists of varying length have no static shape.
    compiles_with_xla = False

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Adds y, float32 `[movies + 1, dimension]`, and N to the tables of `biased_mf`."""
        super().__init__(statistics, options, seed)
        # A tenth of the other tables' spread: a user's sum grows with the root of |N(u)|.
        self.implicit_embedding = tf.Variable(
            normal_vectors(
                statistics.movies, options.dimension, options.init_stddev / 10, [seed, 2]
            )
        )
        self.seen_movie_index = tf.Variable(statistics.seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(statistics.seen.row_splits, trainable=False)

    def tables(self) -> Tables:
        """Returns the tables of `biased_mf`, and y."""
        tables = super().tables()
        return tables._replace(movie=(*tables.movie, self.implicit_embedding))

    def _user_rows(self, users: tf.Tensor) -> tf.Tensor:
        # A batch has many ratings of one user; the sum is computed once.
        distinct, position = tf.unique(users)
        seen = tf.gather(
            tf.RaggedTensor.from_row_splits(
                self.seen_movie_index.read_value(),
                self.seen_row_splits.read_value(),
                validate=False,
            ),
            distinct,
        )
        implicit = tf.sparse.segment_sqrt_n(
            self.implicit_embedding,
            seen.values,
            tf.cast(seen.value_rowids(), tf.int32),
            num_segments=tf.size(distinct),
        )
        return rows(self.user_embedding, users) + tf.gather(implicit, position)
