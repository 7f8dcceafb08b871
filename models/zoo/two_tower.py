"""Two towers that retrieve the movies that a user will like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import features
from models.contracts import Tables
from models.layers.choice_weights import choice_weight
from models.layers.embeddings import normal_vectors, row_dot, rows
from models.layers.fold_in import SoftmaxFoldIn
from models.options import ModelOptions
from models.rating_statistics import RatingStatistics


class TwoTower(tfrs.Model):
    """s(u, i) = p_u · q_i + b_i, the log-odds that u likes i, up to a constant for each u.

    TFRS's retrieval task trains it: each liked movie against the other movies of the batch, or each
    rated one, weighted by its stars (`choice_weight`). Scores are on the scale of
    log-probabilities, because the softmax is corrected for how often each movie occurs in a batch.
    b_i grows with the popularity of i.

    The last row of each table stands for unknown ids and stays zero: an unknown user gets the
    movies with the highest b_i.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the tables: vectors `[n + 1, dimension]`, biases `[movies + 1, 1]`, float32."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self.user_embedding = tf.Variable(self._initial_vectors(statistics.users, [seed, 0]))
        self.movie_embedding = tf.Variable(self._initial_vectors(statistics.movies, [seed, 1]))
        self.movie_bias = tf.Variable(tf.zeros([statistics.movies + 1, 1]))

    def _initial_vectors(self, known: int, seed: list[int]) -> tf.Tensor:
        return normal_vectors(known, self._options.dimension, self._options.init_stddev, seed)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the retrieval loss of liked movies plus the mean L2 penalty of the rows used.

        Args:
            inputs: `user_index` and `movie_index` int `[B]`, `rating` float32 `[B]`. Movies whose
                ratings have weight 0 only serve as negatives.
            training: Unused; part of the `tfrs.Model` contract.
        """
        return self._retrieval_loss(inputs) + self._options.l2_embedding * self._penalty(inputs)

    def _retrieval_loss(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the weighted sum over the batch's movies, divided by the batch's size."""
        counts = self._statistics.movie_rating_count
        return _in_batch_softmax_loss(
            user_vectors=_with_one(rows(self.user_embedding, inputs[features.USER_INDEX])),
            movie_index=inputs[features.MOVIE_INDEX],
            movie_vectors_of=lambda movies: tf.concat(
                [rows(self.movie_embedding, movies), rows(self.movie_bias, movies)], axis=1
            ),
            sampling_probability=tf.constant(counts / np.sum(counts), tf.float32),
            weight=self._retrieval_weight(inputs[features.RATING]),
        )

    def _retrieval_weight(self, rating: tf.Tensor) -> tf.Tensor:
        """Returns how much each row counts as a choice of its movie, `[B]`."""
        return choice_weight(self._options, self._statistics)(rating)

    def _penalty(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the mean over the batch of the squared norms of both vectors, a scalar."""
        user_vectors = rows(self.user_embedding, inputs[features.USER_INDEX])
        movie_vectors = rows(self.movie_embedding, inputs[features.MOVIE_INDEX])
        return tf.reduce_mean(
            row_dot(user_vectors, user_vectors) + row_dot(movie_vectors, movie_vectors)
        )

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself: log-odds."""
        return dot

    def tables(self) -> Tables:
        """Returns p_u and q_i, b_i."""
        return Tables(user=(self.user_embedding,), movie=(self.movie_embedding, self.movie_bias))

    def user_vectors(self) -> tf.Tensor:
        """Returns p_u, 1 for each user, `[users + 1, dimension + 1]`."""
        return _with_one(self.user_embedding)

    def movie_vectors(self) -> tf.Tensor:
        """Returns q_i, b_i for each movie, `[movies + 1, dimension + 1]`.

        The dot with a user's vector is the score.
        """
        return tf.concat([self.movie_embedding, self.movie_bias], axis=1)

    def fold_in(self) -> SoftmaxFoldIn:
        """Returns a fold-in of p_u from the movies that the user chose."""
        return SoftmaxFoldIn(
            self.movie_vectors()[:-1].numpy(),
            l2=self._options.l2_embedding,
            choice_weight=choice_weight(self._options, self._statistics),
        )


def _with_one(vectors: tf.Tensor) -> tf.Tensor:
    return tf.concat([vectors, tf.ones_like(vectors[:, :1])], axis=1)


def _in_batch_softmax_loss(
    user_vectors: tf.Tensor,
    movie_index: tf.Tensor,
    movie_vectors_of: Callable[[tf.Tensor], tf.Tensor],
    sampling_probability: tf.Tensor,
    weight: tf.Tensor,
) -> tf.Tensor:
    """Returns −1/B Σ_r w_r log softmax_j(u_r · v_j − log q_j)[r] over the movies j of the batch.

    Popular movies occur in more batches. Subtracting the logarithm of how often a movie occurs,
    q_j, turns the softmax into that over the whole catalogue (Yi et al., "Sampling-bias-corrected
    neural modeling for large corpus item recommendations", 2019). A row's own movie is never a
    negative of it, however often it occurs in the batch. Where several replicas share a batch, the
    negatives are the movies of all replicas.

    Args:
        user_vectors: Vectors of the users of this replica's rows, float32 `[B, d]`.
        movie_index: Movies that these users chose, int `[B]`.
        movie_vectors_of: Function from movies, int `[C]`, to vectors, float32 `[C, d]`.
        sampling_probability: Probability of each movie, float32 `[movies]`.
        weight: Weight of each row, float32 `[B]`.

    Returns:
        A float32 scalar.
    """
    candidates = _of_all_replicas(movie_index)
    loss = tfrs.tasks.Retrieval(remove_accidental_hits=True)(
        user_vectors,
        movie_vectors_of(candidates),
        sample_weight=weight,
        candidate_sampling_probability=tf.gather(sampling_probability, candidates),
        candidate_ids=candidates,
        compute_metrics=False,
    )
    return loss / tf.cast(tf.size(movie_index), tf.float32)


def _of_all_replicas(index: tf.Tensor) -> tf.Tensor:
    """Returns this replica's indices `[B]` followed by those of the others, int `[C]`."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return index
    sizes = context.all_gather(tf.shape(index), axis=0)
    everyones = context.all_gather(index, axis=0)
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    return tf.concat([index, everyones[:first], everyones[first + tf.size(index) :]], axis=0)
