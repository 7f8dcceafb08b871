"""MovieLens-100K as it would have come week by week."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# TFX stands in for a module of tfx-bsl that TFDV misses, so it comes first.
import tfx  # noqa: F401  # isort: skip
from tensorflow_data_validation.statistics import stats_impl, stats_options
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from benchmarks.poisonings import Array
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate

WEEKS: Final = 52
GENRES: Final = ("Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Thriller", "War")


@dataclass(frozen=True)
class Week:
    """All ratings up to a week, oldest first.

    Attributes:
        users: Index of the user of each rating.
        movies: Index of the movie.
        stars: Rating.
        times: Seconds since 1970.
        held_out: Whether the rating is in the holdout; a rating keeps its split.
    """

    users: Array
    movies: Array
    stars: Array
    times: Array
    held_out: Array


@cache
def year() -> tuple[Week, list[list[bytes]]]:
    """Returns all ratings, and the genres of each movie."""
    source = locate(DataConfig())
    table = pq.read_table(source / "MovieLens100k_data.parquet.brotli")
    order = np.argsort(table["timestamp"].to_numpy(), kind="stable")
    movie_ids, movies = np.unique(table["movie_id"].to_numpy()[order], return_inverse=True)
    items = {
        item["movie_id"]: [genre.encode() for genre in GENRES if item[genre]]
        for item in pq.read_table(source / "MovieLens100k_items.parquet.brotli").to_pylist()
    }
    everything = Week(
        users=np.unique(table["user_id"].to_numpy()[order], return_inverse=True)[1],
        movies=movies,
        stars=table["rating"].to_numpy()[order].astype(np.float64),
        times=table["timestamp"].to_numpy()[order],
        held_out=np.random.default_rng(1).random(len(order)) < 0.1,
    )
    return everything, [items[movie] for movie in movie_ids]


def week(number: int) -> Week:
    """Returns the ratings of the first weeks, each with 1/52 of them."""
    everything, _ = year()
    rows = len(everything.stars) * number // WEEKS
    return Week(**{name: values[:rows] for name, values in vars(everything).items()})


def train_statistics(ratings: Week, stars: Array) -> Statistics:
    """Returns TFDV's statistics of the ratings that are not held out.

    Args:
        ratings: Ratings of a week.
        stars: Stars in place of theirs.
    """
    _, genres = year()
    rows = np.flatnonzero(~ratings.held_out)
    offsets = pa.array(np.arange(len(rows) + 1), pa.int32())
    columns = {
        "user_id": pa.array([str(user).encode() for user in ratings.users[rows]]),
        "movie_id": pa.array([str(movie).encode() for movie in ratings.movies[rows]]),
        "rating": pa.array(stars[rows], pa.float32()),
        "timestamp": pa.array(ratings.times[rows], pa.int64()),
    }
    lists = [pa.ListArray.from_arrays(offsets, values) for values in columns.values()]
    lists.append(pa.array([genres[movie] for movie in ratings.movies[rows]], pa.list_(pa.binary())))
    batch = pa.RecordBatch.from_arrays(lists, [*columns, "movie_genres"])
    return stats_impl.generate_statistics_in_memory(batch, stats_options.StatsOptions())


def table(ratings: Week, stars: Array | None = None) -> pa.Table:
    """Returns the ratings as MovieLensExampleGen has them after cleaning.

    Args:
        ratings: Ratings of a week.
        stars: Stars in place of theirs.
    """
    return pa.table(
        {
            "row": np.arange(len(ratings.stars)),
            "user_id": pa.array([str(user) for user in ratings.users]),
            "movie_id": pa.array([str(movie) for movie in ratings.movies]),
            "rating": pa.array(ratings.stars if stars is None else stars, pa.float32()),
            "timestamp": pa.array(ratings.times, pa.int64()),
        }
    )


@cache
def movies() -> pa.Table:
    """Returns the movies with a title and genres."""
    _, genres = year()
    return pa.table(
        {
            "movie_id": [str(movie) for movie in range(len(genres))],
            "movie_title": [f"Movie {movie}" for movie in range(len(genres))],
            "movie_genres": pa.array(
                [[name.decode() for name in names] for names in genres], pa.list_(pa.string())
            ),
        }
    )
