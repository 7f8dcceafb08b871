"""The data of the Trainer and Tuner steps: ratings, catalogue and statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_transform as tft

from models import features
from models.catalogue import Catalogue, read_catalogue
from models.columns import RATING_COLUMNS, Columns, ColumnStorage, row_count, stream_columns
from models.rating_statistics import RatingStatistics, measure

# The same in every row.
_RATING_MEAN_COLUMN = {features.RATING_MEAN: tf.io.FixedLenFeature([], tf.float32)}


class StepArguments(Protocol):
    """The fields of TFX's FnArgs that reading needs."""

    train_files: list[str]
    eval_files: list[str]
    transform_graph_path: str
    custom_config: dict[str, Any]


@dataclass(frozen=True)
class TrainingData:
    """Ratings as columns, in an order that does not depend on their files.

    Attributes:
        catalogue: Known users and movies by the indices of the Transform step.
        train: Ratings of the train split whose users and movies are known.
        evaluation: Ratings of the eval split, of unknown users and movies too.
        statistics: Statistics of `train`.
    """

    catalogue: Catalogue
    train: Columns
    evaluation: Columns
    statistics: RatingStatistics


def read_training_data(arguments: StepArguments, storage: ColumnStorage) -> TrainingData:
    """Reads the outputs of the Transform step.

    Args:
        arguments: Files and folders to read.
        storage: Storage of the columns.

    Raises:
        ValueError: There is no rating to train on.
    """
    catalogue = read_catalogue(tft.TFTransformOutput(arguments.transform_graph_path))
    train, evaluation = (
        stream_columns(files, RATING_COLUMNS)
        for files in (arguments.train_files, arguments.eval_files)
    )
    ratings = storage.canonical_order(storage.collect(known(train, catalogue)))
    return TrainingData(
        catalogue=catalogue,
        train=ratings,
        evaluation=storage.canonical_order(storage.collect(evaluation)),
        statistics=_statistics(arguments.train_files, ratings, catalogue),
    )


def known(parts: Iterable[Columns], catalogue: Catalogue) -> Iterator[Columns]:
    """Yields the ratings whose user and movie are known.

    The others must not train the rows that stand for every unknown id.

    Args:
        parts: Ratings, with at least `user_index` and `movie_index`.
        catalogue: Known users and movies.
    """
    for part in parts:
        is_known = (part[features.USER_INDEX] < len(catalogue.user_ids)) & (
            part[features.MOVIE_INDEX] < len(catalogue.movie_ids)
        )
        yield {name: values[is_known] for name, values in part.items()}


def _statistics(files: Sequence[str], ratings: Columns, catalogue: Catalogue) -> RatingStatistics:
    if not row_count(ratings):
        raise ValueError(
            "no rating to train on: the train split is empty, or transform.min_ratings_per_user "
            "and transform.min_ratings_per_movie are too high"
        )
    mean = next(
        float(part[features.RATING_MEAN][0])
        for part in stream_columns(files, _RATING_MEAN_COLUMN)
        if row_count(part)
    )
    return measure(
        ratings, len(catalogue.user_ids), len(catalogue.movie_ids), mean, catalogue.sides
    )
