"""Slices of the holdout: the error in each, with its interval and the change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import tensorflow as tf

from components.gate.interval import Interval, rmse_difference
from components.recommendation_lists import TrainingCounts, positions
from models import features
from models.activity import activity_slice
from models.beyond_accuracy import popularity_deciles
from movierec.report.material import Material
from movierec.report.rated_rows import RatedRows, coded
from pipeline.slice_values import AGE_GROUPS, age_groups
from pipeline.summary import Summary

CONFIDENCE: Final = 0.95
TITLES: Final = {
    features.MOVIE_GENRES: "Genre",
    features.USER_ACTIVITY: "Activity: the user's training ratings",
    features.MOVIE_POPULARITY_DECILE: "Popularity decile of the movie, 10 the most rated",
    features.USER_GENDER: "Gender",
    features.USER_AGE_GROUP: "Age",
    features.USER_OCCUPATION: "Occupation",
}
"""Titles of the features that slice, in the order of the report."""

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SliceFigures:
    """The error of a model in a slice.

    Attributes:
        feature: Feature that slices.
        value: Value of the feature.
        ratings: Number of ratings in the slice.
        users: Number of their users.
        rmse: RMSE in stars.
        interval: Interval of the RMSE; None for a slice of one user.
        change: Interval of the change against the last blessed model; None likewise, or without
            one.
    """

    feature: str
    value: str
    ratings: int
    users: int
    rmse: float
    interval: Interval | None
    change: Interval | None

    @property
    def figure(self) -> float:
        """Figure that is drawn: the RMSE."""
        return self.rmse

    @property
    def ends(self) -> tuple[float, float] | None:
        """Ends of the interval of the RMSE."""
        return None if self.interval is None else (self.interval.low, self.interval.high)

    @property
    def moved(self) -> bool:
        """Whether the interval of the change leaves out zero."""
        return self.change is not None and not self.change.low <= 0 <= self.change.high


@dataclass(frozen=True)
class RankingSlice:
    """NDCG@10 of a model in a slice.

    Attributes:
        feature: Feature that slices.
        value: Value of the feature.
        figure: NDCG@10.
        ends: Ends of its interval; None for a slice of one user.
    """

    feature: str
    value: str
    figure: float
    ends: tuple[float, float] | None


def ranking_slices(summary: Summary) -> list[RankingSlice]:
    """Returns the slices of the holdout by feature; none for a model that predicts ratings."""
    if summary.rmse is not None:
        return []
    found = []
    for name, ndcg in summary.slices.items():
        feature, _, value = name.partition("=")
        margin = ndcg_margin(summary, name)
        ends = None if margin is None else (ndcg - margin, ndcg + margin)
        found.append(RankingSlice(feature, value, ndcg, ends))
    features_in_order = list(TITLES)
    return sorted(
        found,
        key=lambda one: (features_in_order.index(one.feature), _place(one.feature, one.value)),
    )


def ndcg_margin(summary: Summary, name: str) -> float | None:
    """Returns half the width of the interval of NDCG@10 in a slice; None for one of one user."""
    error = summary.slice_errors.get(name)
    return None if error is None else NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error


def _place(feature: str, value: str) -> tuple[int, str]:
    """Returns by what the values of a feature are in order."""
    if feature in (features.USER_ACTIVITY, features.MOVIE_POPULARITY_DECILE):
        return _number(value), value
    if feature == features.USER_AGE_GROUP:
        return AGE_GROUPS.index(value), value
    return 0, value


def rating_slices(material: Material) -> list[SliceFigures]:
    """Returns the slices of the holdout by feature; none for a model that predicts no ratings."""
    if material.predicted is None:
        return []
    return [
        _measured(material, material.predicted, feature, value, chosen)
        for feature, values in _sliced(material.holdout, material.popularity)
        for value, chosen in values
    ]


def whole(material: Material) -> SliceFigures | None:
    """Returns the figures of the whole holdout, like those of a slice; None without predictions."""
    if material.predicted is None or not len(material.holdout):
        return None
    everything = np.arange(len(material.holdout))
    return _measured(material, material.predicted, "", "", everything)


def _measured(
    material: Material, predicted: Vector, feature: str, value: str, rows: Vector
) -> SliceFigures:
    columns = material.holdout.columns
    ratings = columns[features.RATING].astype(np.float64)
    last = material.last_predicted
    return figures_of(
        feature,
        value,
        rows,
        predicted - ratings,
        None if last is None else last - ratings,
        material.holdout.user_codes,
    )


def figures_of(
    feature: str,
    value: str,
    rows: Vector,
    errors: Vector,
    last_errors: Vector | None,
    users: Vector,
) -> SliceFigures:
    """Returns the figures of a slice.

    Args:
        feature: Name of the feature.
        value: Value of the feature.
        rows: Rows of the slice, int `[m]`.
        errors: Errors of the model on all rows in stars, float64 `[n]`.
        last_errors: Those of the last blessed model, or None.
        users: User of each row, `[n]`.
    """
    own, of = errors[rows], users[rows]
    count = len(np.unique(of))
    # Against no error at all, the difference is the RMSE itself.
    return SliceFigures(
        feature=feature,
        value=value,
        ratings=len(rows),
        users=count,
        rmse=float(np.sqrt(np.mean(np.square(own)))),
        interval=rmse_difference(own, np.zeros_like(own), of, CONFIDENCE) if count > 1 else None,
        change=rmse_difference(own, last_errors[rows], of, CONFIDENCE)
        if count > 1 and last_errors is not None
        else None,
    )


def _sliced(
    rows: RatedRows, counts: TrainingCounts
) -> Iterator[tuple[str, list[tuple[str, Vector]]]]:
    """Yields each feature that the data has, with its values and their rows, in order."""
    columns = rows.columns
    activity = activity_slice(
        tf.constant(counts.counts_of_users(columns[features.USER_ID]), tf.int64)
    ).numpy()
    deciles = np.append(popularity_deciles(counts.movie_counts), 0)
    decile = deciles[positions(counts.movie_ids, columns[features.MOVIE_ID])]
    age = columns[features.USER_AGE]
    yield features.MOVIE_GENRES, _genres(rows)
    yield features.USER_ACTIVITY, sorted(_by_value(activity), key=lambda one: _number(one[0]))
    yield (
        features.MOVIE_POPULARITY_DECILE,
        sorted(_by_value(decile.astype(bytes)), key=lambda one: _number(one[0])),
    )
    yield features.USER_GENDER, _by_value(columns[features.USER_GENDER])
    by_age = _by_value(np.where(age > 0, age_groups(age), "").astype(bytes))
    yield features.USER_AGE_GROUP, sorted(by_age, key=lambda one: AGE_GROUPS.index(one[0]))
    yield features.USER_OCCUPATION, _by_value(columns[features.USER_OCCUPATION])


def _genres(rows: RatedRows) -> list[tuple[str, Vector]]:
    # A row counts once in a slice, however often it has the genre.
    return [(name, np.unique(rows.genre_rows[own])) for name, own in _by_value(rows.genres)]


def _by_value(values: Vector) -> list[tuple[str, Vector]]:
    """Returns the rows of each text but the empty one, which stands for none."""
    names, code = coded(values)
    return [
        (name.decode(), np.flatnonzero(code == place)) for place, name in enumerate(names) if name
    ]


def _number(text: str) -> int:
    """Returns the number that a name of a range begins with."""
    return int(text.partition("-")[0].rstrip("+"))
