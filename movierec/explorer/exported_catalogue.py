"""The catalogue of a pushed version, read from its tables without loading the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from models.export.saved_model import read_table
from serving.answers import Movie

# Ids shown of each kind of user: the most active, those in the middle, and the least active.
_USERS_OF_A_KIND: Final = 4


@dataclass(frozen=True)
class ExportedCatalogue:
    """Movies and users of a version; movies and users of most ratings come first.

    Attributes:
        movies: Movies by index.
        genres: Names of all genres.
        genres_of_movies: Genres of each movie.
        user_ids: Ids of the users by index.
        seen: Indices of the movies that each user rated in training, by the user's index.
        vectors: Vectors of the movies, float32 `[movies, d]`.
    """

    movies: list[Movie]
    genres: list[str]
    genres_of_movies: list[list[str]]
    user_ids: list[str]
    seen: list[np.ndarray[Any, np.dtype[np.int32]]]
    vectors: np.ndarray[Any, np.dtype[np.float32]]

    @cached_property
    def movie_index(self) -> dict[str, int]:
        """Index of each movie, by its id."""
        return {movie.movie_id: index for index, movie in enumerate(self.movies)}

    @cached_property
    def user_index(self) -> dict[str, int]:
        """Index of each user, by their id."""
        return {user_id: index for index, user_id in enumerate(self.user_ids)}

    def genres_of(self, movie_id: str) -> list[str]:
        """Returns the genres of a movie, none for an unknown one."""
        index = self.movie_index.get(movie_id)
        return [] if index is None else self.genres_of_movies[index]

    def seen_by(self, user_id: str) -> list[Movie]:
        """Returns the movies that a user rated in training, the most rated ones first."""
        index = self.user_index.get(user_id)
        return [] if index is None else [self.movies[movie] for movie in sorted(self.seen[index])]

    def sample_users(self) -> list[str]:
        """Returns some users, from the most active to the least active."""
        count = len(self.user_ids)
        starts = (0, max(0, count // 2), max(0, count - _USERS_OF_A_KIND))
        places = sorted({start + step for start in starts for step in range(_USERS_OF_A_KIND)})
        return [self.user_ids[place] for place in places if place < count]


def read_exported_catalogue(version: Path) -> ExportedCatalogue:
    """Reads the catalogue of a version.

    Args:
        version: Folder of the SavedModel.

    Raises:
        KeyError: The model was exported by a release that knew no genres.
    """

    def table(name: str) -> np.ndarray[Any, np.dtype[Any]]:
        return read_table(str(version), name)

    def texts(name: str) -> list[str]:
        return [value.decode(errors="replace") for value in table(name)]

    genres, movie_ids = texts("genres"), texts("movie_ids")
    of_movies = _rows(table("movie_genre_index"), table("genre_row_splits"))
    seen = _rows(table("seen_movie_index"), table("seen_row_splits"))
    return ExportedCatalogue(
        movies=[Movie(*pair) for pair in zip(movie_ids, texts("movie_titles"), strict=True)],
        genres=genres,
        genres_of_movies=[[genres[index] for index in row] for row in of_movies],
        user_ids=texts("user_ids"),
        seen=seen,
        vectors=table("movie_vectors")[: len(movie_ids)],
    )


def _rows(
    values: np.ndarray[Any, np.dtype[Any]], row_splits: np.ndarray[Any, np.dtype[Any]]
) -> list[np.ndarray[Any, np.dtype[Any]]]:
    return np.split(values, row_splits[1:-1])
