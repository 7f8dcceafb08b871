"""The signatures of a recommender: how they rate and rank, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.errors import TrainingDivergedError
from models.export import request_limits, saved_model, signatures
from models.export.sample_requests import inputs_for
from models.export.signatures import Recommender
from models.layers.rating_heads import NormalRating
from models.options import ExportOptions
from models.ranking import NEVER
from models.registry import MODELS
from models.side_features import NO_SIDES, Sides, movie_side_features
from tests.models.export.exported_models import (
    BY_RATING,
    CATALOGUE,
    GENRES,
    MOVIE_IDS,
    USER_IDS,
    recommender_of,
)
from tests.models.factories import MOVIES, USERS, statistics, trained_like


def all_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Indices of all pairs of a known or unknown user and movie."""
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    return users, movies


def named(users: np.ndarray, movies: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.gather([*USER_IDS, "nobody"], users), tf.gather([*MOVIE_IDS, "nothing"], movies)


def serialized(users: tf.Tensor, movies: tf.Tensor) -> tf.Tensor:
    return tf.constant(inputs_for("serving_default", users.numpy(), movies.numpy())["examples"])


def evaluated(recommender: Recommender, examples: Any) -> dict[str, tf.Tensor]:
    # `signatures` would trace all the others too, which takes seconds.
    evaluate = tf.function(recommender.transform_examples, autograph=False)
    return evaluate(tf.constant(examples))


def test_an_interval_is_normal_with_the_variances_of_user_and_movie(
    rng: np.random.Generator,
) -> None:
    model = trained_like("bayesian_mf", rng)
    users, movies = all_pairs()
    found = recommender_of("bayesian_mf", model).predict_interval(*named(users, movies))
    mean = model.user_vectors().numpy() @ model.movie_vectors().numpy().T
    variance = model.user_variance.numpy() * model.movie_variance.numpy()[:, 0]
    deviation = np.sqrt(variance.astype(np.float64)).reshape(-1)
    np.testing.assert_allclose(found["rating"], np.clip(mean, 1, 5).reshape(-1), atol=1e-5)
    np.testing.assert_allclose(found["standard_deviation"], deviation, rtol=1e-5)
    # Four whole stars or more: what is nearest to them begins at 3.5.
    below = NormalDist().cdf
    liked = [1 - below((3.5 - m) / d) for m, d in zip(mean.reshape(-1), deviation, strict=True)]
    np.testing.assert_allclose(found["liked_probability"], liked, atol=1e-5)
    assert found["lowest_rating"].numpy().tolist() == [1] * mean.size
    assert found["highest_rating"].numpy().tolist() == [5] * mean.size


@pytest.mark.parametrize("name", MODELS)
def test_intervals_are_of_models_that_know_variances(rng: np.random.Generator, name: str) -> None:
    head = getattr(trained_like(name, rng), "rating_head", list)()
    assert isinstance(head, NormalRating) == MODELS[name].predicts_intervals


def test_the_evaluation_gets_the_standard_deviations(rng: np.random.Generator) -> None:
    recommender = recommender_of("bayesian_mf", trained_like("bayesian_mf", rng))
    users, movies = named(*all_pairs())
    found = evaluated(recommender, serialized(users, movies))
    expected = recommender.predict_interval(users, movies)["standard_deviation"]
    np.testing.assert_array_equal(found["standard_deviation"], expected)
    assert set(found) == {"user_activity", "standard_deviation"}


def test_clipping_does_not_hide_a_rating_that_is_no_number(rng: np.random.Generator) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    recommender.movie_vectors[-1].assign([np.nan] * 5)
    user_id, movie_id = named(*all_pairs())
    found = recommender.predict(user_id, movie_id)["rating"].numpy()
    np.testing.assert_array_equal(np.isnan(found), movie_id.numpy() == b"nothing")


@pytest.mark.parametrize("shapes", [((0, 3), (0, 2)), ((0, 0), (0, 0))])
def test_an_allow_list_of_no_row(rng: np.random.Generator, shapes: tuple) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    empty = (tf.zeros(shape, tf.string) for shape in shapes)
    found = recommender.recommend_among(tf.zeros([0], tf.string), tf.constant(2), *empty)
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes == dict.fromkeys(("movie_id", "movie_title", "score", "rating"), (0, 2))


@pytest.mark.parametrize(("movies", "genres"), [(1, 2), (2, 1)])
def test_an_allow_list_has_a_row_for_each_user(
    rng: np.random.Generator, movies: int, genres: int
) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    with pytest.raises(tf.errors.InvalidArgumentError, match="with as many rows"):
        recommender.recommend_among(
            tf.constant(["u1", "u2"]),
            tf.constant(1),
            tf.fill([movies, 1], "m1"),
            tf.fill([genres, 1], "Drama"),
        )


def test_a_catalogue_without_genres_allows_movies_alone(rng: np.random.Generator) -> None:
    catalogue = replace(CATALOGUE, movie_genres=[[]] * MOVIES)
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng), catalogue)
    found = recommender.recommend_among(
        tf.constant(["nobody"]), tf.constant(5), tf.constant([["m2"]]), tf.constant([["Drama", ""]])
    )
    assert found["movie_id"].numpy().tolist() == [[b"m2", b"", b"", b"", b""]]


@pytest.mark.parametrize("name", ["two_tower", "multitask"])
def test_the_unknown_movie_has_no_place_and_no_score(rng: np.random.Generator, name: str) -> None:
    """Its vector would be the first of all."""
    recommender = recommender_of(name, trained_like(name, rng))
    recommender.movie_vectors[-1].assign([100.0] * 4)
    recommender.user_vectors.assign(tf.abs(recommender.user_vectors))
    users, movies = all_pairs()
    pairs = serialized(*named(users, movies))
    unknown = movies == MOVIES
    scores = recommender.score_examples(pairs)["score"].numpy()
    np.testing.assert_array_equal(np.isneginf(scores), unknown)
    ranks = evaluated(recommender, pairs)
    dots = recommender.user_vectors.numpy() @ recommender.movie_vectors.numpy()[:MOVIES].T
    seen = statistics().seen
    for row, (user, movie) in enumerate(zip(users, movies, strict=True)):
        rated = seen.movie_index[seen.row_splits[user] : seen.row_splits[user + 1]]
        left = set(range(MOVIES)) - set(rated)
        expected = (
            1 + sum(dots[user, other] > dots[user, movie] for other in left)
            if (movie in left)
            else NEVER
        )
        assert ranks["rank"][row] == expected
    found = recommender.recommend(named(users, movies)[0], 100)
    assert found["movie_id"].shape == (len(users), MOVIES)
    assert not np.isin(b"nothing", found["movie_id"])


def test_the_titles_of_movies(rng: np.random.Generator) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    asked = ["m4", "nothing", "m0", "", "m4"]
    found = recommender.movies(tf.constant(asked))
    assert found["movie_id"].numpy().tolist() == [b"m4", b"", b"m0", b"", b"m4"]
    titles = [b"Movie m4", b"", b"Movie m0", b"", b"Movie m4"]
    assert found["movie_title"].numpy().tolist() == titles


@pytest.mark.parametrize(
    "signature",
    ["recommend", "recommend_excluding", "recommend_among", "recommend_for_ratings", "similar"],
)
def test_rows_times_movies_are_bounded_whatever_k_is(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    monkeypatch.setattr(request_limits, "QUERIES_AT_ONCE", 2)
    monkeypatch.setattr(request_limits, "MAX_SCORES", 4 * MOVIES)
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    rank = tf.function(getattr(recommender, signature), autograph=False)

    def ask(rows: int, k: int) -> dict[str, tf.Tensor]:
        inputs = inputs_for(signature, [b"nobody"] * rows, [b"m1"] * rows)
        inputs["k"] = np.array(k, np.int32)
        return rank(**{name: tf.constant(value) for name, value in inputs.items()})

    for k in (0, 1):
        assert ask(4, k)["movie_id"].shape == (4, k)
        with pytest.raises(
            tf.errors.InvalidArgumentError,
            match=r"at most 20 rows times the 5 movies of the catalogue, given\] \[25\]",
        ):
            ask(5, k)


@pytest.mark.parametrize("name", ["two_tower", "multitask"])
def test_the_ranks_of_an_evaluation_are_bounded_alike(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(request_limits, "MAX_SCORES", 4 * MOVIES)
    monkeypatch.setattr(request_limits, "QUERIES_AT_ONCE", 2)
    recommender = recommender_of(name, trained_like(name, rng))
    rows = serialized(*named(*all_pairs()))
    assert evaluated(recommender, rows[:4])["rank"].shape == (4,)
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"at most 20 rows times the 5 movies of the catalogue, given\] \[25\]",
    ):
        evaluated(recommender, rows[:5])


def test_a_batch_of_an_evaluation_has_ranks_however_many_movies_there_are(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_SCORES", MOVIES)
    recommender = recommender_of("two_tower", trained_like("two_tower", rng))
    rows = np.resize(serialized(*named(*all_pairs())), request_limits.QUERIES_AT_ONCE)
    assert evaluated(recommender, rows)["rank"].shape == rows.shape


def test_an_evaluation_without_ranks_has_no_bound(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "MAX_SCORES", 4 * MOVIES)
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    rows = serialized(*named(*all_pairs()))
    assert evaluated(recommender, rows)["user_activity"].shape == ((USERS + 1) * (MOVIES + 1),)


@pytest.mark.parametrize("name", MODELS)
def test_no_table_with_a_number_that_is_not_finite_is_exported(
    rng: np.random.Generator, tmp_path: Path, name: str
) -> None:
    """The rating of a movie whose bias is infinite would be clipped to the highest there is."""
    recommender = recommender_of(name, trained_like(name, rng))
    tables = [table for table in recommender.variables if table.dtype.is_floating]
    assert len(tables) == {"multitask": 8, "svdpp": 11, "bayesian_mf": 13}.get(name, 5)
    for table in tables:
        kept = table.numpy()
        for wrong in (np.inf, -np.inf, np.nan):
            spoilt = kept.copy()
            spoilt.flat[-1] = wrong
            table.assign(spoilt)
            with pytest.raises(TrainingDivergedError, match=rf": 1 of {kept.size} numbers are not"):
                saved_model.save(recommender, str(tmp_path / "model"))
        table.assign(kept)
    assert not (tmp_path / "model").exists()


def test_the_error_names_the_table(rng: np.random.Generator, tmp_path: Path) -> None:
    recommender = recommender_of("multitask", trained_like("multitask", rng))
    recommender.rating_head.movie_bias[2].assign([np.inf])
    with pytest.raises(TrainingDivergedError) as caught:
        saved_model.save(recommender, str(tmp_path))
    assert str(caught.value) == (
        "movie_bias: 1 of 6 numbers are not finite; the model is not exported"
    )


@pytest.mark.parametrize("name", MODELS)
def test_what_learns_from_side_features_serves_new_users_and_movies(
    rng: np.random.Generator, name: str
) -> None:
    """Where the data have side features of users, and of movies, respectively."""
    model = trained_like(name, rng)
    learns = {"svdpp", "bayesian_mf"}
    for sides in (CATALOGUE.sides, NO_SIDES, Sides(NO_SIDES.users, CATALOGUE.sides.movies)):
        recommender = recommender_of(name, model, replace(CATALOGUE, sides=sides))
        for made, side in (
            ("users_by_features", sides.users),
            ("movies_by_features", sides.movies),
        ):
            assert hasattr(recommender, made) == (name in learns and side.names != ())


@pytest.mark.parametrize("ranked", [BY_RATING, ExportOptions()])
def test_a_profile_gets_the_movies_of_its_vector(
    rng: np.random.Generator, ranked: ExportOptions
) -> None:
    recommender = recommender_of("svdpp", trained_like("svdpp", rng), ranked=ranked)
    ages = tf.constant([27, 0, -1, 2**31 - 1])
    genders, occupations = tf.constant(["F", "", "f", "M"]), tf.constant(["", "", "king", "artist"])
    found = recommender.recommend_for_profile(ages, genders, occupations, tf.constant(9))
    names = [["age=25", "gender=F"], [""], [""], ["age=56", "gender=M", "occupation=artist"]]
    rows = tf.ragged.constant(names, tf.string, ragged_rank=1).to_tensor("")
    vectors = recommender.users_by_features({"any": rows}).numpy().astype(np.float64)
    ratings = vectors @ recommender.movie_vectors.numpy()[:MOVIES].T
    measured = statistics()
    added = measured.rating_stddev * np.log1p(measured.movie_rating_count)
    scores = ratings + (0 if ranked is BY_RATING else added)
    order = np.argsort(-scores, axis=1)
    expected = np.array(MOVIE_IDS)[order]
    np.testing.assert_array_equal(found["movie_id"].numpy().astype(str), expected)
    np.testing.assert_allclose(found["score"], np.take_along_axis(scores, order, 1), atol=1e-5)
    shown = np.take_along_axis(np.clip(ratings, 1, 5), order, 1)
    np.testing.assert_allclose(found["rating"], shown, atol=1e-5)
    # Of the second and the third nothing is known.
    np.testing.assert_allclose(vectors[1:3], [recommender.users_by_features.mean_vector] * 2)
    assert np.ptp(ratings, axis=0).max() > 0.01


def test_a_new_movie_is_rated_by_its_vector(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts of two rows here, with all that a client may send."""
    monkeypatch.setattr(signatures, "QUERIES_AT_ONCE", 2)
    catalogue = replace(
        CATALOGUE,
        sides=Sides(
            NO_SIDES.users, movie_side_features(GENRES, [f"({1985 + y})" for y in range(5)])
        ),
    )
    recommender = recommender_of("svdpp", trained_like("svdpp", rng), catalogue)
    rows = [
        ("u0", ["Drama", "Comedy"], 1989, "", ["genre=Drama", "genre=Comedy", "year=1985"]),
        ("u1", ["Drama", ""], 0, "One (1985) more", ["genre=Drama", "year=1985"]),
        ("nobody", ["", ""], 0, "", []),
        ("u2", ["drama", "Drama"], -7, "(12345) (\udcff", ["genre=Drama"]),
        ("u3", ["genre=Drama", "year=1985"], 2**31 - 1, "(1985)", []),
    ]
    users, genres, years, titles, names = zip(*rows, strict=True)
    found = recommender.predict_new_movie(
        tf.constant(users),
        tf.constant(genres),
        tf.constant(years),
        tf.constant([title.encode(errors="surrogateescape") for title in titles]),
    )
    named = tf.ragged.constant(names, tf.string, ragged_rank=1).to_tensor("")
    movies = recommender.movies_by_features({"any": named}).numpy().astype(np.float64)
    index = [0, 1, USERS, 2, 3]
    expected = (recommender.user_vectors.numpy()[index] * movies).sum(axis=1)
    np.testing.assert_allclose(found["rating"], np.clip(expected, 1, 5), atol=1e-5)
    assert len(set(found["rating"].numpy())) > 3


def test_profiles_and_new_movies_of_no_row_and_of_unequal_rows(rng: np.random.Generator) -> None:
    recommender = recommender_of("bayesian_mf", trained_like("bayesian_mf", rng))
    none = tf.zeros([0], tf.string)
    no_year = tf.zeros([0], tf.int32)
    found = recommender.recommend_for_profile(no_year, none, none, tf.constant(3))
    assert {name: tuple(value.shape) for name, value in found.items()} == dict.fromkeys(
        ("movie_id", "movie_title", "score", "rating"), (0, 3)
    )
    for width in (0, 2):
        empty = recommender.predict_new_movie(none, tf.zeros([0, width], tf.string), no_year, none)
        assert empty["rating"].shape == (0,)
    two, age = tf.constant(["", ""]), tf.constant([30])
    for profile in ((age, two, two[:1]), (age, two[:1], two)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"user_age and .* as many rows"):
            recommender.recommend_for_profile(*profile, tf.constant(1))
    for movie in ((two[:, None], age, two[:1]), (two[:1, None], tf.constant([0, 0]), two[:1])):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"user_id and .* as many rows"):
            recommender.predict_new_movie(tf.constant(["u1"]), *movie)


def test_profiles_times_movies_are_bounded(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "QUERIES_AT_ONCE", 2)
    monkeypatch.setattr(request_limits, "MAX_SCORES", 4 * MOVIES)
    recommender = recommender_of("svdpp", trained_like("svdpp", rng))
    profiles = tf.zeros([5], tf.int32), tf.fill([5], ""), tf.fill([5], "")
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 20 rows times the 5 movies"):
        recommender.recommend_for_profile(*profiles, tf.constant(1))
