"""MovieLens-100K for the tutorials: indices, titles, and a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.movielens_example_gen.readers import parquet_100k
from models.columns import Columns
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate


@dataclass(frozen=True)
class MovieLens:
    """The ratings as columns (`user_index`, `movie_index`, `rating`), and the movies' titles.

    A movie is known by its index, not by its title: there are movies that share one.
    """

    ratings: Columns
    titles: list[str]
    users: int

    def movie(self, title: str) -> int:
        """The index of the only movie of a title.

        Raises:
            ValueError: no movie has that title, or several do, as 18 titles of MovieLens-100K.
        """
        found = [index for index, other in enumerate(self.titles) if other == title]
        if len(found) != 1:
            raise ValueError(f"{len(found)} movies are called {title!r}; one was expected")
        return found[0]


def load() -> MovieLens:
    """All 100,000 ratings in the order of the original file."""
    raw = parquet_100k.read(str(locate(DataConfig())))
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
    """Train and test ratings, the test ones drawn at random."""
    test = np.random.default_rng(seed).random(len(ratings["rating"])) < fraction
    return (
        {name: values[~test] for name, values in ratings.items()},
        {name: values[test] for name, values in ratings.items()},
    )
