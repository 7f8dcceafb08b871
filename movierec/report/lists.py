"""The recommendation lists of some users: samples to show, and figures beyond accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from components.recommendation_lists import list_figures, positions
from models import features
from models.beyond_accuracy import BeyondAccuracy
from movierec.report.material import Material
from movierec.report.rated_rows import coded
from pipeline.sample_user import SampleUser, sample_user

SAMPLE_USERS: Final = 10
_MOVIES_SHOWN: Final = 8

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ReportedLists:
    """Figures of the lists of the known users, or of some of them.

    Attributes:
        figures: Figures beyond accuracy.
        diversity: Mean Jaccard distance of the genres of two movies of a list; None without
            genres.
        all_users: Number of known users.
    """

    figures: BeyondAccuracy
    diversity: float | None
    all_users: int


def reported_lists(material: Material) -> ReportedLists:
    """Returns the figures of the first ten recommendations of users at equal distances."""
    counts = material.popularity
    lists, figures = list_figures(material.model, counts)
    return ReportedLists(
        figures=figures,
        diversity=genre_diversity(lists, _genre_table(material)),
        all_users=len(counts.user_ids),
    )


def sample_users(material: Material) -> list[SampleUser]:
    """Returns users from the least to the most active, with what they rated and get."""
    rated = material.train.columns
    ids, code = coded(rated[features.USER_ID])
    order = np.argsort(np.bincount(code, minlength=len(ids)), kind="stable")
    places = np.unique(np.linspace(0, len(ids) - 1, SAMPLE_USERS).round().astype(int))
    return [
        sample_user(material.model, rated, ids[order[place]].decode(), _MOVIES_SHOWN)
        for place in places
    ]


def genre_diversity(lists: Vector, genres: Vector) -> float | None:
    """Returns the intra-list diversity: the mean Jaccard distance of two movies' genres.

    Source: Ziegler et al., "Improving recommendation lists through topic diversification" (2005).

    Args:
        lists: Indices of the recommended movies, int `[n, k]`; −1 for none.
        genres: Which genres each movie has, bool `[movies, genres]`. Pairs with a movie without
            genres do not count.
    """
    has_genres = np.append(genres.any(axis=1), False)[lists]
    table = np.vstack([genres, np.zeros((1, genres.shape[1]), bool)]).astype(np.int64)[lists]
    common = table @ table.swapaxes(1, 2)
    sizes = table.sum(axis=2)
    union = sizes[:, :, None] + sizes[:, None, :] - common
    first, second = np.triu_indices(lists.shape[1], 1)
    counted = has_genres[:, first] & has_genres[:, second]
    if not counted.any():
        return None
    distance = 1 - common[:, first, second][counted] / union[:, first, second][counted]
    return float(distance.mean())


def _genre_table(material: Material) -> Vector:
    """Returns which genres each movie has in the ratings that were read."""
    movies = material.popularity.movie_ids
    splits = (material.train, material.holdout)
    names, code = coded(np.concatenate([rows.genres for rows in splits]))
    movie = [positions(movies, rows.columns[features.MOVIE_ID])[rows.genre_rows] for rows in splits]
    table = np.zeros((len(movies) + 1, len(names)), bool)
    table[np.concatenate(movie), code] = True
    return table[:-1]
