"""What a training step reads: the ratings of train and eval, the catalogue, the statistics."""

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

# Every row has it; the first is enough.
_RATING_MEAN_COLUMN = {features.RATING_MEAN: tf.io.FixedLenFeature([], tf.float32)}


class StepArguments(Protocol):
    """What reading needs of TFX's FnArgs."""

    train_files: list[str]
    eval_files: list[str]
    transform_graph_path: str
    custom_config: dict[str, Any]


@dataclass(frozen=True)
class TrainingData:
    """Ratings as columns, in the order that does not depend on how they are stored.

    Attributes:
        transform: the Transform output that the indices come from.
        catalogue: the same indices, by name.
        train: of users and movies in the vocabularies.
        evaluation: the eval split, the unknown among them.
        statistics: of `train`.
    """

    transform: tft.TFTransformOutput
    catalogue: Catalogue
    train: Columns
    evaluation: Columns
    statistics: RatingStatistics


def read_training_data(arguments: StepArguments, storage: ColumnStorage) -> TrainingData:
    """Reads what Transform wrote.

    Raises:
        ValueError: there is no rating to train on.
    """
    transform = tft.TFTransformOutput(arguments.transform_graph_path)
    catalogue = read_catalogue(transform)
    train, evaluation = (
        stream_columns(files, RATING_COLUMNS)
        for files in (arguments.train_files, arguments.eval_files)
    )
    ratings = storage.canonical_order(storage.collect(known(train, catalogue)))
    return TrainingData(
        transform=transform,
        catalogue=catalogue,
        train=ratings,
        evaluation=storage.canonical_order(storage.collect(evaluation)),
        statistics=_statistics(arguments.train_files, ratings, catalogue),
    )


def known(parts: Iterable[Columns], catalogue: Catalogue) -> Iterator[Columns]:
    """The ratings whose user and movie are in the vocabularies.

    The rest must not train the out-of-vocabulary rows, which stand for everybody unknown.
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
            "and min_ratings_per_movie leave nobody"
        )
    mean = next(
        float(part[features.RATING_MEAN][0])
        for part in stream_columns(files, _RATING_MEAN_COLUMN)
        if row_count(part)
    )
    return measure(ratings, len(catalogue.user_ids), len(catalogue.movie_ids), mean)
