"""The retrieval loss, whose negatives are the other movies of the batch."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
import tensorflow_recommenders as tfrs


def in_batch_softmax_loss(
    user_vectors: tf.Tensor,
    movie_index: tf.Tensor,
    movie_vectors_of: Callable[[tf.Tensor], tf.Tensor],
    sampling_probability: tf.Tensor,
    weight: tf.Tensor,
) -> tf.Tensor:
    """−1/B Σ_r w_r log softmax_j(u_r · v_j − log q_j)[r] over the movies j of the batch.

    Popular movies are in more batches; taking off the logarithm of how often one is, q_j, makes
    the softmax that over the whole catalogue (Yi et al., "Sampling-bias-corrected neural modeling
    for large corpus item recommendations", 2019). A movie that is the row's own is no negative of
    it, however often it is in the batch. Where several replicas share a batch, the negatives are
    the movies of all of them.

    Args:
        user_vectors: of the users of this replica's rows, float32 `[B, d]`.
        movie_index: the movies that they chose, int `[B]`.
        movie_vectors_of: int `[C]` -> float32 `[C, d]`.
        sampling_probability: of each movie, float32 `[movies]`.
        weight: of each row, float32 `[B]`.

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
    """This replica's `[B]`, then those of the others, int `[C]`."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return index
    sizes = context.all_gather(tf.shape(index), axis=0)
    everyones = context.all_gather(index, axis=0)
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])
    return tf.concat([index, everyones[:first], everyones[first + tf.size(index) :]], axis=0)
