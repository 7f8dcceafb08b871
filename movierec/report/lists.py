"""The recommendation lists of some users: samples to show, and figures beyond accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from models import features
from models.beyond_accuracy import BeyondAccuracy, beyond_accuracy
from models.ranking import CUTOFF
from movierec.report.material import Material, Popularity, positions
from pipeline.sample_user import SampleUser, sample_user
from serving.pushed_model import PushedModel

SAMPLE_USERS: Final = 10
_MOVIES_SHOWN: Final = 8
# Scores that are computed for the figures: users times movies.
_MOST_SCORES: Final = 30_000_000
_USERS_AT_ONCE: Final = 1_000

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ListFigures:
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


def list_figures(material: Material) -> ListFigures:
    """Returns the figures of the first ten recommendations of users at equal distances."""
    popularity = material.popularity
    users = _some_users(popularity)
    lists = recommended(material.model, popularity, users)
    return ListFigures(
        figures=beyond_accuracy(
            lists,
            popularity.movie_counts,
            _profile_popularity(popularity)[users],
            len(popularity.user_ids),
        ),
        diversity=genre_diversity(lists, _genre_table(material)),
        all_users=len(popularity.user_ids),
    )


def sample_users(material: Material) -> list[SampleUser]:
    """Returns users from the least to the most active, with what they rated and get."""
    rated = material.train.columns
    ids, counts = np.unique(rated[features.USER_ID], return_counts=True)
    order = np.argsort(counts, kind="stable")
    places = np.unique(np.linspace(0, len(ids) - 1, SAMPLE_USERS).round().astype(int))
    return [
        sample_user(material.model, rated, ids[order[place]].decode(), _MOVIES_SHOWN)
        for place in places
    ]


def recommended(model: PushedModel, popularity: Popularity, users: Vector) -> Vector:
    """Returns the indices of the movies in the lists of users, int `[n, k]`, −1 for none.

    Args:
        model: Model that recommends.
        popularity: Tables of its export.
        users: Indices of the users, int `[n]`.
    """
    ids = [user.decode() for user in popularity.user_ids[users]]
    parts = [
        model.recommendations(ids[start : start + _USERS_AT_ONCE], CUTOFF)[0]
        for start in range(0, len(ids), _USERS_AT_ONCE)
    ]
    movie_ids = np.concatenate(parts)
    found = positions(popularity.movie_ids, movie_ids.ravel()).reshape(movie_ids.shape)
    return np.where(found < len(popularity.movie_ids), found, -1)


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


def _some_users(popularity: Popularity) -> Vector:
    known = len(popularity.user_ids)
    count = min(known, max(1, _MOST_SCORES // len(popularity.movie_ids)))
    return np.arange(count) * known // count


def _profile_popularity(popularity: Popularity) -> Vector:
    """Returns the mean popularity of what each user rated in training, NaN for nothing."""
    sizes = np.diff(popularity.seen_splits)
    sums = np.concatenate([[0], np.cumsum(popularity.movie_counts[popularity.seen])])
    totals = np.diff(sums[popularity.seen_splits])
    return np.where(sizes > 0, totals / np.maximum(sizes, 1), np.nan)


def _genre_table(material: Material) -> Vector:
    """Returns which genres each movie has in the ratings that were read."""
    movies = material.popularity.movie_ids
    names = np.unique(np.concatenate([material.train.genres, material.holdout.genres]))
    table = np.zeros((len(movies) + 1, len(names)), bool)
    for rows in (material.train, material.holdout):
        place = positions(movies, rows.columns[features.MOVIE_ID][rows.genre_rows])
        table[place, np.searchsorted(names, rows.genres)] = True
    return table[:-1]
