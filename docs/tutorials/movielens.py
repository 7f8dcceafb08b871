"""MovieLens-100K for the tutorials: indices, titles and a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.movielens_example_gen import reading
from models.columns import Columns
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate


@dataclass(frozen=True)
class MovieLens:
    """Ratings and movie titles of MovieLens-100K.

    A movie's index identifies it. Its title does not, because some movies share a title.

    Attributes:
        ratings: Columns `user_index` and `movie_index`, int32, and `rating`, float32.
        titles: Title of each movie, by its index.
        users: Number of users.
    """

    ratings: Columns
    titles: list[str]
    users: int

    def movie(self, title: str) -> int:
        """Returns the index of the movie with this title.

        Raises:
            ValueError: No movie has the title, or several do, as for 18 titles of MovieLens-100K.
        """
        matches = [index for index, other in enumerate(self.titles) if other == title]
        if len(matches) != 1:
            raise ValueError(f"{len(matches)} movies are called {title!r}; expected exactly one")
        return matches[0]


def load() -> MovieLens:
    """Returns all 100,000 ratings in the order of the original file."""
    raw = reading.read_raw(str(locate(DataConfig())), "ml-100k")
    user_ids, users = np.unique(raw.ratings["user_id"].to_numpy(), return_inverse=True)
    movie_ids, movies = np.unique(raw.ratings["movie_id"].to_numpy(), return_inverse=True)
    titles = dict(
        zip(raw.movies["movie_id"].to_pylist(), raw.movies["movie_title"].to_pylist(), strict=True)
    )
    ratings = {
        "user_index": users.astype(np.int32),
        "movie_index": movies.astype(np.int32),
        "rating": raw.ratings["rating"].to_numpy().astype(np.float32),
    }
    return MovieLens(ratings, [titles[str(movie)] for movie in movie_ids], len(user_ids))


def split(ratings: Columns, fraction: float, seed: int) -> tuple[Columns, Columns]:
    """Splits ratings at random.

    Args:
        ratings: Columns of equal length.
        fraction: Expected share of test ratings, from 0 to 1.
        seed: Seed of the random draw.

    Returns:
        The train ratings and the test ratings.
    """
    test = np.random.default_rng(seed).random(len(ratings["rating"])) < fraction
    return (
        {name: values[~test] for name, values in ratings.items()},
        {name: values[test] for name, values in ratings.items()},
    )
