"""A blend: a weighted sum of the scores of several models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models.columns import Columns
from models.contracts import Contributions, FoldIn, RankingModel
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions, part_options
from models.rating_statistics import RatingStatistics, measure
from models.seen_movies import ratings_of, seen_movies
from models.training.hidden_ratings import hide
from models.training.part_weights import choose_weights
from models.training.updates import updates_of

# Of the vectors of a part; it keeps those that are all zero from dividing by zero.
_LEAST_SQUARE: Final = 1e-12


class Blend(tf.Module):
    """s(u, i) = Σ_k w_k s_k(u, i) over the parts k, each a model of its own, with w_k ≥ 0.

    A stacked generalisation (Wolpert, 1992) without an intercept. The parts are trained on a part
    of the ratings first (`models.training.hidden_ratings`), and the weights are those with the
    highest NDCG@10 on the hidden ones. Then the parts are trained anew on all ratings. Where
    `part_weights` says the weights, they are trained once.

    The vectors are those of the parts, one after the other, so one dot product gives the sum. The
    first entries are the directions in which movies are similar; each part's have equal size.
    """

    def __init__(self, statistics: RatingStatistics, options: ModelOptions, seed: int) -> None:
        """Creates the parts, and their weights, float32 `[parts]`."""
        super().__init__()
        self._options = options
        self._statistics = statistics
        self._seed = seed
        self._part_options = part_options(options, seed)
        self.weight = tf.Variable(
            options.part_weights or tf.ones([len(self._part_options)]), dtype=tf.float32
        )
        self.parts = _Parts(statistics, self._part_options, seed)
        self.trials: _Parts | None = None
        if not options.part_weights:
            visible, _ = self._visible_and_hidden()
            part = measure(visible, statistics.users, statistics.movies, sides=statistics.sides)
            self.trials = _Parts(part, self._part_options, seed)
        trainings = 1 if self.trials is None else 2
        self.steps_per_epoch = trainings * self.parts.steps
        self.losses = tf.Variable(tf.zeros([self.steps_per_epoch], tf.float64), trainable=False)

    @property
    def trainable_variables(self) -> Sequence[tf.Variable]:
        """The weights of the sum and of the parts; those of the trials are other state."""
        return (self.weight, *self.parts.weights)

    def fit(self, ratings: Columns, first_step: int) -> Iterator[float]:
        """Trains the parts; see `models.contracts.FittingModel`.

        A step is an epoch of a part, and the loss is that part's. After the first epoch nothing
        changes.
        """
        step = first_step - 1
        for loss in self._first_epoch(ratings, step):
            self.losses[step].assign(loss)
            step += 1
            yield loss
        while True:
            yield float(self.losses[step % self.steps_per_epoch])
            step += 1

    def _first_epoch(self, ratings: Columns, step: int) -> Iterator[float]:
        """Takes the steps that are left after some, and yields their losses."""
        trials = self.trials
        if trials is not None:
            visible, hidden = self._visible_and_hidden()
            for done, loss in trials.train(visible, step):
                if done == trials.steps:
                    self.weight.assign(self._chosen_weights(trials, visible, hidden))
                yield loss
            step -= trials.steps
        for _, loss in self.parts.train(ratings, step):
            yield loss

    def score_of(self, dot: tf.Tensor) -> tf.Tensor:
        """Returns the dot itself."""
        return dot

    def user_vectors(self) -> tf.Tensor:
        """Returns the parts' vectors times their weights, `[users + 1, d]`."""
        return self._layout().joined(
            [part.user_vectors() for part in self.parts.models],
            tf.unstack(self.weight * self._scales()),
        )

    def movie_vectors(self) -> tf.Tensor:
        """Returns the parts' vectors over their scales, `[movies + 1, d]`."""
        return self._layout().joined(
            [part.movie_vectors() for part in self.parts.models],
            tf.unstack(1 / self._scales()),
        )

    def fold_in(self) -> _PartwiseFoldIn:
        """Returns the fold-ins of the parts."""
        return _PartwiseFoldIn(
            self._layout(),
            [part.fold_in() for part in self.parts.models],
            self._scales().numpy().tolist(),
            self.weight.numpy().tolist(),
        )

    def _scales(self) -> tf.Tensor:
        """Returns the root mean square length of each part's directions of movies, `[parts]`."""
        directions = [
            part.movie_vectors()[:-1, : options.dimension]
            for part, (options, _) in zip(self.parts.models, self._part_options, strict=True)
        ]
        squares = [tf.reduce_sum(tf.square(table)) / table.shape[0] for table in directions]
        return tf.sqrt(tf.maximum(tf.stack(squares), _LEAST_SQUARE))

    def _layout(self) -> _Layout:
        return _Layout(
            [options.dimension for options, _ in self._part_options],
            [part.movie_vectors().shape[1] for part in self.parts.models],
        )

    def _visible_and_hidden(self) -> tuple[Columns, Columns]:
        return hide(ratings_of(self._statistics.seen), self._statistics.users, self._seed)

    def _chosen_weights(self, trials: _Parts, visible: Columns, hidden: Columns) -> Any:
        """Returns the weights that rank the hidden ratings best, float64 `[parts]`."""
        return choose_weights(
            [(part.user_vectors(), part.movie_vectors()) for part in trials.models],
            seen_movies(visible, self._statistics.users),
            hidden,
            self._options.liked_rating,
        )


class _Parts(tf.Module):
    """Models that are trained one after the other.

    Attributes:
        models: The models.
        weights: Weights of all of them.
        steps: Number of epochs of all of them.
    """

    def __init__(
        self,
        statistics: RatingStatistics,
        options: Sequence[tuple[ModelOptions, TrainingOptions]],
        seed: int,
    ) -> None:
        super().__init__()
        self.models: list[RankingModel] = [
            build_model(model, statistics, seed) for model, _ in options
        ]
        self.weights = [variable for model in self.models for variable in model.trainable_variables]
        device = tf.distribute.get_strategy()
        self._updates = [
            updates_of(model, training, device)
            for model, (_, training) in zip(self.models, options, strict=True)
        ]
        self.state = [update.state for update in self._updates]
        self._epochs = [training.epochs for _, training in options]
        self.steps = sum(self._epochs)

    def train(self, ratings: Columns, step: int) -> Iterator[tuple[int, float]]:
        """Yields the number of steps done, and the loss, after each step that is left."""
        first = 0
        for updates, epochs in zip(self._updates, self._epochs, strict=True):
            for epoch in range(1 + max(0, step - first), 1 + epochs):
                parts = list(updates.of_epoch(ratings, epoch, 0))
                loss = sum(part.loss_sum for part in parts) / parts[-1].steps
                yield first + epoch, loss
            first += epochs


class _Layout:
    """Places of the parts' vectors in those of the blend: all directions, then all the rest."""

    def __init__(self, directions: Sequence[int], lengths: Sequence[int]) -> None:
        """Keeps the places.

        Args:
            directions: Number of directions of each part.
            lengths: Length of a vector of each part, the directions first.
        """
        ends = np.cumsum([*directions, *np.subtract(lengths, directions)])
        pairs = list(zip([0, *ends[:-1]], ends, strict=True))
        self._directions = directions
        self._places = list(zip(pairs[: len(lengths)], pairs[len(lengths) :], strict=True))

    def joined(self, vectors: Sequence[tf.Tensor], factors: Sequence[Any]) -> tf.Tensor:
        """Returns the vectors of the blend, `[n, d]`, from those of the parts times factors."""
        scaled = [factor * table for factor, table in zip(factors, vectors, strict=True)]
        counts = zip(scaled, self._directions, strict=True)
        split = [(table[..., :count], table[..., count:]) for table, count in counts]
        return tf.concat([*(head for head, _ in split), *(tail for _, tail in split)], axis=-1)

    def of_parts(self, vectors: tf.Tensor, factors: Sequence[float]) -> list[tf.Tensor]:
        """Returns the vectors of each part times a factor, `[…, d_k]`; undoes `joined`."""
        return [
            factor * tf.concat([vectors[..., start:end] for start, end in places], axis=-1)
            for places, factor in zip(self._places, factors, strict=True)
        ]


class _PartwiseFoldIn:
    """The fold-in of each part on its own vectors."""

    def __init__(
        self,
        layout: _Layout,
        fold_ins: Sequence[FoldIn],
        scales: Sequence[float],
        weights: Sequence[float],
    ) -> None:
        self._layout = layout
        self._fold_ins = fold_ins
        self._scales = scales
        self._weights = weights
        self._factors = [w * scale for w, scale in zip(weights, scales, strict=True)]

    def __call__(self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
        """See `models.contracts.FoldIn`."""
        of_parts = self._layout.of_parts(vectors, self._scales)
        folded = [
            fold_in(table, rating, known)
            for fold_in, table in zip(self._fold_ins, of_parts, strict=True)
        ]
        return self._layout.joined(folded, self._factors)

    def contributions(
        self, vectors: tf.Tensor, rating: tf.Tensor, known: tf.Tensor, movie: tf.Tensor
    ) -> Contributions:
        """Returns the weighted sums of those of the parts; see `models.contracts.FoldIn`."""
        of_parts = [
            fold_in.contributions(table, rating, known, own)
            for fold_in, table, own in zip(
                self._fold_ins,
                self._layout.of_parts(vectors, self._scales),
                self._layout.of_parts(movie, self._scales),
                strict=True,
            )
        ]
        return Contributions(
            *(
                tf.add_n([w * values for w, values in zip(self._weights, field, strict=True)])
                for field in zip(*of_parts, strict=True)
            )
        )
