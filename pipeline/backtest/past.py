"""The ratings of a backtest: as they were at the start of each week, split as a run splits them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from components.movielens_example_gen import cleaning, reading, splits
from models import features
from models.catalogue import Catalogue
from models.columns import Columns, canonical_order
from models.rating_statistics import measure
from models.training.training_data import TrainingData
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig
from pipeline.datasets import locate
from pipeline.ingest_options import ingest_options

SECONDS_PER_DAY: Final = 86_400

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Vocabulary:
    """The rows of a model's tables by the numbers that all ratings have.

    Attributes:
        ids: Ids by row.
        rows: Row of each number; the number of ids for what the model does not know.
        counts: Number of training ratings by row.
    """

    ids: list[str]
    rows: Array
    counts: list[int]

    @classmethod
    def of(cls, numbers: Array, names: list[str], fewest: int) -> Vocabulary:
        """Returns the rows of what is rated often enough, most often first.

        Args:
            numbers: User or movie of each training rating, int `[n]`.
            names: Id of each number.
            fewest: Fewest ratings of what is known.
        """
        counts = np.bincount(numbers, minlength=len(names))
        known = np.flatnonzero(counts >= fewest)
        known = known[np.argsort(-counts[known], kind="stable")]
        rows = np.full(len(names), len(known), np.int32)
        rows[known] = np.arange(len(known))
        return cls([names[number] for number in known], rows, counts[known].tolist())


@dataclass(frozen=True)
class Snapshot:
    """What a run at the start of a week would train and judge on.

    Attributes:
        data: Train and eval, for the Trainer.
        users: Rows of the users.
        movies: Rows of the movies.
        holdout: Positions of the holdout's ratings, int `[n]`.
        fitted: Positions of the ratings of train and eval.
    """

    data: TrainingData
    users: Vocabulary
    movies: Vocabulary
    holdout: Array
    fitted: Array


@dataclass(frozen=True)
class Past:
    """All ratings, oldest first, and the weeks that they are from.

    Attributes:
        table: `row`, `user_id`, `movie_id`, `rating` and `timestamp`.
        users: Number of the user of each rating, int `[n]`.
        movies: Number of the movie of each rating.
        stars: Rating, float32 `[n]`.
        weeks: Week of each rating, from 0.
        started: Time of the first week's start, in seconds since 1970.
        days: Days of a week.
    """

    table: pa.Table
    user_names: list[str]
    movie_names: list[str]
    users: Array
    movies: Array
    stars: Array
    weeks: Array
    started: int
    days: int

    @property
    def count(self) -> int:
        """Number of weeks."""
        return int(self.weeks[-1]) + 1

    def of_week(self, week: int) -> Array:
        """Returns the positions of a week's ratings."""
        return np.arange(*np.searchsorted(self.weeks, [week, week + 1]))

    def date(self, week: int) -> str:
        """Returns the first day of a week."""
        second = self.started + week * self.days * SECONDS_PER_DAY
        return datetime.fromtimestamp(second, UTC).date().isoformat()

    def columns(self, at: Array, users: Vocabulary, movies: Vocabulary) -> Columns:
        """Returns ratings with the rows of a model's tables.

        Args:
            at: Positions of the ratings, int `[n]`.
            users: Rows of the users.
            movies: Rows of the movies.
        """
        return {
            features.USER_INDEX: users.rows[self.users[at]],
            features.MOVIE_INDEX: movies.rows[self.movies[at]],
            features.RATING: self.stars[at],
        }

    def before(self, week: int, config: PipelineConfig) -> Snapshot:
        """Returns the ratings before a week, split as a run splits them.

        Raises:
            DataError: A split would be empty.
        """
        ratings = self.table.slice(0, int(np.searchsorted(self.weeks, week)))
        codes = splits.assign(ratings, ratings.num_rows, config.split)
        train, evaluation, holdout = (np.flatnonzero(codes == code) for code in range(3))
        fewest = config.transform
        users = Vocabulary.of(self.users[train], self.user_names, fewest.min_ratings_per_user)
        movies = Vocabulary.of(self.movies[train], self.movie_names, fewest.min_ratings_per_movie)
        columns = self.columns(train, users, movies)
        is_known = (columns[features.USER_INDEX] < len(users.ids)) & (
            columns[features.MOVIE_INDEX] < len(movies.ids)
        )
        known = canonical_order({name: values[is_known] for name, values in columns.items()})
        mean = float(self.stars[train].mean())
        number = len(movies.ids)
        return Snapshot(
            data=TrainingData(
                # Neither titles nor genres matter for the training.
                catalogue=Catalogue(
                    users.ids, users.counts, movies.ids, [""] * number, [[]] * number
                ),
                train=known,
                evaluation=canonical_order(self.columns(evaluation, users, movies)),
                statistics=measure(known, len(users.ids), number, mean),
            ),
            users=users,
            movies=movies,
            holdout=holdout,
            fitted=np.concatenate([train, evaluation]),
        )


def read(config: PipelineConfig, days: int) -> Past:
    """Reads and cleans the ratings of a configuration as the step does.

    Args:
        config: Configuration of a run.
        days: Days of a week.

    Raises:
        UserError: The ratings have no times, or the split is a fold.
        DataError: They cannot be read.
    """
    if config.split.fold is not None:
        raise UserError(
            f"split.method={config.split.method}: a fold has no weeks; use hash or time"
        )
    options = ingest_options(config)
    raw, cleaned = reading.read(str(locate(config.data)), options)
    cleaning.require_few_rejected(cleaned, raw.ratings.num_rows, options.max_rejected_fraction)
    if not cleaned.has_times:
        raise UserError("the ratings have no times: a backtest needs them to tell weeks apart")
    table = cleaned.accepted
    table = table.take(np.argsort(table[features.TIMESTAMP].to_numpy(), kind="stable"))
    times = table[features.TIMESTAMP].to_numpy()
    user_names, users = _numbers(table[features.USER_ID])
    movie_names, movies = _numbers(table[features.MOVIE_ID])
    return Past(
        table=table,
        user_names=user_names,
        movie_names=movie_names,
        users=users,
        movies=movies,
        stars=table[features.RATING].to_numpy(),
        weeks=(times - times[0]) // (days * SECONDS_PER_DAY),
        started=int(times[0]),
        days=days,
    )


def _numbers(ids: pa.ChunkedArray) -> tuple[list[str], Array]:
    encoded = ids.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
