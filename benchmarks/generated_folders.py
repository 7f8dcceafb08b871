"""Folders of ratings in the form of MovieLens 20M and later, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

Vector = np.ndarray[Any, np.dtype[Any]]

_GENRES: Final = [
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
_WORDS: Final = [
    "Amélie",
    "Ночь",
    "千と千尋",
    "Große",
    "Étoile",
    "La",
    "Señor",
    "Red",
    "Love",
    "War",
    '"Quoted"',
    "Don't",
    "Love,",
    "Night,",
    "River",
    "City",
    "of",
    "the",
    "Blue",
    "Last",
    "First",
    "Ålesund",
    "Czarny",
]
_GENRES_OF_A_MOVIE: Final = (0.08, 0.38, 0.30, 0.16, 0.08)

# Zipf–Mandelbrot: the share of the movie at rank r is (r + offset) ** -exponent.
_OFFSET: Final = 30.0
_EXPONENT: Final = 1.1
# Numbers of ratings of users are log-normal, from this one on, as in MovieLens.
_FEWEST: Final = 20
_USER_SPREAD: Final = 1.25
_MOST_OF_MOVIES: Final = 0.35

_MEAN: Final = 3.55
_BIAS_STDDEV: Final = 0.43
_TASTES: Final = 8
_TASTE_STDDEV: Final = 0.35
_NOISE_STDDEV: Final = 0.78
_ROWS_AT_ONCE: Final = 1_000_000

_FIRST_SECOND: Final = 789_652_000
_LAST_SECOND: Final = 1_574_000_000


def write(folder: Path, ratings: int, users: int, movies: int, seed: int = 0) -> int:
    """Writes `ratings.csv` and `movies.csv`.

    Users have few or many ratings and movies are popular or not, as in MovieLens; a rating in half
    stars is a mean, two biases, a taste and noise. Nobody rates a movie twice.

    Args:
        folder: Folder to write to; it must exist.
        ratings: Number of ratings that is aimed at.
        users: Number of users.
        movies: Number of movies in `movies.csv`; rare ones may have no rating.
        seed: Seed of everything; equal arguments write equal files.

    Returns:
        Number of ratings written, a few per cent below or above the aim.

    Raises:
        ValueError: The numbers are no data set: a user needs 20 movies.
    """
    if min(ratings // _FEWEST, movies // _FEWEST) < 1 or not 1 <= users <= ratings // _FEWEST:
        raise ValueError(
            f"{ratings} ratings of {users} users and {movies} movies: expected at least {_FEWEST} "
            f"ratings for each user, and {_FEWEST} movies"
        )
    rng = np.random.default_rng(seed)
    user, movie = _pairs(rng, ratings, users, movies)
    # Ids do not tell the popularity, and there are gaps between them.
    ids = rng.choice(np.arange(1, movies * 4), movies, replace=False)
    table = pa.table(
        {
            "userId": user + 1,
            "movieId": ids[movie],
            "rating": _stars(rng, user, movie, users, movies),
            "timestamp": _timestamps(rng, user, users),
        }
    )
    plain = pyarrow.csv.WriteOptions(quoting_style="none")
    pyarrow.csv.write_csv(table, folder / "ratings.csv", plain)
    pyarrow.csv.write_csv(_movies(rng, np.sort(ids)), folder / "movies.csv")
    return len(user)


def _pairs(
    rng: np.random.Generator, ratings: int, users: int, movies: int
) -> tuple[Vector, Vector]:
    """Returns the user and the movie of each rating, by user and in random order of movies."""
    activity = rng.lognormal(0, _USER_SPREAD, users)
    most = max(_FEWEST, _MOST_OF_MOVIES * movies)
    spare = ratings - _FEWEST * users
    wanted = _FEWEST + activity
    # What the most active users may not have goes to the others.
    for _ in range(10):
        activity *= spare / (wanted.sum() - _FEWEST * users)
        wanted = np.minimum(_FEWEST + activity, most)
    wanted = wanted.astype(np.int64)
    popularity = np.cumsum((np.arange(movies) + _OFFSET) ** -_EXPONENT)
    drawn = np.zeros(0, np.int64)
    # Movies that a user already has are drawn in vain: draw again what is missing.
    for _ in range(3):
        missing = wanted - np.bincount(drawn // movies, minlength=users)
        user = np.repeat(np.arange(users), np.maximum(missing, 0))
        movie = np.searchsorted(popularity, rng.random(len(user)) * popularity[-1])
        drawn = np.unique(np.concatenate([drawn, user * movies + movie]))
    user, movie = drawn // movies, drawn % movies
    return user, movie[np.lexsort((rng.random(len(user)), user))]


def _stars(
    rng: np.random.Generator, user: Vector, movie: Vector, users: int, movies: int
) -> Vector:
    user_bias, movie_bias = (rng.normal(0, _BIAS_STDDEV, count) for count in (users, movies))
    user_taste, movie_taste = (
        rng.normal(0, _TASTE_STDDEV, (count, _TASTES)).astype(np.float32)
        for count in (users, movies)
    )
    stars = rng.normal(_MEAN, _NOISE_STDDEV, len(user))
    for start in range(0, len(user), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        of_user, of_movie = user[rows], movie[rows]
        stars[rows] += user_bias[of_user] + movie_bias[of_movie]
        stars[rows] += np.einsum("ij,ij->i", user_taste[of_user], movie_taste[of_movie])
    rounded: Vector = np.clip(np.round(stars * 2) / 2, 0.5, 5.0)
    return rounded


def _timestamps(rng: np.random.Generator, user: Vector, users: int) -> Vector:
    """Returns seconds since 1970; those of a user grow, in sessions with long pauses."""
    passed = np.cumsum(rng.exponential(1.0, len(user)) ** 3 * 4000)
    first = np.searchsorted(user, np.arange(users))
    seconds = passed - np.append(passed, 0.0)[first][user]
    start = rng.integers(_FIRST_SECOND, _LAST_SECOND, users)
    rated: Vector = (start[user] + seconds).astype(np.int64)
    return rated


def _movies(rng: np.random.Generator, ids: Vector) -> pa.Table:
    count = len(ids)
    words = rng.integers(1, 6, count)
    genres = rng.choice(len(_GENRES_OF_A_MOVIE), count, p=_GENRES_OF_A_MOVIE)
    years = rng.integers(1920, 2020, count)
    return pa.table(
        {
            "movieId": ids,
            "title": [
                f"{' '.join(rng.choice(_WORDS, words[row]))} {ids[row]} ({years[row]})"
                for row in range(count)
            ],
            "genres": [
                "|".join(rng.choice(_GENRES, number, replace=False)) or "(no genres listed)"
                for number in genres
            ],
        }
    )
