"""Sets of ratings for benchmarks, as arrays and as files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders import example_coder

from components.movielens_example_gen import reading
from components.movielens_example_gen.options import FOLDS
from components.movielens_example_gen.readers.edition import RawRatings
from models import features, side_features
from pipeline.config.tree import DataConfig, load_config
from pipeline.datasets import locate, recognised
from pipeline.ingest_options import ingest_options

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]

# Arrays of a set of ratings that say what is known of its users and of its movies.
SIDES = ("user_side_features", "movie_side_features")

_ROWS_PER_FILE = 1_000_000
_EXPONENT = 0.8


def movielens_100k() -> Arrays:
    """Returns the 100,000 ratings in the order of the original file, with indices from 0."""
    return _indexed(_raw().ratings)


def movielens_100k_sides() -> Arrays:
    """Returns the side features of all users and movies of `movielens_100k`, by their indices.

    Returns:
        `user_side_features` and `movie_side_features`, text `[n]`: names of features with
        `side_features.SEPARATOR` between them.
    """
    raw = _raw()
    return _sides(raw, raw.ratings)


def of_path(path: Path) -> tuple[Arrays, Arrays]:
    """Returns what `movielens_100k` and `movielens_100k_sides` do of any data.

    Args:
        path: Folder, archive or file of an edition that is recognised by its files.

    Returns:
        Ratings that the pipeline would accept, and the side features that there are.

    Raises:
        UserError: The path does not exist, or is not recognised.
        DataError: The files cannot be read.
    """
    config = recognised(load_config(overrides=[f"data.path={path}"]))
    raw, clean = reading.read(str(locate(config.data)), ingest_options(config))
    return _indexed(clean.accepted), _sides(raw, clean.accepted)


class Descriptions(NamedTuple):
    """What is known of all users and movies of `movielens_100k`, by their indices.

    Attributes:
        users: `user_age` int32, `user_gender` and `user_occupation` text, each `[users]`.
        movies: `movie_genres` text `[movies, G]`, padded with empty strings, and `movie_title` text
            `[movies]`.
    """

    users: Arrays
    movies: Arrays


def movielens_100k_descriptions() -> Descriptions:
    """Returns the raw features that `movielens_100k_sides` makes names of."""
    raw = _raw()
    users, movies = (
        _described(raw.ratings, table, column)
        for table, column in ((raw.users, features.USER_ID), (raw.movies, features.MOVIE_ID))
    )
    genres = [row[features.MOVIE_GENRES] or [] for row in movies]
    width = max(map(len, genres))
    names = (features.USER_GENDER, features.USER_OCCUPATION)
    return Descriptions(
        {
            features.USER_AGE: np.array([row[features.USER_AGE] for row in users], np.int32),
            **{name: np.array([row[name] for row in users]) for name in names},
        },
        {
            features.MOVIE_GENRES: np.array([[*row, *[""] * (width - len(row))] for row in genres]),
            features.MOVIE_TITLE: np.array([row[features.MOVIE_TITLE] or "" for row in movies]),
        },
    )


def official_fold(ratings: Arrays, fold: int) -> Arrays:
    """Splits ratings into train and test ratings as an official fold does.

    Args:
        ratings: All ratings, in the order of the original file.
        fold: Number of the fold, from 1.

    Returns:
        Arrays of train ratings, and arrays of test ratings with the prefix `test_`.
    """
    size = len(ratings[features.RATING]) // FOLDS
    rows = np.arange(len(ratings[features.RATING]))
    return _split(ratings, (rows >= (fold - 1) * size) & (rows < fold * size))


def random_fold(ratings: Arrays, fold: int, folds: int) -> Arrays:
    """Splits ratings at random into equal parts, one of which has the test ratings.

    Args:
        ratings: All ratings.
        fold: Number of the part, from 1. The parts are the same for every number.
        folds: Number of parts.

    Returns:
        Arrays as those of `official_fold`.
    """
    rows = len(ratings[features.RATING])
    part = np.random.default_rng(0).permutation(rows) % folds
    return _split(ratings, part == fold - 1)


def save(ratings: Arrays, archive: Path) -> None:
    """Writes ratings to an archive that contenders read."""
    np.savez(archive, allow_pickle=False, **ratings)


def synthetic(ratings: int, users: int, movies: int) -> Arrays:
    """Returns random ratings whose users and movies follow Zipf's law, p ∝ rank^-0.8.

    Args:
        ratings: Number of ratings.
        users: Number of users; index 0 is the most frequent.
        movies: Number of movies; index 0 is the most frequent.
    """
    rng = np.random.default_rng(0)
    return {
        features.USER_INDEX: _zipf(rng, users, ratings),
        features.MOVIE_INDEX: _zipf(rng, movies, ratings),
        features.RATING: rng.integers(1, 6, ratings).astype(np.float32),
    }


def write_records(ratings: Arrays, folder: str) -> None:
    """Writes ratings as gzipped TFRecords of tf.Example, like Transform's."""
    encoder = example_coder.RecordBatchToExamplesEncoder()
    rows = len(ratings[features.RATING])
    for start in range(0, rows, _ROWS_PER_FILE):
        batch = pa.RecordBatch.from_pydict(
            {
                name: pa.array(_lists(values[start : start + _ROWS_PER_FILE]))
                for name, values in ratings.items()
            }
        )
        path = os.path.join(folder, f"{start // _ROWS_PER_FILE:05d}.gz")
        with tf.io.TFRecordWriter(path, options="GZIP") as writer:
            for record in encoder.encode(batch):
                writer.write(record)


def _raw() -> RawRatings:
    return reading.read_raw(str(locate(DataConfig())), "ml-100k")


def _indexed(ratings: pa.Table) -> Arrays:
    index = {
        name: np.unique(ratings[column].to_numpy(), return_inverse=True)[1].astype(np.int32)
        for name, column in (
            (features.USER_INDEX, features.USER_ID),
            (features.MOVIE_INDEX, features.MOVIE_ID),
        )
    }
    return {**index, features.RATING: ratings[features.RATING].to_numpy().astype(np.float32)}


def _split(ratings: Arrays, is_test: np.ndarray[Any, np.dtype[np.bool_]]) -> Arrays:
    return {
        **{name: values[~is_test] for name, values in ratings.items()},
        **{f"test_{name}": values[is_test] for name, values in ratings.items()},
    }


def _sides(raw: RawRatings, ratings: pa.Table) -> Arrays:
    tables = (
        (SIDES[0], features.USER_ID, raw.users, _names_of_user),
        (SIDES[1], features.MOVIE_ID, raw.movies, _names_of_movie),
    )
    return {
        name: np.array(
            [
                side_features.SEPARATOR.join(of_row(row))
                for row in _described(ratings, table, column)
            ]
        )
        for name, column, table, of_row in tables
        if table is not None
    }


def _described(ratings: pa.Table, table: pa.Table | None, column: str) -> list[dict[str, Any]]:
    """Returns the row of a table for each id that has a rating, in the order of the indices."""
    assert table is not None
    described = {row[column]: row for row in table.to_pylist()}
    nothing = dict.fromkeys(table.column_names)
    return [described.get(str(one), nothing) for one in np.unique(ratings[column].to_numpy())]


def _names_of_user(row: dict[str, Any]) -> list[str]:
    return _names(
        side_features.user_features(
            tf.constant([row[features.USER_AGE]]),
            tf.constant([row[features.USER_GENDER]]),
            tf.constant([row[features.USER_OCCUPATION]]),
        )
    )


def _names_of_movie(row: dict[str, Any]) -> list[str]:
    return _names(
        side_features.movie_features(
            tf.constant([row[features.MOVIE_GENRES] or []], tf.string),
            tf.constant([0]),
            tf.constant([row[features.MOVIE_TITLE] or ""]),
        )
    )


def _names(groups: Mapping[str, tf.Tensor]) -> list[str]:
    of_groups = [names.numpy()[0] for names in groups.values()]
    return [name.decode() for names in of_groups for name in names if name]


def _zipf(rng: np.random.Generator, names: int, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    weights = np.arange(1, names + 1) ** -_EXPONENT
    bounds = np.cumsum(weights / weights.sum())
    return np.searchsorted(bounds[:-1], rng.random(count)).astype(np.int32)


def _lists(values: np.ndarray[Any, Any]) -> pa.Array:
    """Returns a list array with one value in each list, int64 or float32."""
    whole = values.astype(np.int64) if values.dtype.kind == "i" else values
    return pa.ListArray.from_arrays(np.arange(len(whole) + 1, dtype=np.int32), pa.array(whole))
