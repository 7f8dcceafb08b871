"""The catalogue: known users and movies by the indices of the Transform step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import tensorflow_transform as tft

from models import features
from models.side_features import NO_SIDES, Sides, read_side_features


@dataclass(frozen=True)
class Catalogue:
    """Known users and movies; the position in a list is the index.

    Attributes:
        user_ids: Raw ids of the users.
        user_rating_counts: Number of ratings of each user in train.
        movie_ids: Raw ids of the movies.
        movie_titles: Titles of the movies, empty where the data has none.
        sides: Side features of both, by the same indices.
    """

    user_ids: list[str]
    user_rating_counts: list[int]
    movie_ids: list[str]
    movie_titles: list[str]
    sides: Sides = NO_SIDES


def read_catalogue(transform: tft.TFTransformOutput) -> Catalogue:
    """Reads the catalogue from the vocabularies of a Transform output."""
    titles = dict(
        line.decode().split(features.CATALOGUE_SEPARATOR, maxsplit=1)
        for line in transform.vocabulary_by_name(features.MOVIE_CATALOGUE)
    )
    users = transform.vocabulary_by_name(features.USER_VOCABULARY)
    movie_ids = _decoded_ids(transform.vocabulary_by_name(features.MOVIE_VOCABULARY))
    user_ids = _decoded_ids(users)
    return Catalogue(
        user_ids=user_ids,
        user_rating_counts=[int(line.split(b" ", maxsplit=1)[0]) for line in users],
        movie_ids=movie_ids,
        # tft.vocabulary drops entries that contain a line break.
        movie_titles=[titles.get(movie_id, "") for movie_id in movie_ids],
        sides=Sides(
            *(
                read_side_features(transform.vocabulary_by_name(name), ids)
                for name, ids in (
                    (features.USER_SIDE_FEATURES, user_ids),
                    (features.MOVIE_SIDE_FEATURES, movie_ids),
                )
            )
        ),
    )


def _decoded_ids(lines: Iterable[bytes]) -> list[str]:
    """Returns the ids of a vocabulary of users or movies, whose lines are `count id`."""
    return [line.split(b" ", maxsplit=1)[1].decode() for line in lines]
