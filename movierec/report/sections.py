"""The charts of each section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from models import features
from models.ranking import ranking_figures
from movierec.report import charts
from movierec.report.material import Material
from movierec.report.rated_rows import coded
from movierec.report.slices import RankingSlice, SliceFigures

CUTOFFS: Final = (1, 2, 5, 10, 20, 50, 100)
# Ranks that are computed for the curves: liked movies times movies of the catalogue.
_MOST_SCORES: Final = 20_000_000
_BINS: Final = 10
_RESIDUAL_BINS: Final = 25

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class CalibrationBin:
    """Ratings with about the same prediction.

    Attributes:
        ratings: Number of ratings.
        predicted: Mean prediction in stars.
        actual: Mean rating in stars.
        low: First quartile of the ratings.
        high: Third quartile of the ratings.
    """

    ratings: int
    predicted: float
    actual: float
    low: float
    high: float


@dataclass(frozen=True)
class RankingCurve:
    """NDCG and Recall at one cutoff.

    Attributes:
        k: Number of first ranks that count.
        ndcg: NDCG@k of the model.
        popularity_ndcg: NDCG@k of ranking by popularity.
        recall: Recall@k of the model.
        popularity_recall: Recall@k of ranking by popularity.
    """

    k: int
    ndcg: float
    popularity_ndcg: float
    recall: float
    popularity_recall: float


def data_charts(material: Material) -> list[Markup]:
    """Returns the histograms of ratings, of activity and of popularity, over train."""
    values, counts = np.unique(material.train.columns[features.RATING], return_counts=True)
    labels = [f"{value:g}" for value in values]
    if len(values) > _RESIDUAL_BINS:
        counts, edges = np.histogram(material.train.columns[features.RATING], _RESIDUAL_BINS)
        labels = [f"{edge:.3g}" for edge in edges[:-1]]
    return [
        charts.bars(
            labels,
            counts,
            "rating",
            "ratings",
            f"Histogram of {counts.sum():,} training ratings. The most frequent rating is "
            f"{labels[int(np.argmax(counts))]}, with {counts.max() / counts.sum():.0%}.",
        ),
        _ranked_counts(material.popularity.user_counts, "user", "users by activity"),
        _ranked_counts(material.popularity.movie_counts, "movie", "movies by popularity"),
    ]


def _ranked_counts(counts: Vector, noun: str, axis: str) -> Markup:
    ordered = np.sort(counts)[::-1]
    places = np.unique(np.geomspace(1, len(ordered), 200).astype(int))
    fifth = ordered[: max(1, len(ordered) // 5)].sum() / ordered.sum()
    return charts.lines(
        places,
        {"ratings": ordered[places - 1]},
        (axis, "training ratings"),
        f"Training ratings of each {noun}, from the one with most to the one with fewest: "
        f"{ordered[0]:,} to {ordered[-1]:,}. The first fifth has {fifth:.0%} of all ratings.",
        log="xy",
    )


def learning_charts(material: Material) -> list[Markup]:
    """Returns the curves of the loss and of the criterion of early stopping."""
    training = material.training
    epochs = [epoch["epoch"] for epoch in training.epochs]
    label = f"epoch {training.best_epoch} chosen"
    criterion = training.criterion.replace("_at_", "@").upper()
    found = []
    for key, name in (("loss", "training loss"), ("eval_figure", f"{criterion} on eval")):
        values = [float("nan") if one[key] is None else one[key] for one in training.epochs]
        found.append(
            charts.lines(
                epochs,
                {name: values},
                ("epoch", name),
                f"{name} over {len(epochs)} epochs: {values[0]:.4f} in the first, "
                f"{values[training.best_epoch - 1]:.4f} in the chosen epoch {training.best_epoch}, "
                f"{values[-1]:.4f} in the last.",
                mark=training.best_epoch,
                mark_label=label,
            )
        )
    return found


def slice_charts(
    slices: Sequence[SliceFigures] | Sequence[RankingSlice],
    name: str,
    overall: float,
    lower_is_better: bool,
) -> dict[str, Markup]:
    """Returns a chart of the slices of each feature, by the feature.

    Args:
        slices: Figures of all slices.
        name: Name of the figure.
        overall: Figure on the whole holdout.
        lower_is_better: Whether a lower figure is a better one.
    """
    worst_of, extreme = (max, "highest") if lower_is_better else (min, "lowest")
    found = {}
    for feature in dict.fromkeys(one.feature for one in slices):
        own = [one for one in slices if one.feature == feature]
        worst = worst_of(own, key=lambda one: one.figure)
        found[feature] = charts.points_with_ends(
            [one.value for one in own],
            [one.figure for one in own],
            [one.ends for one in own],
            f"{name}, with its interval",
            f"{name} of {len(own)} slices beside {overall:.4f} on the whole holdout. The {extreme} "
            f"is {worst.figure:.4f} for {worst.value}.",
            overall,
        )
    return found


def calibration(predicted: Vector, actual: Vector) -> list[CalibrationBin]:
    """Returns ten bins with equally many ratings, in order of the prediction.

    Args:
        predicted: Predicted ratings in stars, float64 `[n]`.
        actual: Ratings in stars, `[n]`.
    """
    order = np.argsort(predicted, kind="stable")
    return [
        CalibrationBin(
            ratings=len(rows),
            predicted=float(predicted[rows].mean()),
            actual=float(actual[rows].mean()),
            low=float(np.quantile(actual[rows], 0.25)),
            high=float(np.quantile(actual[rows], 0.75)),
        )
        for rows in np.array_split(order, _BINS)
        if len(rows)
    ]


def error_charts(material: Material) -> list[Markup]:
    """Returns the charts of calibration and of residuals."""
    if material.predicted is None or not len(material.holdout):
        return []
    actual = material.holdout.columns[features.RATING].astype(np.float64)
    bins = calibration(material.predicted, actual)
    furthest = max(bins, key=lambda one: abs(one.predicted - one.actual))
    residuals = actual - material.predicted
    counts, edges = np.histogram(residuals, _RESIDUAL_BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    return [
        charts.diagonal(
            np.array([one.predicted for one in bins]),
            np.array([one.actual for one in bins]),
            np.array([one.low for one in bins]),
            np.array([one.high for one in bins]),
            "Mean rating by predicted rating, in ten bins, with the middle half of the ratings. "
            f"The furthest bin predicts {furthest.predicted:.2f} and has {furthest.actual:.2f}.",
        ),
        charts.bars(
            [f"{round(middle, 1) + 0.0:+.1f}" for middle in middles],
            counts,
            "rating less prediction",
            "ratings",
            f"Histogram of residuals: mean {residuals.mean():+.4f}, half of them between "
            f"{np.quantile(residuals, 0.25):+.2f} and {np.quantile(residuals, 0.75):+.2f}.",
        ),
    ]


def ranking_curve(material: Material) -> list[RankingCurve]:
    """Returns NDCG and Recall by cutoff, over the holdout or some of its users.

    There is none for a model that retrieves nothing.
    """
    if not material.model.retrieves:
        return []
    users, movies = liked_pairs(material)
    by_model, by_popularity = material.model.ranks(users, movies)
    found = []
    for k in CUTOFFS:
        model, popularity = (ranking_figures(users, r, k) for r in (by_model, by_popularity))
        found.append(RankingCurve(k, model.ndcg, popularity.ndcg, model.recall, popularity.recall))
    return found


def liked_pairs(material: Material) -> tuple[Vector, Vector]:
    """Returns user and movie of each liked rating of the holdout, for users who are not too many.

    Returns:
        User ids and movie ids, bytes `[n]` each.
    """
    columns = material.holdout.columns
    liked = is_liked(material)
    users, movies = (columns[name][liked] for name in (features.USER_ID, features.MOVIE_ID))
    kept = _whole_users(users, max(1, _MOST_SCORES // len(material.popularity.movie_ids)))
    return users[kept], movies[kept]


def is_liked(material: Material) -> Vector:
    """Returns which ratings of the holdout are of a liked movie, bool `[n]`."""
    liked: Vector = material.holdout.columns[features.RATING] >= material.config.model.liked_rating
    return liked


def _whole_users(users: Vector, limit: int) -> Vector:
    """Returns the rows of the first users, by id, who together have no more than some rows."""
    _, index = coded(users)
    counts = np.bincount(index)
    fitting = np.cumsum(counts) <= max(limit, counts[0] if len(counts) else 0)
    return np.flatnonzero(fitting[index])


def ranking_charts(curve: Sequence[RankingCurve]) -> list[Markup]:
    """Returns the curves of NDCG and Recall beside popularity's."""
    found = []
    for name, key in (("NDCG", "ndcg"), ("Recall", "recall")):
        own = [getattr(point, key) for point in curve]
        popularity = [getattr(point, f"popularity_{key}") for point in curve]
        ten = CUTOFFS.index(10)
        found.append(
            charts.lines(
                CUTOFFS,
                {"model": own, "popularity": popularity},
                ("k", f"{name}@k"),
                f"{name} by cutoff: at 10 the model has {own[ten]:.4f} and popularity "
                f"{popularity[ten]:.4f}.",
                log="x",
            )
        )
    return found


def time_chart(seconds: dict[str, float]) -> Markup:
    """Returns the wall time of each step."""
    steps = {name: value for name, value in seconds.items() if name != "total"}
    longest = max(steps, key=lambda name: steps[name])
    return charts.points_with_ends(
        list(steps),
        list(steps.values()),
        [(0.0, value) for value in steps.values()],
        "seconds",
        f"Seconds of each of {len(steps)} steps; {longest} took longest, {steps[longest]:.1f}.",
    )
