"""SVD++: what somebody rated says something, whatever the ratings were."""

from __future__ import annotations

import tensorflow as tf

from models.options import ModelOptions
from models.rating_statistics import RatingStatistics
from models.zoo.biased_mf import BiasedMatrixFactorization
from models.zoo.factors import normal_vectors, rows


class SVDPlusPlus(BiasedMatrixFactorization):
    """r̂(u, i) = μ + b_u + b_i + q_i · (p_u + |N(u)|^-½ Σ_{j ∈ N(u)} y_j).

    N(u) are the movies that u rated in training. Source: Koren, "Factorization meets the
    neighborhood" (2008), equation 15. L2 is weighted as in `biased_mf` and lies on the whole vector
    of a user, not on p_u and each y_j apart, which would visit every y_j once for each rating.

    An unknown user has rated nothing and gets μ + b_i.
    """

    # Sums over lists of any length have no static shape.
    compiles_with_xla = False

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Adds Y `[movies + 1, dimension]`, float32, and the table of N to those of `biased_mf`."""
        super().__init__(statistics, options, seed)
        # A tenth of the others' spread: a user's sum has about the square root of N(u) of them.
        self.implicit_embedding = tf.Variable(
            normal_vectors(
                statistics.movies, options.dimension, options.init_stddev / 10, [seed, 2]
            )
        )
        self.seen_movie_index = tf.Variable(statistics.seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(statistics.seen.row_splits, trainable=False)

    def _user_rows(self, users: tf.Tensor) -> tf.Tensor:
        # A batch has many ratings of one user, whose sum is taken once.
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
