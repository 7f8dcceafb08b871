"""The recommendation lists of an exported model, and its figures beyond accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.beyond_accuracy import BeyondAccuracy, beyond_accuracy
from models.export.saved_model import read_table
from models.ranking import CUTOFF
from serving.pushed_model import PushedModel

# Scores that are computed for the figures: users times movies.
_MOST_SCORES: Final = 30_000_000
_USERS_AT_ONCE: Final = 1_000

Vector = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TrainingCounts:
    """What an export knows of its training ratings.

    Attributes:
        user_ids: Raw ids of the known users, bytes `[users]`.
        user_counts: Number of training ratings of each user, int64 `[users]`.
        movie_ids: Raw ids of the catalogue, bytes `[movies]`.
        movie_counts: Number of training ratings of each movie, int64 `[movies]`.
        seen: Movies that each user rated in training, user by user, int32 `[ratings]`.
        seen_splits: Start of each user's movies, and the end, int64 `[users + 2]`.
    """

    user_ids: Vector
    user_counts: Vector
    movie_ids: Vector
    movie_counts: Vector
    seen: Vector
    seen_splits: Vector

    def counts_of_users(self, ids: Vector) -> Vector:
        """Returns the number of training ratings of users, 0 for an unknown one."""
        return np.append(self.user_counts, 0)[positions(self.user_ids, ids)]


def read_counts(export: str) -> TrainingCounts:
    """Reads the tables of an exported model.

    Args:
        export: Folder of the SavedModel.
    """
    counts = read_table(export, "user_rating_counts")
    return TrainingCounts(
        user_ids=read_table(export, "user_ids"),
        user_counts=counts[:-1],
        movie_ids=read_table(export, "movie_ids"),
        movie_counts=read_table(export, "movie_popularity").astype(np.int64),
        seen=read_table(export, "seen_movie_index"),
        seen_splits=read_table(export, "seen_row_splits"),
    )


def list_figures(model: PushedModel, counts: TrainingCounts) -> tuple[Vector, BeyondAccuracy]:
    """Returns the first ten recommendations of users at equal distances, and their figures.

    Args:
        model: Model that recommends.
        counts: Tables of its export.

    Returns:
        Indices of the movies, int `[n, k]`, −1 for none; and the figures.
    """
    users = _some_users(counts)
    lists = recommended(model, counts, users)
    figures = beyond_accuracy(
        lists, counts.movie_counts, profile_popularity(counts, users), len(counts.user_ids)
    )
    return lists, figures


def recommended(model: PushedModel, counts: TrainingCounts, users: Vector) -> Vector:
    """Returns the indices of the movies in the lists of users, int `[n, k]`, −1 for none.

    Args:
        model: Model that recommends.
        counts: Tables of its export.
        users: Indices of the users, int `[n]`.
    """
    ids = [user.decode() for user in counts.user_ids[users]]
    parts = [
        model.recommendations(ids[start : start + _USERS_AT_ONCE], CUTOFF).movie_ids
        for start in range(0, len(ids), _USERS_AT_ONCE)
    ]
    movie_ids = np.concatenate(parts)
    found = positions(counts.movie_ids, movie_ids.ravel()).reshape(movie_ids.shape)
    return np.where(found < len(counts.movie_ids), found, -1)


def positions(ids: Vector, wanted: Vector) -> Vector:
    """Returns the position of each wanted id, and the number of ids for one that is not there.

    Args:
        ids: Different ids, bytes `[m]`.
        wanted: Ids to find, bytes `[n]`.
    """
    found = pc.index_in(pa.array(wanted, pa.binary()), value_set=pa.array(ids, pa.binary()))
    return np.asarray(found.fill_null(len(ids)).to_numpy(), np.int64)


def _some_users(counts: TrainingCounts) -> Vector:
    known = len(counts.user_ids)
    count = min(known, max(1, _MOST_SCORES // len(counts.movie_ids)))
    return np.arange(count) * known // count


def profile_popularity(counts: TrainingCounts, users: Vector) -> Vector:
    """Returns the mean popularity of what users rated in training, NaN for nothing.

    Args:
        counts: Tables of an export.
        users: Indices of the users, int `[n]`.
    """
    starts = counts.seen_splits[users]
    sizes = counts.seen_splits[users + 1] - starts
    row = np.repeat(np.arange(len(users)), sizes)
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    popularity = counts.movie_counts[counts.seen[starts[row] + place]]
    totals = np.bincount(row, popularity, minlength=len(users))
    return np.where(sizes > 0, totals / np.maximum(sizes, 1), np.nan)
