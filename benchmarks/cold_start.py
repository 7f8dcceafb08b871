"""Measures what a model makes of new users and new movies, of MovieLens-100K.

    .venv/bin/python -m benchmarks.cold_start [--model NAME] [--splits N] [--epochs N] [--json]

A random fifth of the users and a random fifth of the movies are new: no rating of theirs is in the
training. The model learns from the rest as the pipeline's Trainer does. Its signatures then get
what is known of the new ones: age, gender and occupation, or genres and title.

- RMSE is that of the known users' ratings of the new movies.
- NDCG@10 is that of lists of the known movies for the new users, each of whom counts once. Ratings
  of four stars or more are relevant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import rating_sets
from benchmarks.contenders.measuring import Measured, rmse
from benchmarks.contenders.own_models import Trained, train_as_the_trainer_does
from benchmarks.ranked_lists import figures
from models import features
from models.catalogue import Catalogue
from models.export.ranking_offsets import ranking_offsets
from models.export.sample_requests import unknown_id
from models.export.signatures import Recommender
from models.options import ExportOptions
from models.ranking import CUTOFF
from pipeline.config.tree import load_config

_NEW: Final = 0.2
_LIKED: Final = 4.0
# Number of ratings at the mean that the biases of the baselines are shrunk by.
_SHRINKAGE: Final = 5
_BIAS_SWEEPS: Final = 20

Array = np.ndarray[Any, np.dtype[Any]]
Figures = dict[str, dict[str, float]]


def new_rows(count: int, rng: np.random.Generator) -> Array:
    """Returns which of the users, or of the movies, are new, bool `[count]`."""
    is_new = np.zeros(count, bool)
    is_new[rng.choice(count, round(_NEW * count), replace=False)] = True
    return is_new


def biases(users: Array, movies: Array, errors: Array) -> tuple[Array, Array]:
    """Returns the biases of users and of movies, by alternating ridge regressions.

    Args:
        users: User of each rating, int `[n]`.
        movies: Movie of each rating, int `[n]`.
        errors: Ratings less their mean, float64 `[n]`.
    """
    user, movie = np.zeros(users.max() + 1), np.zeros(movies.max() + 1)
    for _ in range(_BIAS_SWEEPS):
        movie = _shrunk_means(movies, errors - user[users])
        user = _shrunk_means(users, errors - movie[movies])
    return user, movie


def measure(name: str, seed: int, epochs: int | None) -> Figures:
    """Returns the RMSE and the NDCG@10 of the model and of baselines, by their names.

    Args:
        name: Name of a model that learns from side features.
        seed: Seed of the split and of the training.
        epochs: Number of epochs; None finds it as the Trainer does.
    """
    ratings, described = rating_sets.movielens_100k(), rating_sets.movielens_100k_descriptions()
    users, movies = ratings[features.USER_INDEX], ratings[features.MOVIE_INDEX]
    rng = np.random.default_rng(seed)
    new_user, new_movie = (new_rows(int(index.max()) + 1, rng) for index in (users, movies))
    known = ~new_user[users] & ~new_movie[movies]
    # Those whose ratings are all of new ones are not in the training either.
    known_users, user_index = np.unique(users[known], return_inverse=True)
    known_movies, movie_index = np.unique(movies[known], return_inverse=True)
    sides = rating_sets.movielens_100k_sides()
    given = {
        features.USER_INDEX: user_index.astype(np.int32),
        features.MOVIE_INDEX: movie_index.astype(np.int32),
        features.RATING: ratings[features.RATING][known],
        **{
            side: sides[side][rows]
            for side, rows in zip(rating_sets.SIDES, (known_users, known_movies), strict=True)
        },
    }
    trained = train_as_the_trainer_does(name, seed, given, len(known_movies), Measured(), epochs)
    recommender = _recommender(name, trained, given)
    place_of_user, place_of_movie = (
        _places(rows, len(mask))
        for rows, mask in ((known_users, new_user), (known_movies, new_movie))
    )
    of_movies = np.flatnonzero(new_movie[movies] & (place_of_user[users] >= 0))
    of_users = np.flatnonzero(
        new_user[users] & (place_of_movie[movies] >= 0) & (ratings[features.RATING] >= _LIKED)
    )
    return {
        "RMSE of new movies": _errors_of_new_movies(
            recommender,
            given,
            place_of_user[users[of_movies]],
            {name: values[movies[of_movies]] for name, values in described.movies.items()},
            ratings[features.RATING][of_movies],
        ),
        "NDCG@10 of new users": _ndcg_of_new_users(
            recommender, given, described.users, users[of_users], place_of_movie[movies[of_users]]
        ),
    }


def as_table(results: Sequence[Figures], name: str) -> Table:
    """Returns a table with means over splits and their standard deviations.

    Args:
        results: Results of `measure` for each split.
        name: Name of the model.
    """
    table = Table(title=f"{name}, {len(results)} splits")
    for heading in ("", "", "mean", "± over splits"):
        table.add_column(heading, justify="right" if heading else "left")
    for figure, of_orders in results[0].items():
        for order in of_orders:
            values = [result[figure][order] for result in results]
            table.add_row(figure, order, f"{np.mean(values):.4f}", f"{np.std(values):.4f}")
        table.add_section()
    return table


def _recommender(name: str, trained: Trained, given: rating_sets.Arrays) -> Recommender:
    """Returns what would be exported, with the default options; ids are rows as text."""
    options = load_config(overrides=[f"model.name={name}"]).model
    statistics = trained.statistics
    user_ids, movie_ids = (
        [str(row) for row in range(count)] for count in (statistics.users, statistics.movies)
    )
    catalogue = Catalogue(
        user_ids=user_ids,
        user_rating_counts=np.bincount(given[features.USER_INDEX]).tolist(),
        movie_ids=movie_ids,
        movie_titles=[""] * len(movie_ids),
        movie_genres=[[] for _ in movie_ids],
        sides=statistics.sides,
    )
    return Recommender(
        model=trained.model,
        options=options,
        rating_range=(statistics.rating_min, statistics.rating_max),
        catalogue=catalogue,
        seen=statistics.seen,
        popularity=statistics.movie_rating_count,
        offsets=ranking_offsets(trained.model, options, ExportOptions(), statistics),
    )


def _errors_of_new_movies(
    recommender: Recommender,
    given: rating_sets.Arrays,
    users: Array,
    described: Mapping[str, Array],
    ratings: Array,
) -> dict[str, float]:
    """Returns the RMSE of ratings of new movies by known users, by what predicts them.

    Args:
        recommender: Model that is asked.
        given: Its training ratings.
        users: User of each rating, int `[n]`.
        described: `movie_genres` and `movie_title` of the movie of each rating.
        ratings: Ratings in stars, float32 `[n]`.
    """
    mean, errors = _centred(given)
    own = _shrunk_means(given[features.USER_INDEX], errors)
    bias, _ = biases(given[features.USER_INDEX], given[features.MOVIE_INDEX], errors)
    ids = tf.constant(users.astype(str))
    by_features = recommender.predict_new_movie(
        ids,
        tf.constant(described[features.MOVIE_GENRES]),
        tf.zeros(len(users), tf.int32),
        tf.constant(described[features.MOVIE_TITLE]),
    )[features.RATING].numpy()
    nothing = tf.fill([len(users)], unknown_id(()))
    predicted = {
        "genres and year": by_features,
        "an unknown movie of the model": recommender.predict(ids, nothing)[features.RATING].numpy(),
        "biases alone": mean + bias[users],
        "mean of the user": mean + own[users],
        "mean of all": np.full(len(users), mean),
    }
    return {name: rmse(values, ratings) for name, values in predicted.items()}


def _ndcg_of_new_users(
    recommender: Recommender,
    given: rating_sets.Arrays,
    described: Mapping[str, Array],
    users: Array,
    movies: Array,
) -> dict[str, float]:
    """Returns the NDCG@10 of lists for new users, by what orders them.

    Args:
        recommender: Model that is asked.
        given: Its training ratings.
        described: `user_age`, `user_gender` and `user_occupation` of all users, new or not.
        users: User of each liked pair, int `[n]`.
        movies: Known movie of each liked pair, int `[n]`.
    """
    people, row = np.unique(users, return_inverse=True)
    profile = {
        name: tf.constant(described[name][people])
        for name in (features.USER_AGE, features.USER_GENDER, features.USER_OCCUPATION)
    }
    k = tf.constant(CUTOFF)
    nobody = tf.fill([len(people)], unknown_id(()))
    _, errors = _centred(given)
    _, bias = biases(given[features.USER_INDEX], given[features.MOVIE_INDEX], errors)
    rated = given[features.MOVIE_INDEX]
    counts = np.bincount(rated)
    liked = np.bincount(rated[given[features.RATING] >= _LIKED], minlength=len(counts))
    lists = {
        "age, gender and occupation": _listed(recommender.recommend_for_profile(**profile, k=k)),
        "an unknown user of the model": _listed(recommender.recommend(nobody, k)),
        "number of likes": _best(liked, len(people)),
        "number of ratings": _best(counts, len(people)),
        "biases alone": _best(bias, len(people)),
    }
    return {name: figures(best, row, movies, counts).ndcg for name, best in lists.items()}


def _listed(outputs: Mapping[str, tf.Tensor]) -> Array:
    return outputs[features.MOVIE_ID].numpy().astype(str).astype(np.int64)


def _best(scores: Array, rows: int) -> Array:
    """Returns the movies with the highest scores, the same for each row, int `[rows, 10]`."""
    return np.tile(np.argsort(-scores, kind="stable")[:CUTOFF], (rows, 1))


def _centred(given: rating_sets.Arrays) -> tuple[float, Array]:
    """Returns the mean of the training ratings, and the ratings less it, float64 `[n]`."""
    stars = given[features.RATING].astype(np.float64)
    return float(stars.mean()), stars - stars.mean()


def _shrunk_means(index: Array, errors: Array) -> Array:
    return np.bincount(index, errors) / (np.bincount(index) + _SHRINKAGE)


def _places(rows: Array, count: int) -> Array:
    """Returns the position of each of `count` rows among some of them, −1 for the others."""
    places = np.full(count, -1)
    places[rows] = np.arange(len(rows))
    return places


def main(
    model: Annotated[
        str, typer.Option(help="Model that learns from side features: svdpp or bayesian_mf.")
    ] = "svdpp",
    splits: Annotated[int, typer.Option(min=1, help="Number of random splits.")] = 3,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of each training; found if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model's answers about new users and movies."""
    console = Console(stderr=True)
    results = []
    for seed in range(splits):
        results.append(measure(model, seed, epochs))
        console.print(f"split {seed}: {json.dumps(results[-1])}")
    if as_json:
        print(json.dumps(results))
    else:
        Console().print(as_table(results, model))


if __name__ == "__main__":
    typer.run(main)
