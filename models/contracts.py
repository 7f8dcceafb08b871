"""Defines what the rest of the project asks of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

import tensorflow as tf

from models.columns import Columns


class Contributions(NamedTuple):
    """What ratings add to dot products: with the baseline they add up to the whole.

    Attributes:
        baseline: Dot products without any rating, float32 `[B]`.
        of_ratings: What each rating adds, float32 `[B, N]`; 0 for one that does not count.
    """

    baseline: tf.Tensor
    of_ratings: tf.Tensor


class FoldIn(Protocol):
    """Finds the vectors of new users from a few ratings of theirs."""

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """Returns users' vectors, whose dots with movies' vectors are scores, float32 `[B, d]`.

        Args:
            vectors: Vectors of the movies that each user rated, float32 `[B, N, d]`.
            rating: Ratings of these movies, float32 `[B, N]`.
            known: Which of the ratings count, bool `[B, N]`. A user without any gets the vector
                of the unknown user.
        """

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """Returns what each rating adds to the dot of the folded-in vector with a movie's.

        Args:
            vectors: See `__call__`.
            rating: See `__call__`.
            known: See `__call__`.
            movie: Vector of one movie for each user, float32 `[B, d]`.
        """


class Pairs(NamedTuple):
    """Users and movies to rate.

    Attributes:
        user_index: int `[B]`; the number of known users stands for an unknown one.
        movie_index: int `[B]`; the number of known movies stands for an unknown one.
        user_vectors: Rows of the model's `user_vectors`, float32 `[B, d]`.
        movie_vectors: Rows of its `movie_vectors`, float32 `[B, d]`.
    """

    user_index: tf.Tensor
    movie_index: tf.Tensor
    user_vectors: tf.Tensor
    movie_vectors: tf.Tensor


class RatingHead(Protocol):
    """Rates pairs; a `tf.Module` that holds only the weights that the vectors leave out."""

    def __call__(self, pairs: Pairs) -> tf.Tensor:
        """Returns ratings that are not clipped to their range, float32 `[B]`."""


class RankingModel(Protocol):
    """The contract of every model; see `BiasedMatrixFactorization` and `TwoTower`.

    A model is a `GradientModel` or a `FittingModel` too.

    Attributes:
        trainable_variables: Weights that a training changes.
        variables: The weights, and all other state from which the results of the methods follow.
    """

    trainable_variables: Sequence[tf.Variable]
    variables: Sequence[tf.Variable]

    def user_vectors(self) -> tf.Tensor:
        """Returns the users' vectors, `[users + 1, d]`; the last row is the unknown user's."""

    def movie_vectors(self) -> tf.Tensor:
        """Returns the movies' vectors, `[movies + 1, d]`.

        The dot with a user's vector ranks the movies for that user. The first
        `ModelOptions.similarity_dimension` entries measure how similar movies are.
        """

    def fold_in(self) -> FoldIn:
        """Returns what finds the vectors of new users, for the current weights."""

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the scores to show for dot products, of the same shape.

        They are ratings, not clipped to their range, where the dot stands for a rating.
        """


class Table(Protocol):
    """A table of weights, a `tf.Variable` or computed from several: `FeaturedTable`.

    `tf.convert_to_tensor` returns its values.
    """

    @property
    def shape(self) -> Any:
        """The shape of the values."""

    def numpy(self) -> Any:
        """Returns the values of a table on one device."""

    def assign(self, values: Any, /) -> Any:
        """Sets the values."""


class Tables(NamedTuple):
    """The trainable weights by what their rows stand for; the last row is that of unknown ids.

    Attributes:
        user: Tables with a row for each user, `[users + 1, …]`.
        movie: Tables with a row for each movie, `[movies + 1, …]`.
        shared: Weights that belong to no user and no movie.
    """

    user: Sequence[Table]
    movie: Sequence[Table]
    shared: Sequence[Table] = ()


class GradientModel(RankingModel, Protocol):
    """The contract of a model that `tf.GradientTape` trains; see `models.training.updates`."""

    def tables(self) -> Tables:
        """Returns all trainable weights; a warm start finds the rows of an earlier model by ids."""

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Returns the loss over a batch, a scalar. The training loop needs nothing else."""


class FittingModel(RankingModel, Protocol):
    """The contract of a model with closed-form or sampled updates; see `ImplicitALS` and `EASE`.

    Attributes:
        steps_per_epoch: Number of steps in an epoch; without the attribute each step is one.
    """

    def fit(self, ratings: Columns, first_step: int) -> Iterator[float]:
        """Updates the model step by step, without end, and yields the mean loss of each.

        A step depends only on the ratings, its number, the model's seed and `variables`, so that a
        training resumes at any of them.

        Args:
            ratings: `user_index`, `movie_index` and `rating` of known users and movies, `[n]`.
            first_step: Number of the first step, from 1 over all epochs.

        Raises:
            ValueError: The model cannot be fitted to these ratings; the message is one line.
        """


class ChainModel(FittingModel, Protocol):
    """The contract of a model whose epochs are draws of a Markov chain."""

    def chain_scalars(self) -> dict[str, float]:
        """Returns scalars of the last draw, by name, which tell whether the chain has converged.

        They are the same however the latent dimensions are turned.
        """


class RatingModel(RankingModel, Protocol):
    """The contract of a model that predicts ratings."""

    def predict_rating(self, user_index: tf.Tensor, movie_index: tf.Tensor) -> tf.Tensor:
        """Returns ratings within their range, `[B]`, for users `[B]` and movies `[B]`."""

    def rating_head(self) -> RatingHead:
        """Returns what predicts the same ratings from both vectors, before they are clipped.

        It holds the current weights and shares none with the model: it is exported.
        """


def predicts_ratings(model: RankingModel) -> TypeGuard[RatingModel]:
    """Returns whether the model is a `RatingModel`."""
    return hasattr(model, "predict_rating")


def is_chain(model: RankingModel) -> TypeGuard[ChainModel]:
    """Returns whether the model is a `ChainModel`."""
    return hasattr(model, "chain_scalars")


def trains_by_gradients(model: RankingModel) -> TypeGuard[GradientModel]:
    """Returns whether the model is a `GradientModel`; every other is a `FittingModel`."""
    # Keras models have a `fit` too, which is not that of the contract.
    return hasattr(model, "compute_loss")
