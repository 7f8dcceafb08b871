"""What the ranking adds to predicted ratings, against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.export.ranking_offsets import ranking_offsets
from models.export.signatures import Recommender
from models.options import ExportOptions, ModelOptions
from models.rating_statistics import measure
from tests.models.export.exported_models import MOVIE_IDS, USER_IDS, recommender_of
from tests.models.factories import MOVIES, USERS, ratings, statistics, trained_like

BLEND = ExportOptions(rank_by="popularity_blend", rank_weight=0.7)
BOUND = ExportOptions(rank_by="lower_bound", rank_weight=1.5)
RANKINGS = [("biased_mf", BLEND), ("sigmoid_mf", BLEND), ("bayesian_mf", BLEND)]
RANKINGS += [("bayesian_mf", BOUND)]
# Training ratings of each movie, and the lowest and highest rating.
COUNTS, SCALE = (9, 11, 4, 10, 6), (1, 5)


@pytest.fixture(scope="module", params=RANKINGS, ids=lambda made: f"{made[0]} {made[1].rank_by}")
def made(request: pytest.FixtureRequest) -> tuple[str, ExportOptions, Any, Recommender]:
    name, ranked = request.param
    model = trained_like(name, np.random.default_rng(5))
    return name, ranked, model, recommender_of(name, model, ranked=ranked)


def added(model: Any, ranked: ExportOptions) -> np.ndarray:
    """What the definition adds to the rating of each user and movie, `[users + 1, movies]`."""
    if ranked.rank_by == "popularity_blend":
        of_movies = ranked.rank_weight * 1.25 * np.log(1 + np.array(COUNTS, np.float64))
        return np.tile(of_movies, (USERS + 1, 1))
    user, movie = (
        table.numpy().astype(np.float64)[:, 0]
        for table in (model.user_variance, model.movie_variance)
    )
    return -ranked.rank_weight * np.sqrt(np.outer(user, movie[:MOVIES]))


def rated(name: str, vectors: np.ndarray, movies: np.ndarray) -> np.ndarray:
    """Ratings that dot products stand for, before they are clipped, `[n, movies]`."""
    dots = vectors.astype(np.float64) @ movies[:MOVIES].astype(np.float64).T
    return SCALE[0] + (SCALE[1] - SCALE[0]) / (1 + np.exp(-dots)) if name == "sigmoid_mf" else dots


def assert_list(found: Any, row: int, ratings: np.ndarray, extra: np.ndarray, left: set) -> None:
    """Holds a list of five against the ratings `[movies]` and what is added to them."""
    scores = ratings + extra
    best = sorted(left, key=lambda movie: -scores[movie])
    empty = MOVIES - len(best)
    ids = [value.decode() for value in found["movie_id"].numpy()[row]]
    assert ids == [MOVIE_IDS[movie] for movie in best] + [""] * empty
    np.testing.assert_allclose(found["score"][row], [*scores[best], *[-np.inf] * empty], atol=2e-5)
    stars = [*np.clip(ratings[best], *SCALE), *[-np.inf] * empty]
    np.testing.assert_allclose(found["rating"][row], stars, atol=2e-5)


def seen(user: int) -> set[int]:
    table = statistics().seen
    return set(table.movie_index[table.row_splits[user] : table.row_splits[user + 1]].tolist())


def test_users_get_lists_in_the_order_of_the_sum(made) -> None:
    name, ranked, model, recommender = made
    ratings = rated(name, model.user_vectors().numpy(), model.movie_vectors().numpy())
    extra = added(model, ranked)
    asked = tf.constant([*USER_IDS, "nobody"])
    found = recommender.recommend(asked, tf.constant(MOVIES))
    excluding = recommender.recommend_excluding(
        asked, tf.constant(MOVIES), tf.constant([["m3", "nothing"]] * (USERS + 1))
    )
    among = recommender.recommend_among(
        asked,
        tf.constant(MOVIES),
        tf.constant([["m4", "nothing"]] * (USERS + 1)),
        tf.constant([["Comedy"]] * (USERS + 1)),
    )
    for user in range(USERS + 1):
        left = set(range(MOVIES)) - seen(user)
        row = user, ratings[user], extra[user]
        assert_list(found, *row, left)
        assert_list(excluding, *row, left - {3})
        # Movies 2 and 3 are comedies.
        assert_list(among, *row, left & {2, 3, 4})


def test_the_ratings_of_a_list_are_those_of_predict(made) -> None:
    _, _, _, recommender = made
    found = recommender.recommend(tf.constant(["u3"]), tf.constant(3))
    predicted = recommender.predict(tf.constant(["u3"] * 3), found["movie_id"][0])
    np.testing.assert_allclose(found["rating"][0], predicted["rating"], atol=2e-6)


def test_somebody_new_has_the_factor_of_an_unknown_user(made) -> None:
    name, ranked, model, recommender = made
    rated_movies, stars = [0, 4], [5.0, 2.0]
    vectors = model.movie_vectors()
    folded_in = model.fold_in()(
        tf.gather(vectors, [rated_movies]), tf.constant([stars]), tf.ones([1, 2], tf.bool)
    )
    ratings = rated(name, folded_in.numpy(), vectors.numpy())[0]
    extra = added(model, ranked)[-1]
    given = tf.constant([[MOVIE_IDS[movie] for movie in rated_movies]]), tf.constant([stars])
    found = recommender.recommend_for_ratings(*given, tf.constant(MOVIES))
    assert_list(found, 0, ratings, extra, {1, 2, 3})
    explained = recommender.explain_for_ratings(*given, tf.constant(["m2"]), tf.constant(2))
    assert explained["score"][0].numpy() == pytest.approx(ratings[2] + extra[2], abs=2e-5)
    parts = (explained[part].numpy().sum() for part in ("baseline", "contribution", "others"))
    assert explained["score"][0].numpy() == pytest.approx(sum(parts), abs=2e-5)


def test_explanations_add_up_to_the_score_of_the_list(made) -> None:
    name, ranked, model, recommender = made
    ratings = rated(name, model.user_vectors().numpy(), model.movie_vectors().numpy())
    extra = added(model, ranked)
    asked = tf.constant([*USER_IDS, "nobody", "nobody"])
    movies = tf.constant(["m1"] * (USERS + 1) + ["nothing"])
    found = {
        key: value.numpy()
        for key, value in recommender.explain(asked, movies, tf.constant(2)).items()
    }
    np.testing.assert_allclose(found["score"][:-1], ratings[:, 1] + extra[:, 1], atol=2e-5)
    parts = found["baseline"] + found["contribution"].sum(axis=1) + found["others"]
    np.testing.assert_allclose(found["score"][:-1], parts[:-1], atol=2e-5)
    # Of a user without ratings, the baseline is all there is.
    assert found["baseline"][USERS] == pytest.approx(found["score"][USERS], abs=2e-5)
    assert np.isneginf([found["score"][-1], found["baseline"][-1]]).all()


def test_similar_movies_have_neither_offsets_nor_ratings(made) -> None:
    name, _, model, recommender = made
    asked = tf.constant(["m1", "nothing"]), tf.constant(4)
    found = recommender.similar(*asked)
    expected = recommender_of(name, model).similar(*asked)
    assert set(found) == {"movie_id", "movie_title", "score"}
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_without_a_weight_the_order_is_that_of_the_ratings(rng: np.random.Generator) -> None:
    model = trained_like("biased_mf", rng)
    nothing = ExportOptions(rank_weight=0)
    asked = tf.constant(USER_IDS), tf.constant(MOVIES)
    found = recommender_of("biased_mf", model, ranked=nothing).recommend(*asked)
    for key, value in recommender_of("biased_mf", model).recommend(*asked).items():
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("name", ["two_tower", "multitask", "ease"])
def test_retrieval_models_rank_by_their_own_scores(rng: np.random.Generator, name: str) -> None:
    model = trained_like(name, rng)
    options = ModelOptions(name=name, dimension=3)
    assert ranking_offsets(model, options, ExportOptions(), statistics()) is None
    recommender = recommender_of(name, model, ranked=ExportOptions())
    found = recommender.recommend(tf.constant(["nobody"]), tf.constant(2))
    assert set(found) == {"movie_id", "movie_title", "score"}


def test_a_lower_bound_needs_a_model_that_has_one(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="biased_mf has no lower bound"):
        recommender_of("biased_mf", trained_like("biased_mf", rng), ranked=BOUND)


def test_the_standard_deviation_is_that_of_all_ratings(rng: np.random.Generator) -> None:
    columns = ratings(rng, 200)
    expected = np.std(columns["rating"].astype(np.float64))
    assert measure(columns, USERS, MOVIES).rating_stddev == pytest.approx(expected, rel=1e-12)
    columns["rating"][:] = 4.1
    assert measure(columns, USERS, MOVIES).rating_stddev == pytest.approx(0, abs=1e-6)
