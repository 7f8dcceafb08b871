"""The figures of ranked movies and the contenders in NumPy, against their definitions."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import rating_sets
from benchmarks.contenders import ease, measuring, popularity
from benchmarks.contenders.measuring import Arrays, Measured
from benchmarks.contenders.ranking import liked_matrix, rank

USERS, MOVIES = 12, 40
LIKED = 4


@pytest.fixture
def given(rng: np.random.Generator) -> Arrays:
    """Each user rates about half of the movies, three in four of those in training."""
    users, movies = np.nonzero(rng.random((USERS, MOVIES)) < 0.5)
    ratings = rng.integers(1, 6, len(users)).astype(np.float32)
    # A user who likes nothing in test, and one whom it does not ask about.
    ratings[users == 3] = 2
    is_test = (rng.random(len(users)) < 0.25) & (users != 5)
    arrays = {"user_index": users, "movie_index": movies, "rating": ratings}
    return {
        **{name: values[~is_test] for name, values in arrays.items()},
        **{f"test_{name}": values[is_test] for name, values in arrays.items()},
    }


def triples(given: Arrays, prefix: str = "") -> list[tuple[int, int, float]]:
    names = ("user_index", "movie_index", "rating")
    return list(zip(*(given[f"{prefix}{name}"].tolist() for name in names), strict=True))


def figures(scores: np.ndarray, given: Arrays) -> dict[str, float]:
    """User by user, with lists of movies."""
    found: dict[str, list[float]] = {"ndcg": [], "recall": [], "recall_20": []}
    for user in range(USERS):
        relevant = {m for u, m, stars in triples(given, "test_") if u == user and stars >= LIKED}
        if not relevant:
            continue
        rated = {m for u, m, _ in triples(given) if u == user}
        unrated = [m for m in range(MOVIES) if m not in rated]
        shown = sorted(unrated, key=lambda m: (-scores[user, m], m))
        gains = [1 / math.log2(place + 1) for place in range(1, 11)]
        gained = sum(g for g, movie in zip(gains, shown, strict=False) if movie in relevant)
        found["ndcg"].append(gained / sum(gains[: len(relevant)]))
        found["recall"].append(len(relevant & set(shown[:10])) / len(relevant))
        found["recall_20"].append(len(relevant & set(shown[:20])) / len(relevant))
    return {name: sum(values) / len(values) for name, values in found.items()}


@pytest.mark.parametrize("levels", [3, 10_000])
def test_the_figures_are_the_definition(
    rng: np.random.Generator, given: Arrays, levels: int
) -> None:
    # With few levels most movies are equals.
    scores = rng.integers(0, levels, (USERS, MOVIES)).astype(float)
    before, measured = scores.copy(), Measured()
    rank(scores, given, measured)
    expected = figures(scores, given)
    assert measured.ndcg_at_10 == pytest.approx(expected["ndcg"], rel=1e-12)
    assert measured.recall_at_10 == pytest.approx(expected["recall"], rel=1e-12)
    assert measured.recall_at_20 == pytest.approx(expected["recall_20"], rel=1e-12)
    assert len(set(expected.values())) == 3
    np.testing.assert_array_equal(scores, before)


def test_the_ranking_that_knows_the_answers_is_worth_one(given: Arrays) -> None:
    scores = np.zeros((USERS, MOVIES))
    scores[given["test_user_index"], given["test_movie_index"]] = given["test_rating"]
    measured = Measured()
    rank(scores, given, measured)
    assert measured.ndcg_at_10 == pytest.approx(1, rel=1e-12)


def test_liked_is_what_has_four_stars_in_training(given: Arrays) -> None:
    liked = {(user, movie) for user, movie, stars in triples(given) if stars >= LIKED}
    expected = [[(user, movie) in liked for movie in range(MOVIES)] for user in range(USERS)]
    np.testing.assert_array_equal(liked_matrix(given), expected)


def test_a_movie_of_test_alone_has_a_column(given: Arrays) -> None:
    given["test_movie_index"][0] = MOVIES + 2
    assert liked_matrix(given).shape == (USERS, MOVIES + 3)


def scores_of(
    contender: ModuleType,
    given: Arrays,
    settings: dict[str, Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> np.ndarray:
    """What a contender, run as a command, ranks by."""
    archive = folder / "ratings.npz"
    rating_sets.save(given, archive)
    monkeypatch.setattr(sys, "argv", ["contender", str(archive), json.dumps(settings)])
    found = []

    def keep(scores: np.ndarray, ranked: Arrays, measured: Measured) -> None:
        found.append(scores)
        rank(scores, ranked, measured)

    monkeypatch.setattr(contender, "rank", keep)
    contender.main()
    return found[0]


GRADES = [0.0, 0.1, 0.4, 0.9, 1.0]


@pytest.mark.parametrize("grades", [None, GRADES])
def test_ease_is_a_ridge_regression_of_each_movie_on_the_others(
    grades: list[float] | None,
    given: Arrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    l2 = 3.0
    settings = {"l2": l2, **({"grades": grades} if grades else {})}
    scores = scores_of(ease, given, settings, tmp_path, monkeypatch)
    liked = np.zeros((USERS, MOVIES))
    for user, movie, stars in triples(given):
        liked[user, movie] = grades[int(stars) - 1] if grades else stars >= LIKED
    for movie in range(MOVIES):
        others = np.delete(liked, movie, axis=1)
        # The penalty as rows of the least squares problem.
        left = np.vstack([others, math.sqrt(l2) * np.eye(MOVIES - 1)])
        right = np.concatenate([liked[:, movie], np.zeros(MOVIES - 1)])
        weights = np.linalg.lstsq(left, right, rcond=None)[0]
        np.testing.assert_allclose(scores[:, movie], others @ weights, atol=1e-10)
    printed = json.loads(capsys.readouterr().out)
    assert printed["ndcg_at_10"] == pytest.approx(figures(scores, given)["ndcg"], rel=1e-12)


def test_popularity_counts_who_liked_a_movie(
    given: Arrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = scores_of(popularity, given, {}, tmp_path, monkeypatch)
    liked = [movie for _, movie, stars in triples(given) if stars >= LIKED]
    np.testing.assert_array_equal(scores, [[liked.count(movie) for movie in range(MOVIES)]] * USERS)
    printed = json.loads(capsys.readouterr().out)
    assert printed["recall_at_20"] == pytest.approx(figures(scores, given)["recall_20"], rel=1e-12)


def test_errors_are_of_predictions_within_the_range_of_the_training() -> None:
    predicted, ratings = np.array([0.0, 7.0, 3.5], np.float32), np.array([2, 5, 3], np.float32)
    measured = Measured()
    measured.set_errors(
        predicted, {"rating": np.array([5, 1, 3], np.float32), "test_rating": ratings}
    )
    # 1, 5 and 3.5 are 1, 0 and 0.5 off.
    assert measured.test_rmse == pytest.approx(math.sqrt(1.25 / 3), rel=1e-12)
    assert measured.test_mae == pytest.approx(0.5, rel=1e-12)
    assert measuring.rmse(predicted, ratings) == measured.test_rmse
