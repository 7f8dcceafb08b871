"""The catalogue: known users and movies by the indices of the Transform step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow_transform as tft

from models import features
from models.side_features import NO_SIDES, Sides, movie_side_features, read_side_features


@dataclass(frozen=True)
class Catalogue:
    """Known users and movies; the position in a list is the index.

    Attributes:
        user_ids: Raw ids of the users.
        user_rating_counts: Number of ratings of each user in train.
        movie_ids: Raw ids of the movies.
        movie_titles: Titles of the movies, empty where the data has none.
        movie_genres: Genres of each movie, none where the data has none.
        sides: Side features of users and movies, by the same indices.
    """

    user_ids: list[str]
    user_rating_counts: list[int]
    movie_ids: list[str]
    movie_titles: list[str]
    movie_genres: list[list[str]]
    sides: Sides = NO_SIDES


def read_catalogue(transform: tft.TFTransformOutput) -> Catalogue:
    """Reads the catalogue from the vocabularies of a Transform output."""
    lines = (
        line.decode().split(features.CATALOGUE_SEPARATOR, maxsplit=2)
        for line in transform.vocabulary_by_name(features.MOVIE_CATALOGUE)
    )
    # tft.vocabulary drops entries that contain a line break.
    described = {movie_id: (title, _genre_list(genres)) for movie_id, genres, title in lines}
    unknown: tuple[str, list[str]] = ("", [])
    users = transform.vocabulary_by_name(features.USER_VOCABULARY)
    user_ids = _decoded_ids(users)
    movie_ids = _decoded_ids(transform.vocabulary_by_name(features.MOVIE_VOCABULARY))
    titles = [described.get(movie_id, unknown)[0] for movie_id in movie_ids]
    genres = [described.get(movie_id, unknown)[1] for movie_id in movie_ids]
    of_users = transform.vocabulary_by_name(features.USER_SIDE_FEATURES)
    return Catalogue(
        user_ids=user_ids,
        user_rating_counts=[int(line.split(b" ", maxsplit=1)[0]) for line in users],
        movie_ids=movie_ids,
        movie_titles=titles,
        movie_genres=genres,
        sides=Sides(read_side_features(of_users, user_ids), movie_side_features(genres, titles)),
    )


def _genre_list(joined: str) -> list[str]:
    return [genre for genre in joined.split(features.GENRE_SEPARATOR) if genre]


def _decoded_ids(lines: Iterable[bytes]) -> list[str]:
    """Returns the ids of a vocabulary of users or movies, whose lines are `count id`."""
    return [line.split(b" ", maxsplit=1)[1].decode() for line in lines]
